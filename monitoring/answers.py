"""What versions answer, as metrics: classes and numbers of the records that were just stored.

Counted where records are stored and not where predictions are made: it costs the online path nothing, and what a
model's privacy drops or masks is not seen here either.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from monitoring import metrics
from monitoring.metrics import Labels
from monitoring.records import Record

#: Of one version; what comes beyond is counted as "other".
MOST_CLASSES = 50
MOST_OUTPUTS = 4
#: Characters of a class that its label keeps.
MOST_TEXT = 64
#: Instances of one record that are looked at.
MOST_ROWS = 256

_classes: dict[Labels, set[str]] = {}
_outputs: dict[Labels, set[str]] = {}


def observe(records: Iterable[Record]) -> None:
    """Count the outputs of these records: text, whole numbers and truth values as classes, other numbers as numbers."""
    found: Counter[Labels] = Counter()
    for record in records:
        if isinstance(record.outputs, dict):
            version = (record.project, record.model, str(record.version))
            for name, rows in record.outputs.items():
                _observe(version, name, rows, found)
    for labels, number in found.items():
        metrics.count(metrics.PREDICTED_CLASSES, labels, number)


def _observe(version: Labels, name: str, rows: Any, found: Counter[Labels]) -> None:
    for value in _values(rows):
        if isinstance(value, float):
            if math.isfinite(value):
                metrics.observe(metrics.OUTPUT_VALUES, (*version, _known(_outputs, version, name, MOST_OUTPUTS)), value)
        else:
            found[(*version, _known(_classes, version, str(value)[:MOST_TEXT], MOST_CLASSES))] += 1


def _values(rows: Any) -> Iterator[str | int | float | bool]:
    """One plain value of each instance; outputs with several values an instance (probabilities) have none."""
    if isinstance(rows, dict):
        rows = rows.get("first_rows")
    if isinstance(rows, list):
        for row in rows[:MOST_ROWS]:
            value = row[0] if isinstance(row, list) and len(row) == 1 else row
            if isinstance(value, str | int | float):
                yield value


def _known(names: dict[Labels, set[str]], version: Labels, name: str, most: int) -> str:
    if len(names) > metrics.MOST_CHILDREN:
        names.clear()
    known = names.setdefault(version, set())
    if name not in known:
        if len(known) >= most:
            return "other"
        known.add(name)
    return name
