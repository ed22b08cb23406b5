"""Backup, wipe, restore of the running composition, as README says it; and of an embedded server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.deployed import WATCHING, WITHOUT, Deployed, deployed, planned
from tests.deploy.running import podman
from tests.live.test_backup import contents
from tests.running import ROOT, Server, clean_environment, prepared_server
from tests.waiting import eventually

FLOWER = {"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}
IRIS = {"model": "iris", "input": {"instances": [[6.7, 3.0, 5.2, 2.3]]}}
LEAN = WITHOUT | WATCHING
WORKERS = ("worker-interactive", "worker-standard", "worker-bulk")
OPEN = 7
NEEDED = frozenset({"credentials", "postgres", "elasticsearch"})


@pytest.fixture(autouse=True)
def images_are_there(built: None) -> None:
    """Before anything here starts."""


def restore(server: Deployed, backup: Path, secret_key: Path) -> Path:
    """Everything gone, then README's steps up to the last; a backup of what is there now."""
    up, folder = server.up, backup.parent
    up.stop()
    up.start(only=frozenset({"credentials"}))
    place = ("-m", "444", "/kept", "/credentials/ours/secret_key")
    up.run_once("credentials", *place, entry="install", mounts={secret_key: "/kept:ro"})
    up.start(only=NEEDED)
    for name in ("postgres", "elasticsearch"):
        up.await_healthy(name)
    up.run_once("migrate", "manage", "migrate", "--verbosity", "0")
    up.run_once("migrate", "manage", "restore_backup", "/backup.zip", mounts={backup: "/backup.zip:ro"})
    # Written into a folder of the host, which has to be theirs who write.
    after = folder / "after"
    after.mkdir(mode=0o777)
    after.chmod(0o777)
    up.run_once("migrate", "manage", "back_up", "/kept/after.zip", mounts={after: "/kept"})
    return after / "after.zip"


def serve_again(server: Deployed, key: str) -> None:
    """The last step, `up -d`; and the key from before is still one."""
    server.up.start(without=LEAN)
    server.up.await_healthy("proxy")
    server.use(key)
    eventually(lambda: server.get("/v2/models/iris/ready")[0] == 200, limit=90)


def assert_equal(before: Path, after: Path) -> dict[str, int]:
    """Registry, artefacts, open predictions and records; how many rows of each table."""
    one, two = contents(before), contents(after)
    assert set(one) == set(two)
    for name in one:
        assert two[name] == one[name], name
    assert one["manifest"]["artifacts"] >= 4
    return dict(one["manifest"]["tables"])


def test_what_was_wiped_is_equal_after_the_restore_and_open_predictions_end(tmp_path: Path) -> None:
    with deployed(name="serving-backup", without=LEAN, SERVER_PROCESSES="1") as server:
        recorded = [server.accepted(IRIS, Prefer="wait") for _ in range(5)]
        assert server.post("/v2/models/iris/infer", FLOWER)[0] == 200
        eventually(lambda: all(server.get(f"/api/records/{one}")[0] == 200 for one in recorded), limit=60)
        for name in WORKERS:
            podman("stop", server.up.name(name))
        left_open = [server.accepted(IRIS) for _ in range(OPEN)]
        server.manage("back_up", "/data/backup.zip")
        backup, secret_key = tmp_path / "backup.zip", tmp_path / "secret_key"
        podman("cp", f"{server.up.name('web')}:/data/backup.zip", str(backup))
        secret_key.write_text(server.secret("secret_key"))
        key = server.key

        rows = assert_equal(backup, restore(server, backup, secret_key))
        assert rows["predictions.Prediction"] == len(recorded) + OPEN

        serve_again(server, key)
        for identifier in left_open:
            eventually(lambda one=identifier: ended(server, one), limit=90)
            eventually(lambda one=identifier: server.get(f"/api/records/{one}")[0] == 200, limit=60)
        assert all(server.get(f"/api/records/{one}")[0] == 200 for one in recorded)
        assert server.post("/v2/models/iris/infer", FLOWER)[0] == 200


def test_what_was_embedded_is_equal_in_the_composition_and_served(tmp_path: Path) -> None:
    backup, secret_key = tmp_path / "backup.zip", tmp_path / "secret_key"
    with prepared_server(tmp_path / "embedded") as embedded:
        recorded = [embedded.accepted(IRIS, Prefer="wait") for _ in range(5)]
        eventually(lambda: all(embedded.get(f"/api/records/{one}")[0] == 200 for one in recorded), limit=30)
        back_up(embedded, backup)
        secret_key.write_bytes((embedded.folder / "secret_key").read_bytes())
        key = embedded.key
    with planned(name="serving-moved", SERVER_PROCESSES="1") as server:
        rows = assert_equal(backup, restore(server, backup, secret_key))
        assert rows["predictions.Prediction"] >= 5
        serve_again(server, key)
        assert server.post("/v1/predictions", IRIS, Prefer="wait")[1]["output"]["label"] == ["virginica"]
        assert all(server.get(f"/api/records/{one}")[0] == 200 for one in recorded)


def ended(server: Deployed, identifier: str) -> bool:
    return bool(server.get(f"/v1/predictions/{identifier}")[1]["status"] == "succeeded")


def back_up(embedded: Server, path: Path) -> None:
    command = [sys.executable, "manage.py", "back_up", str(path)]
    environment = clean_environment(embedded.folder)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
