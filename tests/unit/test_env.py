"""The environment is read by type, from a variable or the file it names, and a bad value fails loudly."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from serving_site import env
from tests.running import ROOT, clean_environment


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    env.VARIABLES.pop("SAMPLE", None)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("str", "a b", "a b"),
        ("int", "7", 7),
        ("float", "0.5", 0.5),
        ("bool", "true", True),
        ("list", "a,b", ["a", "b"]),
    ],
)
def test_a_variable_is_read_by_its_kind(kind: str, text: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE", text)
    assert env.read("SAMPLE", kind, None, "A sample.") == value


@pytest.mark.parametrize("text", [None, ""])
def test_an_absent_or_empty_variable_is_its_default(text: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if text is not None:
        monkeypatch.setenv("SAMPLE", text)
    assert env.read("SAMPLE", "int", 3, "A sample.") == 3


def test_a_secret_comes_from_the_file_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("hush\n")
    monkeypatch.setenv("SAMPLE_FILE", str(tmp_path / "secret"))
    assert env.read("SAMPLE", "str", "", "A sample.") == "hush"


def test_a_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE_FILE", "/nowhere")
    with pytest.raises(ImproperlyConfigured, match="SAMPLE_FILE"):
        env.read("SAMPLE", "str", "", "A sample.")


def test_a_value_of_the_wrong_kind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE", "many")
    with pytest.raises(ImproperlyConfigured, match="SAMPLE is not a valid int: 'many'"):
        env.read("SAMPLE", "int", 3, "A sample.")


@pytest.mark.parametrize(
    ("settings", "project"),
    [
        ({}, ""),
        ({"SERVING_ROLE": "web"}, "demo"),
        ({"SERVING_ROLE": "web", "HOST": "0.0.0.0"}, ""),
        ({"SERVING_ROLE": "web", "RABBITMQ_URL": "amqp://broker"}, ""),
        ({"SERVING_ROLE": "web", "ANONYMOUS_PROJECT": "-"}, ""),
        ({"SERVING_ROLE": "web", "ANONYMOUS_PROJECT": "mine"}, "mine"),
    ],
)
def test_only_the_embedded_server_on_loopback_lets_anybody_in(
    settings: dict[str, str], project: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", "from serving_site import env; print(env.ANONYMOUS_PROJECT)"]
    said = subprocess.run(
        command, cwd=ROOT, env=clean_environment(tmp_path, **settings), capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == project
