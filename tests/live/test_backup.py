"""A backup of a running embedded server, restored into the services mode: everything is there, and it serves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.live.test_services import IRIS
from tests.running import ROOT, Server, clean_environment
from tests.services import Services
from tests.waiting import eventually

LIMIT_S = 180


def manage(environment: Mapping[str, str], *arguments: str, fails: bool = False) -> str:
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    ended = subprocess.run(
        command, cwd=ROOT, env=dict(environment), capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert bool(ended.returncode) == fails, ended.stdout[-2000:] + ended.stderr[-4000:]
    return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def embedded(embedded_server: Server) -> dict[str, str]:
    """The environment of commands beside the running server, after a few predictions were recorded."""
    identifiers = [embedded_server.accepted(IRIS, Prefer="wait") for _ in range(5)]
    eventually(lambda: all(embedded_server.get(f"/api/records/{one}")[0] == 200 for one in identifiers), limit=20)
    return clean_environment(embedded_server.folder)


@pytest.fixture(scope="module")
def elsewhere(services: Services, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of another deployment on the services' servers: its own database, indices and folder."""
    folder = tmp_path_factory.mktemp("elsewhere")
    given = services.stack.environment
    url = f"{given['DATABASE_URL'].rpartition('/')[0]}/restored"
    own = {"DATABASE_URL": url, "INDEX_ENVIRONMENT": "restored", "DATA_DIR": str(folder)}
    made = {**clean_environment(folder), **given, **own}
    with psycopg.connect(given["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored")
    manage(made, "migrate", "--verbosity", "0")
    return made


def contents(backup: Path) -> dict[str, Any]:
    """Everything in a backup but when it was made; rows and records by their lines, in any order."""
    with zipfile.ZipFile(backup) as archive:
        found: dict[str, Any] = {}
        for name in archive.namelist():
            read = archive.read(name)
            # PostgreSQL keeps JSON by value: the order of its keys is not kept.
            lines = (json.dumps(json.loads(line), sort_keys=True) for line in read.splitlines() if line)
            found[name] = sorted(lines) if name.endswith(".jsonl") else read
        manifest = json.loads(found.pop("manifest.json"))
    manifest.pop("made_at")
    return {**found, "manifest": manifest}


def test_what_was_embedded_is_equal_in_the_services_mode(
    embedded: dict[str, str], elsewhere: dict[str, str], tmp_path: Path
) -> None:
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    manage(embedded, "back_up", str(first))
    manage(elsewhere, "restore_backup", str(first))
    manage(elsewhere, "back_up", str(second))
    before, after = contents(first), contents(second)
    assert before["manifest"]["tables"]["predictions.Prediction"] >= 5
    assert before["manifest"]["records"] >= 5
    assert before["manifest"]["artifacts"] >= 8
    for name in before:
        assert after[name] == before[name], name
    shown = manage(elsewhere, "list_models", "--project", "demo", "--json")
    assert "iris" in shown
    # A second restore would mix two deployments.
    assert "already" in manage(elsewhere, "restore_backup", str(first), fails=True)


def test_a_file_that_is_no_backup_is_refused(elsewhere: dict[str, str], tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.zip"
    assert "cannot be read" in manage(elsewhere, "restore_backup", str(nothing), fails=True)
    nothing.write_bytes(os.urandom(1000))
    assert "cannot be read" in manage(elsewhere, "restore_backup", str(nothing), fails=True)
    with zipfile.ZipFile(nothing, "w") as archive:
        archive.writestr("tables/auth.User.jsonl", "{}")
    assert "manifest" in manage(elsewhere, "restore_backup", str(nothing), fails=True)
