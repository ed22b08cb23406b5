"""The commands do what the API does, and say so by exit code."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from models_registry.models import Alias, ApiKey, DeploymentEvent
from tests.integration.registry.conftest import Cast, add_version
from tests.running import ROOT, clean_environment

pytestmark = pytest.mark.usefixtures("cast")


def run(*words: str) -> Any:
    """What the command says as JSON."""
    out = io.StringIO()
    project = () if words[0] in ("create_project", "list_projects") else ("--project", "ours")
    call_command(words[0], *words[1:], *project, "--json", stdout=out)
    return json.loads(out.getvalue())


def refused(*words: str) -> CommandError:
    with pytest.raises(CommandError) as caught:
        run(*words)
    return caught.value


def test_models_are_listed_and_shown() -> None:
    assert [model["name"] for model in run("list_models")] == ["iris"]
    shown = run("show_model", "iris")
    assert shown["aliases"] == {"champion": 2}
    assert [version["number"] for version in shown["versions"]] == [3, 2, 1]
    assert [event["to_version"] for event in shown["events"]] == [2, 1]


@pytest.mark.parametrize("words", [("list_models",), ("show_model", "iris"), ("list_keys",)])
def test_people_get_a_table(words: tuple[str, ...]) -> None:
    out = io.StringIO()
    call_command(*words, "--project", "ours", stdout=out)
    assert "{" not in out.getvalue()
    assert out.getvalue().strip()


def test_an_alias_is_set_rolled_back_and_removed_with_who_and_why(cast: Cast) -> None:
    assert run("set_alias", "iris", "champion", "3", "--why", "faster")["version"] == 3
    assert run("roll_back_alias", "iris", "champion")["version"] == 2
    event = DeploymentEvent.objects.get(why="faster")
    assert (event.from_version, event.to_version) == (2, 3)
    assert event.who.startswith("shell")
    run("remove_alias", "iris", "champion")
    assert not Alias.objects.exists()


def test_a_refusal_is_one_sentence_and_exit_code_one() -> None:
    error = refused("retire_version", "iris", "2")
    assert error.returncode == 1
    assert "champion" in str(error)
    assert refused("show_model", "absent").returncode == 1
    assert refused("set_alias", "iris", "7", "1").returncode == 1


def test_a_wrong_command_line_is_refused_before_anything_happens() -> None:
    with pytest.raises(CommandError):
        call_command("set_alias", "iris", "champion", "three")


def test_a_version_is_retired(cast: Cast) -> None:
    assert run("retire_version", "iris", "3", "--why", "old")["status"] == "retired"


def test_a_model_is_registered_and_configured() -> None:
    assert run("configure_model", "new", "--new", "--open-limit", "5")["open_limit"] == 5
    assert run("configure_model", "new", "--hard-limit", "2.5")["hard_limit_s"] == 2.5
    assert refused("configure_model", "new", "--new").returncode == 1


def test_a_key_is_issued_once_listed_without_its_secret_and_revoked() -> None:
    issued = run("create_key", "--name", "robot", "--scopes", "read", "predict", "--days", "1")
    assert issued["secret"].startswith("sbk_")
    assert issued["secret"] not in json.dumps(run("list_keys"))
    run("revoke_key", issued["prefix"])
    assert ApiKey.objects.get(pk=issued["id"]).revoked_at is not None
    assert refused("create_key", "--name", "x", "--scopes", "everything").returncode == 1


def test_projects_are_made_and_listed() -> None:
    assert run("create_project", "third")["name"] == "third"
    assert {project["name"] for project in run("list_projects")} == {"ours", "theirs", "third"}
    assert refused("create_project", "third").returncode == 1


def test_a_record_that_is_not_there_is_a_refusal() -> None:
    assert refused("show_record", "01890000-0000-7000-8000-000000000000").returncode == 1


def test_predicting_needs_a_model_that_answers(cast: Cast) -> None:
    add_version(cast.iris, 9, "publishing")
    assert refused("predict", "absent", "--input", "[[1,2,3,4]]").returncode == 1
    assert refused("predict", "iris", "--use", "9", "--input", "[[1,2,3,4]]").returncode == 1
    assert "4" in str(refused("predict", "iris", "--input", "[[1,2,3]]"))


def test_a_database_that_does_not_answer_is_a_sentence_and_an_exit_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "list_models"],
        cwd=ROOT,
        env=clean_environment(tmp_path, DATABASE_URL="postgres://serving@127.0.0.1:1/serving"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "CommandError: The database does not answer: " in done.stderr
    assert "Traceback" not in done.stderr
