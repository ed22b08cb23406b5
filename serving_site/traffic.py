"""Steady mixed traffic of a few calls per second, so that every monitoring page has something to show.

A client like any other, in a process of its own, through HTTP only: online and queued calls of one and of many rows,
several models and versions, and faults of several kinds, in waves. It publishes what the demo lacks for that: a second
version of iris, and a tariff that fails for zones it does not know.
"""

from __future__ import annotations

import csv
import http.client
import io
import json
import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any
from urllib.parse import urlsplit

from models_registry.demo import training

THREADS = 4
MOST_PER_SECOND = 50.0
#: Seconds of one wave of the rate, and of one round in whose last part faults come in a burst.
WAVE_S, ROUND_S, BURST_S = 300.0, 240.0, 25.0
#: Seconds between two looks at which versions there are.
LOOK_S = 20.0
TARIFF, CHALLENGER = "tariff", "challenger"
LIMIT_S, READY_S = 35.0, 180.0
CACHE_S = 10.0


@dataclass
class Client:
    """Calls one server with a key; what it refuses is part of the traffic, what it does not answer is counted."""

    url: str
    key: str
    unanswered: int = 0

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of one call; (0, None) without an answer."""
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=LIMIT_S)
        try:
            connection.request(method, path, body=data, headers=sent)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        except (OSError, http.client.HTTPException, ValueError):
            self.unanswered += 1
            return 0, None
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class Known:
    """What calls are made of: a model's inputs by name and datatype, its versions, rows to ask about."""

    inputs: tuple[tuple[str, str, int], ...]
    versions: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]


@dataclass
class Traffic:
    """`run` calls until `ended` is set; `per_second` is the mean over a wave."""

    client: Client
    per_second: float = 4.0
    seed: int = 1
    ended: threading.Event = field(default_factory=threading.Event)
    known: dict[str, Known] = field(default_factory=dict)

    def run(self) -> None:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            # What training imports goes with that process.
            rows = {name: _rows(apart.submit(training.train, name).result().sample) for name in training.MODELS}
            challenger = apart.submit(training.challenger).result().model
        self._await_ready()
        self.publish(challenger)
        rows[TARIFF] = tuple({"zone": zone} for zone in range(8))
        began = time.monotonic()
        threads = [threading.Thread(target=self._calls, args=(number, began)) for number in range(THREADS)]
        self.look(rows)
        for thread in threads:
            thread.start()
        while not self.ended.wait(LOOK_S):
            self.look(rows)
        for thread in threads:
            thread.join(LIMIT_S)

    def _await_ready(self) -> None:
        """It may be started together with the server."""
        end = time.monotonic() + READY_S
        while self.client.call("GET", "/health/ready")[0] != 200 and time.monotonic() < end:
            if self.ended.wait(0.5):
                return

    def publish(self, challenger: bytes) -> None:
        """What is missing, through the API; a server that refuses it gets the rest of the traffic."""
        _, iris = self.client.call("GET", "/v2/models/iris")
        if len((iris or {}).get("versions", ())) < 2:
            self._upload("iris", "challenger.skops", challenger, CHALLENGER)
        if self.client.call("GET", f"/v2/models/{TARIFF}")[0] == 404:
            self._upload(TARIFF, "tariff.onnx", tariff(), "champion")
            # Eight zones, so that a response cache has hits to show.
            self.client.call("PATCH", f"/api/models/{TARIFF}", {"cache_ttl_s": CACHE_S})

    def look(self, rows: Mapping[str, tuple[Mapping[str, Any], ...]]) -> None:
        """Which models and versions can be asked."""
        for name, examples in rows.items():
            status, model = self.client.call("GET", f"/v2/models/{name}")
            if status == 200:
                inputs = tuple((item["name"], item["datatype"], abs(item["shape"][-1])) for item in model["inputs"])
                self.known[name] = Known(inputs, tuple(model["versions"]), examples)

    def pace(self, elapsed: float) -> float:
        """Calls per second at a moment: a wave between 0.4 and 1.6 of the mean."""
        return self.per_second * (1 + 0.6 * math.sin(2 * math.pi * elapsed / WAVE_S))

    def _calls(self, number: int, began: float) -> None:
        chance = random.Random(self.seed * 1000 + number)  # noqa: S311 - traffic, not secrets
        while not self.ended.is_set():
            elapsed = time.monotonic() - began
            is_burst = elapsed % ROUND_S > ROUND_S - BURST_S
            if self.known:
                weights = [weight * (12 if is_burst and is_fault else 1) for _, weight, is_fault in KINDS]
                kind: Callable[[Traffic, random.Random], None] = chance.choices([kind for kind, *_ in KINDS], weights)[
                    0
                ]
                kind(self, chance)
            self.ended.wait(min(5.0, chance.expovariate(self.pace(elapsed) / THREADS)))

    def _upload(self, name: str, filename: str, model: bytes, alias: str) -> None:
        parts = (
            (f'name="file"; filename="{filename}"', model),
            ('name="alias"', alias.encode()),
            ('name="why"', b"steady traffic"),
        )
        body = b"".join(
            b"--part\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + part + b"\r\n"
            for head, part in parts
        )
        headers = {"Content-Type": "multipart/form-data; boundary=part"}
        self.client.call("POST", f"/api/models/{name}/versions", body + b"--part--\r\n", **headers)


