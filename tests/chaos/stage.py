"""`python -m tests.chaos.stage HARD_LIMIT_S` fills DATA_DIR: tables, two projects with keys, models that name their
version, and a trigger-written history of the ledger. What the load needs to know is left in `stage.json`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import oracle
from tests.running import ROOT, clean_environment

#: Every claim and every terminal transition, written by the database itself.
HISTORY = """
CREATE TABLE chaos_history (id TEXT NOT NULL, status TEXT NOT NULL, at TEXT NOT NULL DEFAULT (julianday('now')));
CREATE TRIGGER chaos_updated AFTER UPDATE OF status ON predictions_prediction
WHEN NEW.status <> 'starting' BEGIN INSERT INTO chaos_history (id, status) VALUES (NEW.id, NEW.status); END;
CREATE TRIGGER chaos_inserted AFTER INSERT ON predictions_prediction
WHEN NEW.status <> 'starting' BEGIN INSERT INTO chaos_history (id, status) VALUES (NEW.id, NEW.status); END;
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """What the load knows of the server: a key per project, and which version an id is."""

    keys: dict[str, str]
    numbers: dict[str, int]


def build(folder: Path, *, hard_limit_s: float = 10.0) -> Stage:
    """Fill an empty folder in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = clean_environment(folder, DJANGO_SETTINGS_MODULE="serving_site.settings")
    command = [sys.executable, "-m", "tests.chaos.stage", str(hard_limit_s)]
    ended = subprocess.run(command, cwd=ROOT, env=environment, timeout=120, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return Stage(**json.loads((folder / "stage.json").read_text()))


def main(hard_limit_s: float) -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from serving_site import env, prepared
    from serving_site.management.commands.prepare import ensure_credentials

    call_command("migrate", verbosity=0)
    ensure_credentials()
    stage = {"keys": keys(), "numbers": publish(hard_limit_s)}
    connection.ensure_connection()
    connection.connection.executescript(HISTORY)
    prepared.mark(env)
    (env.DATA_DIR / "stage.json").write_text(json.dumps(stage))


def keys() -> dict[str, str]:
    from models_registry.models import ApiKey, Project

    issued = {}
    for name in oracle.PROJECTS:
        project, _ = Project.objects.get_or_create(name=name)
        issued[name] = ApiKey.issue(project, "chaos", scopes=["predict", "read", "manage"])[1]
    return issued


def publish(hard_limit_s: float) -> dict[str, int]:
    from tests import cast

    numbers = {}
    for project in oracle.PROJECTS:
        for model in oracle.MODELS:
            for version in oracle.VERSIONS:
                member = cast.adder(oracle.code(project, model, version))
                made = cast.register(project, model, member, hard_limit_s=hard_limit_s)
                numbers[str(made.id)] = made.number
    cast.register(oracle.PROJECTS[0], "slow", cast.slow(1000), hard_limit_s=hard_limit_s)
    return numbers


if __name__ == "__main__":
    main(float(sys.argv[1]))
