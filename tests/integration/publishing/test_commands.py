"""`publish_model` and `quickstart`: the same path as an upload, run from the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from models_registry.models import Alias, ModelVersion, Project
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def adder(tmp_path: Path) -> Path:
    Project.objects.get_or_create(name="demo")
    path = tmp_path / "adder.onnx"
    path.write_bytes(cast.adder().model)
    return path


def test_publish_model_prints_what_each_step_found(adder: Path) -> None:
    out = io.StringIO()
    call_command("publish_model", adder, name="adder", alias="champion", why="it adds", stdout=out)
    assert "demo/adder version 1: ready onnx" in out.getvalue()
    assert "parity" in out.getvalue()
    assert Alias.objects.get(model__name="adder").version.number == 1


def test_publish_model_prints_json_alone(adder: Path, tmp_path: Path) -> None:
    examples = tmp_path / "examples.json"
    examples.write_text(json.dumps([{"instance": [1, 2], "output": {"value": 3}}]))
    out = io.StringIO()
    call_command("publish_model", adder, name="adder", examples=examples, json=True, stdout=out)
    facts = json.loads(out.getvalue())
    assert (facts["status"], facts["number"], facts["model"]) == ("ready", 1, "demo/adder")


def test_publish_model_fails_with_the_reason(adder: Path) -> None:
    adder.write_bytes(cast.adder().model[:-20])
    with pytest.raises(CommandError, match="rejected"):
        call_command("publish_model", adder, name="adder", stdout=io.StringIO())
    adder.write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(CommandError, match=r"skops\.io\.dump"):
        call_command("publish_model", adder, name="pickled", stdout=io.StringIO())
    with pytest.raises(CommandError, match="no project"):
        call_command("publish_model", adder, name="adder", project="nobody", stdout=io.StringIO())


def test_quickstart_publishes_four_compiled_models_once() -> None:
    call_command("quickstart", stdout=io.StringIO())
    ready = ModelVersion.objects.filter(model__project__name="demo", aliases__name="champion")
    assert sorted((version.model.name, version.status, version.runtime) for version in ready) == [
        (name, "ready", "onnx") for name in ("breast_cancer", "diabetes", "iris", "penguins")
    ]
    penguins = ready.get(model__name="penguins").parsed_signature()
    assert {spec.datatype for spec in penguins.inputs if spec.nullable} == {"BYTES", "FP64"}
    call_command("quickstart", stdout=io.StringIO())
    assert ModelVersion.objects.count() == 4
