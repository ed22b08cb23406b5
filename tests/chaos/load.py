"""Steady load on both doors from several threads; every call is in the client's ledger before it leaves."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tests.chaos import oracle
from tests.chaos.ledger import Call, ClientLedger, Outcome
from tests.chaos.stage import Stage

CALL_LIMIT_S = 20.0
#: What tells a client to come again; nothing was accepted.
REFUSED = (408, 425, 429, 503)


class Load:
    """`threads` clients that call one after the other, alternating doors, models, versions and ways to wait."""

    def __init__(
        self,
        port: int,
        stage: Stage,
        ledger: ClientLedger,
        *,
        seed: int,
        rate: float,
        retry_s: float = 20.0,
        threads: int = 8,
        first: int = 1,
    ) -> None:
        self._port, self._stage, self._ledger = port, stage, ledger
        self._numbers = itertools.count(first)
        self._seed = seed
        self._pause = threads / rate
        self._retry_s = retry_s
        self._ended = threading.Event()
        self._limit: int | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"client-{number}") for number in range(threads)
        ]

    def start(self, *, limit: int | None = None) -> None:
        """Begin; with `limit`, end by itself after so many calls."""
        self._limit = limit
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send no more; every call that was begun gets its outcome first."""
        self._ended.set()
        self.join()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _calls(self, chance: random.Random) -> Iterator[Call]:
        for number in self._numbers:
            if self._ended.is_set() or (self._limit is not None and number > self._limit):
                return
            door = chance.choice(("online", "queued"))
            yield Call(
                number=number,
                second=chance.randrange(1_000_000),
                door=door,
                project=chance.choice(oracle.PROJECTS),
                model=chance.choice(oracle.MODELS),
                wanted=chance.choice((None, *oracle.VERSIONS)),
                key=f"call-{number}-{self._seed}" if door == "queued" else None,
            )

    def _run(self, client: int) -> None:
        chance = random.Random(f"{self._seed}-{client}")
        connection = Connection(self._port)
        for call in self._calls(chance):
            begun = time.monotonic()
            if call.door == "online":
                self._try(connection, call, chance)
            else:
                self._until_known(connection, call, chance)
            time.sleep(max(0.0, self._pause - (time.monotonic() - begun)))
        connection.close()

    def _until_known(self, connection: Connection, call: Call, chance: random.Random) -> None:
        """Try with the same key while the fate is unknown or the server refuses for now, `retry_s` in all."""
        end = time.monotonic() + self._retry_s
        wait = 0.1
        while self._try(connection, call, chance).kind != "acknowledged" and time.monotonic() < end:
            time.sleep(wait * chance.uniform(0.5, 1.5))
            wait = min(1.0, 2 * wait)

    def _try(self, connection: Connection, call: Call, chance: random.Random) -> Outcome:
        self._ledger.sent(call)
        send = self._online if call.door == "online" else self._queued
        try:
            outcome = send(connection, call, chance)
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            outcome = Outcome("unknown", detail=f"{type(error).__name__}: {error}")
        self._ledger.outcome(call, outcome)
        return outcome

    def _online(self, connection: Connection, call: Call, chance: random.Random) -> Outcome:
        version = f"/versions/{call.wanted}" if call.wanted else ""
        tensor = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": list(call.row)}
        path = f"/v2/models/{call.model}{version}/infer"
        status, headers, body = connection.post(path, {"inputs": [tensor]}, self._headers(call))
        if status != 200:
            return refused(status, body)
        outputs = {item["name"]: item["data"] for item in body["outputs"]}
        return Outcome("acknowledged", status, headers["x-prediction-id"], int(body["model_version"]), outputs)

    def _queued(self, connection: Connection, call: Call, chance: random.Random) -> Outcome:
        document: dict[str, Any] = {"model": call.model, "input": {"instances": [list(call.row)]}}
        if call.wanted:
            document["version"] = str(call.wanted)
        prefer = chance.choice(("wait=5", "respond-async", ""))
        headers = {"Idempotency-Key": str(call.key), **({"Prefer": prefer} if prefer else {}), **self._headers(call)}
        status, _, body = connection.post("/v1/predictions", document, headers)
        if status not in (200, 201, 202):
            return refused(status, body)
        version = self._stage.numbers.get(body["version"])
        return Outcome("acknowledged", status, body["id"], version, body.get("output"))

    def _headers(self, call: Call) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._stage.keys[call.project]}"}


def refused(status: int, body: Any) -> Outcome:
    """A deliberate refusal accepted nothing; any other 5xx, and a commit that was not confirmed, may have."""
    unknown = (status >= 500 and status not in REFUSED) or "outcome_unknown" in json.dumps(body)
    return Outcome("unknown" if unknown else "refused", status, detail=json.dumps(body)[:300])


class Connection:
    """One keep-alive connection, opened anew when the server has gone."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_LIMIT_S)

    def post(self, path: str, document: Any, headers: Mapping[str, str]) -> tuple[int, dict[str, str], Any]:
        body = json.dumps(document).encode()
        self._http.request("POST", path, body, {"Content-Type": "application/json", **headers})
        answer = self._http.getresponse()
        content = answer.read()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, json.loads(content) if content else None

    def put(self, path: str, document: Any, headers: Mapping[str, str]) -> int:
        body = json.dumps(document).encode()
        self._http.request("PUT", path, body, {"Content-Type": "application/json", **headers})
        answer = self._http.getresponse()
        answer.read()
        return answer.status

    def close(self) -> None:
        self._http.close()
