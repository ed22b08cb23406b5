"""What a child process has counted is shown by its parent, each thing once."""

from __future__ import annotations

from monitoring import metrics
from monitoring.counted import Counted, Growth, add

LABELS = ("demo", "counted elsewhere", "1", "score")


def test_what_grew_since_the_last_look_is_taken_once() -> None:
    counted = Counted()
    metrics.count_records("written", 3)
    metrics.observe(metrics.OUTPUT_VALUES, LABELS, 2.5)
    growth = counted.taken()
    assert growth.counters == ((metrics.RECORDS.name, ("written",), 3.0),)
    ((name, labels, counts, total),) = growth.histograms
    assert (name, labels, sum(counts), total) == (metrics.OUTPUT_VALUES.name, LABELS, 1, 2.5)
    assert counted.taken() == Growth()
    metrics.forget(LABELS[:3])


def test_what_was_forgotten_meanwhile_begins_again_at_zero() -> None:
    version = ("demo", "counted again", "1")
    metrics.observe(metrics.OUTPUT_VALUES, LABELS, -2.5)
    metrics.observe(metrics.OUTPUT_VALUES, LABELS, -2.5)
    metrics.count(metrics.PREDICTIONS, (*version, "oip", "ok"), 3)
    counted = Counted()
    metrics.forget(LABELS[:3])
    metrics.forget(version)
    metrics.observe(metrics.OUTPUT_VALUES, LABELS, -1.5)
    metrics.count(metrics.PREDICTIONS, (*version, "oip", "ok"), 2)
    growth = counted.taken()
    assert growth.counters == ((metrics.PREDICTIONS.name, (*version, "oip", "ok"), 2.0),)
    ((_, _, counts, total),) = growth.histograms
    assert (sum(counts), total) == (1, -1.5)
    metrics.forget(LABELS[:3])
    metrics.forget(version)


def test_what_another_process_counted_is_added() -> None:
    counts, total = [0] * (len(metrics.OUTPUT_VALUES.buckets) + 1), 7.5
    counts[1] = 2
    before = metrics.value(metrics.RECORDS, ("written",))
    growth = Growth(
        ((metrics.RECORDS.name, ("written",), 4.0),), ((metrics.OUTPUT_VALUES.name, LABELS, tuple(counts), total),)
    )
    add(growth)
    add(growth)
    assert metrics.value(metrics.RECORDS, ("written",)) == before + 8
    seen = metrics.seen(metrics.OUTPUT_VALUES)[LABELS]
    assert (seen[0][1], seen[1]) == (4, 15.0)
    metrics.forget(LABELS[:3])
