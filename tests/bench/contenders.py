"""Who is measured: what every server, ours and theirs, must tell the sections."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.bench.works import Work


@dataclass(frozen=True)
class Call:
    """One request, and how its answer is read: `read(body, headers)` gives the probabilities."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    read: Callable[[bytes, Mapping[str, str]], Any]

    def answer(self, *, timeout: float = 20.0) -> tuple[int, bytes, dict[str, str]]:
        """Ask once: status, body, headers by lower-case name."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        try:
            connection.request("POST", parts.path, body=self.body, headers=dict(self.headers))
            found = connection.getresponse()
            return found.status, found.read(), {name.lower(): value for name, value in found.getheaders()}
        finally:
            connection.close()

    def is_right(self, work: Work) -> bool:
        status, body, headers = self.answer()
        return status < 300 and work.is_right(self.read(body, headers))


class Contender:
    """One server in one configuration. `works` names what it can do; `switched` says what is on or off."""

    name = ""
    label = ""
    runtime = ""
    switched = ""
    ours = False
    works: frozenset[str] = frozenset()

    def start(self) -> None:
        """Install, start, and return once every piece of work is answered rightly. Raises `DidNotStart` and others."""
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def pids(self) -> list[int]:
        """The processes it was started as; what they have started is found from there."""
        raise NotImplementedError

    def rest(self) -> None:
        """Return once what earlier calls left to do is done; a server that leaves nothing returns at once."""

    def call(self, work: Work) -> Call:
        raise NotImplementedError

    def is_right(self, work: Work) -> bool:
        return self.call(work).is_right(work)

    def facts(self) -> dict[str, str]:
        return {"label": self.label, "runtime": self.runtime, "switched": self.switched}

    def check(self, works: Iterable[Work]) -> None:
        """Raises `AssertionError` for a wrong answer."""
        for work in works:
            if work.name in self.works and not self.call(work).is_right(work):
                raise AssertionError(f"{self.name} answers {work.name} wrongly: {self.call(work).answer()[:2]}")


def json_call(url: str, document: Any, read: Callable[[Any], Any], **headers: str) -> Call:
    """A call in JSON; `read` takes the decoded answer."""
    sent = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    body = json.dumps(document, separators=(",", ":")).encode()
    return Call(url, sent, body, lambda answer, _: read(json.loads(answer)))


def oip_call(url: str, work: Work, *, output: str = "", **headers: str) -> Call:
    """A call in the Open Inference Protocol, which ours, Triton and MLServer speak; binary where the work is."""
    if work.binary:
        return _binary_call(url, work, headers)
    flat = [value for row in work.values for value in row]
    tensor = {"name": "x", "shape": [work.rows, len(work.values[0])], "datatype": "FP32", "data": flat}
    document: dict[str, Any] = {"inputs": [tensor]}
    if output:
        document["outputs"] = [{"name": output}]
    return json_call(url, document, lambda answer: answer["outputs"][0]["data"], **headers)


def _binary_call(url: str, work: Work, headers: Mapping[str, str]) -> Call:
    import numpy

    tail = numpy.array(work.values, numpy.float32).tobytes()
    tensor = {"name": "x", "shape": [work.rows, len(work.values[0])], "datatype": "FP32"}
    document = {
        "inputs": [{**tensor, "parameters": {"binary_data_size": len(tail)}}],
        "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}],
    }
    head = json.dumps(document, separators=(",", ":")).encode()
    sent = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }

    def read(body: bytes, found: Mapping[str, str]) -> Any:
        skipped = int(found["inference-header-content-length"])
        return numpy.frombuffer(body[skipped:], numpy.float32)

    return Call(url, sent, head + tail, read)