# Kinds of calls ------------------------------------------------------------------------------------------------
def online(traffic: Traffic, chance: random.Random, rows: int = 1) -> None:
    """An answer now, most often of the champion, sometimes of a version by number."""
    name, known = _some(traffic, chance)
    version = chance.choice(known.versions) if chance.random() < 0.3 else ""
    path = f"/v2/models/{name}/versions/{version}/infer" if version else f"/v2/models/{name}/infer"
    traffic.client.call("POST", path, tensors(known, chance.choices(known.rows, k=rows)))


def online_batch(traffic: Traffic, chance: random.Random) -> None:
    online(traffic, chance, rows=chance.randint(5, 60))


def queued(traffic: Traffic, chance: random.Random, rows: int = 1, **headers: str) -> Any:
    """Accepted now, answered later, or waited for."""
    name, known = _some(traffic, chance)
    body: dict[str, Any] = {"model": name, "input": {"instances": chance.choices(known.rows, k=rows)}}
    if rows > 1:
        body["priority"] = "bulk"
    return traffic.client.call("POST", "/v1/predictions", body, **headers)[1]


def waited(traffic: Traffic, chance: random.Random) -> None:
    queued(traffic, chance, Prefer="wait=5")


def batch(traffic: Traffic, chance: random.Random) -> None:
    queued(traffic, chance, rows=chance.randint(100, 400), Prefer="respond-async")


def canceled(traffic: Traffic, chance: random.Random) -> None:
    accepted = queued(traffic, chance, rows=400, Prefer="respond-async")
    if isinstance(accepted, dict) and "id" in accepted:
        traffic.client.call("POST", f"/v1/predictions/{accepted['id']}/cancel")


def wrong_shape(traffic: Traffic, chance: random.Random) -> None:
    name, known = _some(traffic, chance)
    body = tensors(known, known.rows[:1])
    body["inputs"][0]["shape"] = [1, 99]
    traffic.client.call("POST", f"/v2/models/{name}/infer", body)


def wrong_words(traffic: Traffic, chance: random.Random) -> None:
    body = {"model": "iris", "input": {"instances": [["long", "wide", 1.4, 0.2]]}}
    traffic.client.call("POST", "/v1/predictions", body)


def unknown_zone(traffic: Traffic, chance: random.Random) -> None:
    """Valid to look at, but the model itself fails."""
    if TARIFF in traffic.known:
        body = tensors(traffic.known[TARIFF], [{"zone": chance.randint(50, 90)}])
        traffic.client.call("POST", f"/v2/models/{TARIFF}/infer", body)


def no_such_model(traffic: Traffic, chance: random.Random) -> None:
    traffic.client.call("POST", "/v2/models/forgotten/infer", {"inputs": []})


def wrong_key(traffic: Traffic, chance: random.Random) -> None:
    Client(traffic.client.url, "sbk_of_nobody").call("POST", "/v2/models/iris/infer", {"inputs": []})


#: (kind, weight, whether it is a fault)
KINDS: tuple[tuple[Callable[[Traffic, random.Random], Any], float, bool], ...] = (
    (online, 55, False),
    (online_batch, 12, False),
    (waited, 14, False),
    (queued, 8, False),
    (batch, 4, False),
    (canceled, 0.6, True),
    (wrong_shape, 1.2, True),
    (wrong_words, 0.8, True),
    (unknown_zone, 1, True),
    (no_such_model, 0.6, True),
    (wrong_key, 0.5, True),
)


def tensors(known: Known, rows: Any) -> dict[str, Any]:
    """An OIP request of these rows."""
    inputs = []
    for name, datatype, width in known.inputs:
        data = (
            [row[name] for row in rows] if len(known.inputs) > 1 or width == 1 else [list(row.values()) for row in rows]
        )
        inputs.append({"name": name, "shape": [len(rows), width], "datatype": datatype, "data": data})
    return {"inputs": inputs}


def tariff() -> bytes:
    """An ONNX model: the price of a zone from a table of ten; any other zone makes it fail."""
    from onnx import TensorProto, helper

    prices = helper.make_tensor("prices", TensorProto.FLOAT, [10], [2.1 * 1.4**zone for zone in range(10)])
    node = helper.make_node("Gather", ["prices", "zone"], ["price"])
    zone = helper.make_tensor_value_info("zone", TensorProto.INT64, [None, 1])
    price = helper.make_tensor_value_info("price", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([node], "tariff", [zone], [price], [prices])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return bytes(model.SerializeToString())


def _some(traffic: Traffic, chance: random.Random) -> tuple[str, Known]:
    name = chance.choices(list(traffic.known), [3 if name == "iris" else 1 for name in traffic.known])[0]
    return name, traffic.known[name]


def _rows(sample: bytes) -> tuple[Mapping[str, Any], ...]:
    """The rows of a CSV file with numbers as numbers and what is missing as None."""
    rows = csv.DictReader(io.StringIO(sample.decode()))
    return tuple({name: _value(text) for name, text in row.items()} for row in rows)


def _value(text: str) -> Any:
    try:
        return float(text) if text else None
    except ValueError:
        return text
