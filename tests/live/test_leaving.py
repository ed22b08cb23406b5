"""A server that is asked to end leaves its proxy's rotation first: it says so, and still takes what comes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.running import prepared_server

FLOWER = {"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}


def test_a_stopping_server_says_that_it_leaves_and_answers_meanwhile(tmp_path: Path) -> None:
    with prepared_server(tmp_path / "data", environment={"LEAVE_S": "4"}) as server:
        os.kill(server.supervisor, signal.SIGTERM)
        end = time.monotonic() + 4
        while server.request("GET", "/health/ready")[0] == 200:
            assert time.monotonic() < end, "it never says so"
            time.sleep(0.05)
        assert server.post("/v2/models/iris/infer", FLOWER)[0] == 200
        assert server.request("GET", "/health/live")[0] == 200
        assert server.wait() == 0
        server.start()
        assert server.request("GET", "/health/ready")[0] == 200, "the mark of the server before is gone"
