"""From an uploaded file to a version that is ready, compiled where that changes no answer."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from django.db import connections
from django_celery_results.models import TaskResult

from models_registry import artifacts, errors, publishing
from models_registry.models import ModelVersion, RegisteredModel
from models_registry.publishing.report import STEPS
from models_registry.reading import as_version
from models_registry.runtime import loading
from models_registry.runtime.sandbox import Sandbox
from serving_site.celery import CeleryThread
from tests import cast
from tests.integration.publishing import models

Publish = Callable[..., ModelVersion]
Train = Callable[[str], bytes]


def steps(version: ModelVersion) -> dict[str, str]:
    return {step["name"]: step["outcome"] for step in version.report["steps"]}


def predict(version: ModelVersion, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    with contextlib.closing(loading.load(as_version(version))) as predictor:
        return predictor.predict(inputs, timeout=30)


def test_classifier_is_compiled_compared_and_measured(published: Publish, trained: Train) -> None:
    version = published(trained("iris"), alias="champion", why="first")
    assert (version.status, version.runtime, version.reason) == ("ready", "onnx", "")
    assert list(steps(version)) == list(STEPS)
    assert version.report["parity"]["labels_differ"] == 0
    assert set(version.report["cost_us"]) == {"1", "8", "64"}
    assert version.report["memory_bytes"] > 0
    assert version.report["libraries"]["scikit-learn"]
    signature = version.parsed_signature()
    assert [(spec.name, spec.datatype, spec.shape) for spec in signature.inputs] == [("input", "FP64", (-1, 4))]
    assert [spec.name for spec in signature.outputs] == ["label", "probabilities"]
    assert signature.classes == (0, 1, 2)
    assert predict(version, input=np.array([[5.1, 3.5, 1.4, 0.2]]))["label"].tolist() == [0]
    event = version.model.events.get()
    assert (event.who, event.why, event.to_version) == ("alice", "first", version.number)


@pytest.mark.parametrize(
    ("kind", "runtime", "inputs", "outputs"),
    [
        ("text_labels", "onnx", [("input", "FP64", (-1, 4))], ["label", "probabilities"]),
        ("decision_tree", "onnx", [("input", "FP64", (-1, 4))], ["label", "probabilities"]),
        ("histogram", "onnx", [("input", "FP64", (-1, 4))], ["label", "probabilities"]),
        ("frame", "onnx", [("input", "FP64", (-1, 4))], ["value"]),
        ("uncompilable", "native", [("input", "FP64", (-1, 4))], ["label", "probabilities"]),
    ],
)
def test_kinds_of_models_and_their_signatures(
    published: Publish,
    trained: Train,
    kind: str,
    runtime: str,
    inputs: list[tuple[str, str, tuple[int, ...]]],
    outputs: list[str],
) -> None:
    version = published(trained(kind))
    assert (version.status, version.runtime) == ("ready", runtime), version.reason
    signature = version.parsed_signature()
    assert [(spec.name, spec.datatype, spec.shape) for spec in signature.inputs] == inputs
    assert [spec.name for spec in signature.outputs] == outputs
    assert signature.inputs[0].nullable is (kind == "histogram")
    assert signature.inputs[0].columns == (("a", "b", "c", "d") if kind == "frame" else ())
    answer = predict(version, input=np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]))
    for spec in signature.outputs:
        assert answer[spec.name].shape[0] == 2
        assert len(answer[spec.name].shape) == len(spec.shape)
        assert answer[spec.name].dtype == spec.dtype


def test_named_columns_with_missing_text_and_numbers(published: Publish, trained: Train) -> None:
    version = published(trained("mixed"))
    assert (version.status, version.runtime) == ("ready", "onnx"), version.reason
    signature = version.parsed_signature()
    assert [(spec.name, spec.datatype, spec.nullable) for spec in signature.inputs] == [
        ("island", "BYTES", True),
        ("bill length", "FP64", True),
    ]
    assert signature.by_column
    assert signature.classes == ("big", "small")
    answer = predict(
        version,
        **{
            "island": np.array([["north"], [None], [""]], dtype=object),
            "bill length": np.array([[50.0], [30.0], [np.nan]]),
        },
    )
    assert answer["label"].tolist()[:2] == ["big", "small"]


def test_a_model_that_does_not_compile_is_served_natively_and_says_why(published: Publish, trained: Train) -> None:
    version = published(trained("uncompilable"))
    assert version.runtime == "native"
    assert version.reason.startswith("Runs native: it does not compile to ONNX")
    assert steps(version)["compilation"] == "failed"
    assert version.served_digest == version.digest
    assert predict(version, input=np.array([[5.1, 3.5, 1.4, 0.2]]))["label"].tolist() == [0]


def test_a_compiled_model_that_answers_otherwise_is_not_served(published: Publish, trained: Train) -> None:
    version = published(trained("disagreeing"), sample=_close_to_one())
    assert version.runtime == "native", version.report
    assert "the compiled model answers otherwise" in version.reason
    assert "labels differ" in version.reason
    assert steps(version)["parity"] == "failed"


def _close_to_one() -> bytes:
    rows = np.random.default_rng(1).normal(0, 1, 400) * 1e-6 + 1.0
    return "\n".join(map(repr, rows.tolist())).encode()


def test_an_onnx_file_keeps_its_own_names(published: Publish) -> None:
    version = published(cast.text().model)
    assert (version.status, version.runtime, version.served_digest) == ("ready", "onnx", version.digest)
    signature = version.parsed_signature()
    assert [spec.name for spec in signature.inputs] == ["word", "number"]
    assert [spec.name for spec in signature.outputs] == ["echo", "value"]
    assert steps(version)["compilation"] == "skipped"


def test_golden_examples_decide(published: Publish, trained: Train, model: RegisteredModel) -> None:
    content = cast.adder().model
    good = published(content, examples=[{"instance": [1, 2], "output": {"value": 3}}])
    bad = published(content, examples=[{"instance": [1, 2], "output": {"value": 4}}], alias="champion")
    assert (good.status, bad.status) == ("ready", "rejected")
    assert "expected 4" in bad.reason
    assert not model.aliases.exists()


def test_a_sample_of_other_columns_is_told_by_name(published: Publish, trained: Train) -> None:
    version = published(trained("mixed"), sample=b"island,size\nnorth,3\n")
    assert version.status == "rejected"
    assert "no column 'bill length'" in version.reason


def test_the_same_bytes_again_are_the_same_version(published: Publish, model: RegisteredModel) -> None:
    first = published(cast.adder().model)
    again = publishing.submit(model, cast.adder().model, filename="other", who="bob", alias="champion", enqueue=False)
    assert again.pk == first.pk
    assert model.aliases.get(name="champion").version_id == first.pk
    other = published(cast.adder().model, sample=b"1,2\n")
    assert other.number == first.number + 1


def test_rejected_bytes_can_be_tried_again(published: Publish, model: RegisteredModel) -> None:
    content = cast.adder().model[:-20]
    first, second = published(content), published(content)
    assert (first.status, second.status) == ("rejected", "rejected")
    assert first.pk != second.pk


@pytest.mark.django_db(transaction=True)
def test_numbers_are_unique_when_many_publish_at_once(model: RegisteredModel) -> None:
    def submit(at: int) -> int:
        try:
            content = cast.adder(at % 4).model
            return publishing.submit(model, content, filename="adder", who="alice", enqueue=False).number
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(submit, range(16)))
    assert sorted(set(numbers)) == [1, 2, 3, 4]
    assert sorted(model.versions.values_list("number", flat=True)) == [1, 2, 3, 4]


def test_progress_names_the_steps_and_the_row_knows_it(model: RegisteredModel, child: Sandbox) -> None:
    version = publishing.submit(model, cast.adder().model, filename="adder", who="alice", enqueue=False)
    seen: list[tuple[str, str]] = []

    def progress(step: str) -> None:
        seen.append((step, ModelVersion.objects.get(pk=version.pk).progress))

    assert publishing.publish(version.pk, progress, sandbox=child).progress == ""
    assert seen == [(step, step) for step in STEPS]


def test_publishing_a_version_that_is_ready_changes_nothing(published: Publish) -> None:
    version = published(cast.adder().model)
    assert publishing.publish(version.pk).ready_at == version.ready_at


@pytest.fixture
def worker() -> Iterator[None]:
    thread = CeleryThread("operations", concurrency=1)
    thread.start()
    yield
    thread.stop(10)


def finished(version: ModelVersion) -> ModelVersion:
    until = time.monotonic() + 60
    while version.status == "publishing":
        assert time.monotonic() < until
        time.sleep(0.05)
        version.refresh_from_db()
    return version


def result_of(version: ModelVersion) -> TaskResult:
    until = time.monotonic() + 10
    while True:
        result = TaskResult.objects.filter(task_id=version.task_id, status="SUCCESS").first()
        if result is not None:
            return result
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.django_db(transaction=True)
def test_the_task_publishes_after_the_commit_and_leaves_a_result(model: RegisteredModel, worker: None) -> None:
    version = publishing.submit(model, cast.adder().model, filename="adder", who="alice", alias="champion")
    assert finished(version).status == "ready", version.reason
    result = result_of(version)
    assert result.task_name == "models_registry.publish_version"
    assert '"status": "ready"' in result.result
    assert model.aliases.get(name="champion").version_id == version.pk


@pytest.mark.django_db(transaction=True)
def test_publishing_that_was_cut_short_is_taken_up_again(model: RegisteredModel, worker: None) -> None:
    version = publishing.submit(model, cast.adder().model, filename="adder", who="alice", enqueue=False)
    assert publishing.resume_interrupted() == 1
    assert finished(version).status == "ready"
    assert publishing.resume_interrupted() == 0


def test_an_artefact_changed_on_disk_is_rejected_and_not_loaded(
    published: Publish, model: RegisteredModel, child: Sandbox
) -> None:
    ready = published(cast.adder(5).model)
    waiting = publishing.submit(model, cast.adder(6).model, filename="adder", who="alice", enqueue=False)
    for version in (ready, waiting):
        path = artifacts.local_path(version.digest)
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(errors.Conflict, match="changed on disk"):
        loading.load(as_version(ready))
    rejected = publishing.publish(waiting.pk, sandbox=child)
    assert rejected.status == "rejected"
    assert "changed on disk" in rejected.reason
    for number in (5, 6):
        artifacts.put(cast.adder(number).model)


def test_a_child_that_dies_rejects_the_version(model: RegisteredModel, settings: object) -> None:
    settings.SERVING = {**settings.SERVING, "CHILD_MEMORY_LIMIT": 150 << 20}
    version = publishing.submit(model, cast.adder(9).model, filename="adder", who="alice", enqueue=False)
    assert publishing.publish(version.pk).status == "rejected"


def test_the_server_never_imports_what_opens_model_files(tmp_path: Path) -> None:
    """In a process of its own: this one has built graphs, and so has imported onnx."""
    path = tmp_path / "adder.onnx"
    path.write_bytes(cast.adder().model)
    script = (
        "import sys, django; django.setup()\n"
        "import numpy\n"
        "from pathlib import Path\n"
        "import models_registry.publishing.submission, models_registry.publishing.tasks\n"
        "from models_registry.publishing import publication\n"
        "import models_registry.runtime.native, models_registry.demo.training\n"
        "from models_registry.runtime.onnx import OnnxPredictor\n"
        "from tests import cast\n"
        "from models_registry.runtime.signature import Signature, TensorSpec\n"
        "signature = Signature((TensorSpec('input', 'FP64', (-1, 2)),), (TensorSpec('value', 'FP64', (-1,)),))\n"
        f"predictor = OnnxPredictor(Path({str(path)!r}).read_bytes(), signature)\n"
        "assert predictor.predict({'input': numpy.ones((1, 2))}, timeout=5)['value'].tolist() == [2]\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}\n"
        "      & {'sklearn', 'skops', 'pandas', 'onnx', 'skl2onnx', 'scipy', 'joblib'}))\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("what", ["loop", "outside", "feature", "one child"])
def test_a_tampered_tree_is_rejected_before_it_predicts(published: Publish, child: Sandbox, what: str) -> None:
    version = published(child.call(models.train_broken_tree, what, timeout=60))
    assert version.status == "rejected"
    assert "tree" in version.reason
    assert steps(version)["contents"] == "failed"
