"""What large requests leave behind is given back: a server that was sent many of them is as small as before."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.chaos.memory import held
from tests.running import Server, prepared_server

LIMIT = 250 * 10**6
#: Far beyond the limit of rows, so each is parsed and refused: the most memory for the least work.
ROWS = 200_000
TENSOR = {"name": "input", "shape": [ROWS, 4], "datatype": "FP64", "data": [1.5] * (4 * ROWS)}
BODIES = {
    "/v2/models/iris/infer": json.dumps({"inputs": [TENSOR]}).encode(),
    "/v1/predictions": json.dumps({"model": "iris", "input": {"instances": [[1, 2, 3, 4]] * ROWS}}).encode(),
}


def total(server: Server) -> int:
    return held(server.supervisor)


def test_large_bodies_leave_no_memory_behind(tmp_path: Path) -> None:
    with prepared_server(tmp_path / "data") as server:
        headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
        before = total(server)
        with ThreadPoolExecutor(3) as clients:
            calls = [(path, body) for _ in range(6) for path, body in BODIES.items()]
            statuses = {answer[0] for answer in clients.map(lambda call: server.request("POST", *call, headers), calls)}
        assert statuses <= {413, 503}
        end = time.monotonic() + 5
        while total(server) > LIMIT and time.monotonic() < end:
            time.sleep(0.1)
        print(f"{before / 1e6:.0f} MB before, {total(server) / 1e6:.0f} MB after")
        assert total(server) <= LIMIT
