"""`manage.py serve` as its user meets it: one server per folder and port, ends cleanly, comes back with its data."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import cast
from tests.chaos import stage
from tests.running import ROOT, Server, clean_environment
from tests.waiting import eventually

SERVE = [sys.executable, str(ROOT / "manage.py"), "serve"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    stage.build(folder)
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    server.start()
    yield server
    if server.running():
        server.stop()


def serve(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Another start that is expected to end by itself."""
    return subprocess.run(
        SERVE,
        cwd=ROOT,
        env=clean_environment(folder, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def gone(pid: int, *, within: float) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_second_server_on_the_folder_is_refused_and_told_of_the_first(server: Server, folder: Path) -> None:
    refused = serve(folder, PORT="1")
    assert refused.returncode == 1
    assert str(server.supervisor) in refused.stderr
    assert server.url in refused.stderr
    assert server.request("GET", "/health/live")[0] == 200


def test_a_taken_port_is_refused_by_name(server: Server, tmp_path: Path) -> None:
    refused = serve(tmp_path, PORT=str(server.port))
    assert refused.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{server.port} (Address already in use)" in refused.stderr


def test_impossible_settings_are_refused_with_the_reason(folder: Path) -> None:
    refused = serve(folder, HOST="0.0.0.0", PORT="18099", ANONYMOUS_PROJECT="demo")
    assert refused.returncode == 1
    assert "serving.E004" in refused.stderr


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_ends_it_cleanly(name: str, server: Server) -> None:
    worker = server.worker
    os.kill(server.supervisor, signal.Signals[name])
    assert server.wait() == 0, server.tail()
    assert gone(worker, within=1)


def test_a_request_that_waits_is_answered_before_the_end(server: Server) -> None:
    body = {"model": "slow", "input": {"instances": [[1, 2]]}}
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.post, "/v1/predictions", body, Prefer="wait=20")
        eventually(lambda: server.get("/v1/predictions?model=slow")[1]["results"])
        assert not answer.done()
        assert server.stop() == 0, server.tail()
        status, prediction = answer.result()
    assert (status, prediction["status"], prediction["output"]["value"]) == (201, "succeeded", [3.0])


HALF_A_HEAD = b"POST /v1/predictions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
HALF_A_BODY = HALF_A_HEAD + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
KEPT_ALIVE = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", KEPT_ALIVE, HALF_A_HEAD, HALF_A_BODY], ids=["silent", "idle", "head", "body"])
def test_clients_that_say_nothing_hold_up_no_end(sent: bytes, server: Server) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(6):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            connection.sendall(sent)
        time.sleep(0.3)
        began = time.monotonic()
        assert server.stop() == 0, server.tail()
        assert time.monotonic() - began < 2.0


def test_killing_the_supervisor_ends_the_worker_process(server: Server) -> None:
    worker = server.worker
    server.kill(server.supervisor)
    assert gone(worker, within=2)


def test_killing_the_worker_process_ends_the_supervisor(server: Server) -> None:
    os.kill(server.worker, signal.SIGKILL)
    assert server.wait() == 1
    assert "worker process ended" in server.tail()


def test_a_start_right_after_a_kill_is_ready_with_all_data(server: Server) -> None:
    _, accepted = server.post("/v1/predictions", {"model": "left", "input": {"instances": [[3, 4]]}}, Prefer="wait=5")
    server.kill(server.supervisor)
    taken = server.start()
    status, found = server.get(f"/v1/predictions/{accepted['id']}")
    assert (status, found["output"]["value"]) == (200, [7.0])
    assert taken < 10


def test_the_banner_shows_address_logins_and_three_calls(server: Server) -> None:
    end = time.monotonic() + 10
    while f"{server.url}/api/records" not in server.log.read_text() and time.monotonic() < end:
        time.sleep(0.05)
    shown, known = server.log.read_text(), server.credentials
    assert f"{server.url}/admin/   admin / {known['admin']['password']}" in shown
    calls = re.findall(rf"^  curl -s '{server.url}(/\S+)' -H 'Authorization: Bearer (\S+)'", shown, re.MULTILINE)
    assert [path.split("?")[0] for path, _ in calls] == ["/v2/models/iris/infer", "/v1/predictions", "/api/records"]
    assert {key for _, key in calls} == {known["api_key"]}


def test_the_demo_credentials_are_for_their_owner_only(folder: Path) -> None:
    assert stat.S_IMODE((folder / "credentials.json").stat().st_mode) == 0o600


def test_the_supervisor_stays_small(server: Server) -> None:
    maps = Path(f"/proc/{server.supervisor}/maps").read_text()
    assert "onnxruntime" not in maps
    status = Path(f"/proc/{server.supervisor}/status").read_text()
    resident = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert resident
    assert int(resident.group(1)) < 60_000


def test_publishing_cut_short_by_a_kill_is_taken_up_at_the_next_start(server: Server, folder: Path) -> None:
    status, found = server.upload("cut", cast.adder(7).model)
    assert (status, found["status"]) == (202, "publishing")
    server.kill(server.worker)
    with contextlib.closing(sqlite3.connect(next(folder.glob("*.sqlite3")))) as rows:
        query = "SELECT status FROM models_registry_modelversion WHERE id = ?"
        assert rows.execute(query, [found["id"].replace("-", "")]).fetchone() == ("publishing",)
    server.start()
    end = time.monotonic() + 30
    while found["status"] == "publishing" and time.monotonic() < end:
        time.sleep(0.1)
        found = server.get(f"/api/models/cut/versions/{found['number']}")[1]
    assert found["status"] == "ready", found
