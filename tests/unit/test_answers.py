"""Classes and numbers that versions answer become metrics when their records are stored, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from monitoring import answers, metrics
from monitoring.records import Record

VERSION = ("answers", "iris", "1")


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    metrics.forget(VERSION)
    answers._classes.pop(VERSION, None)
    answers._outputs.pop(VERSION, None)


def record(outputs: Any) -> Record:
    now = datetime.now(UTC)
    return Record(
        id=uuid4(), project="answers", model="iris", version=1, version_id=uuid4(), digest="d", route="version 1",
        door="online", protocol="oip", status="succeeded", accepted_at=now, completed_at=now, outputs=outputs,
    )  # fmt: skip


def classes() -> dict[str, float]:
    return {labels[3]: number for labels, number in metrics.counted(metrics.PREDICTED_CLASSES).items()
            if labels[:3] == VERSION}  # fmt: skip


def test_text_and_whole_numbers_are_classes_and_each_instance_counts() -> None:
    answers.observe([record({"label": ["setosa", "virginica", "setosa"]}), record({"label": [["setosa"]]})])
    answers.observe([record({"flag": [True, 3]})])
    assert classes() == {"setosa": 3, "virginica": 1, "True": 1, "3": 1}


def test_other_numbers_are_seen_by_their_size_under_the_name_of_the_output() -> None:
    answers.observe([record({"price": [0.3, -40.0, 1e9, float("nan"), None], "probabilities": [[0.1, 0.9]]})])
    seen = {labels[3]: found for labels, found in metrics.seen(metrics.OUTPUT_VALUES).items() if labels[:3] == VERSION}
    assert set(seen) == {"price"}
    counts, total = seen["price"]
    assert (sum(counts), counts[-1]) == (3, 1)
    assert total == pytest.approx(1e9 - 39.7)


def test_of_a_cut_output_the_first_rows_count_and_what_was_dropped_is_nothing() -> None:
    answers.observe([record({"label": {"digest": "ab", "shape": [9], "first_rows": ["setosa"]}})])
    answers.observe([record(None), record({"label": {"digest": "ab"}}), record({"label": "***"})])
    assert classes() == {"setosa": 1}


def test_ten_thousand_made_up_classes_and_outputs_are_few_series() -> None:
    answers.observe(record({"label": [f"made-up-{number}"], f"output-{number}": [0.5]}) for number in range(10_000))
    assert len(classes()) == answers.MOST_CLASSES + 1
    assert classes()["other"] == 10_000 - answers.MOST_CLASSES
    outputs = [labels for labels in metrics.seen(metrics.OUTPUT_VALUES) if labels[:3] == VERSION]
    assert len(outputs) == answers.MOST_OUTPUTS + 1
