"""The arithmetic behind the monitoring pages: axes, samples over time, quantiles, words for numbers."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitoring import metrics
from monitoring.pages import sheet
from monitoring.pages.history import History, Said, quantile
from monitoring.pages.seen import Remembered
from monitoring.pages.sheet import Axis, Series

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
AXIS = Axis(tuple(NOON + timedelta(minutes=step) for step in range(3)), 60)


def said(step: int, *, pid: int = 1, name: str = "web", **figures: Any) -> Said:
    at = AXIS.starts[step]
    return Said(at, step, name, "host", pid, {"gauges": {}, "counters": {}, "histograms": {}, **figures})


def test_an_axis_names_each_stretch_and_the_records_in_it():
    assert AXIS.labels[0] == "2026-03-01T12:00:00Z"
    assert AXIS.points[1] == {"since": "2026-03-01T12:01:00Z", "until": "2026-03-01T12:02:00Z"}
    assert AXIS.index(NOON + timedelta(seconds=119)) == 1
    assert AXIS.index(NOON - timedelta(seconds=1)) is None
    assert AXIS.index(NOON + timedelta(seconds=180)) is None


def test_a_gauge_is_the_largest_word_or_the_sum_of_every_process():
    depth = metrics.QUEUE_DEPTH
    heard = [said(step, pid=pid, gauges={depth.name: {"q": float(pid + step)}}) for step in (0, 1) for pid in (1, 2)]
    history = History(AXIS, tuple(heard))
    assert history.gauge(depth, "q") == (2.0, 3.0, None)
    assert history.gauge(depth, "q", adds=True) == (3.0, 5.0, None)
    assert history.gauge_labels(depth) == ["q"]


def test_a_process_that_has_not_spoken_yet_in_the_running_stretch_is_in_the_sum():
    loaded = metrics.LOADED_MODELS
    heard = [said(step, pid=pid, gauges={loaded.name: {"": 3.0}}) for step, pid in ((0, 1), (1, 1), (1, 2), (2, 1))]
    heard[2] = replace(heard[2], at=heard[2].at + timedelta(seconds=30))
    assert History(AXIS, tuple(heard)).gauge(loaded, adds=True) == (3.0, 6.0, 6.0)


def test_of_the_running_stretch_only_what_is_over_counts_but_a_quarter_at_least():
    start = AXIS.starts[2]
    assert [AXIS.lasted(start, start + timedelta(seconds=over)) for over in (1, 40, 300)] == [15.0, 40.0, 60.0]


def test_a_counter_grows_by_process_and_a_new_process_begins_at_its_first_word():
    refusals = metrics.REFUSALS
    counts = [(0, 1, 5.0), (1, 1, 8.0), (1, 2, 4.0), (2, 1, 8.0), (2, 2, 5.0)]
    heard = [said(step, pid=pid, counters={refusals.name: {"oip 404": value}}) for step, pid, value in counts]
    assert History(AXIS, tuple(heard)).increases(refusals) == {"oip 404": (0.0, 3.0, 1.0)}


def test_what_a_process_counts_for_the_first_time_has_grown_from_nothing():
    refusals = metrics.REFUSALS
    heard = [said(0), said(1, counters={refusals.name: {"oip 404": 3.0}})]
    assert History(AXIS, tuple(heard)).increases(refusals) == {"oip 404": (0.0, 3.0, 0.0)}


def test_the_busy_share_is_of_all_threads_of_all_workers_of_a_name():
    def word(step: int, pid: int, threads: float, busy_s: float) -> Said:
        gauges, counters = {metrics.WORKER_THREADS.name: {"": threads}}, {metrics.WORKER_BUSY.name: {"": busy_s}}
        return said(step, pid=pid, name="worker standard", gauges=gauges, counters=counters)

    # Two threads for a minute, 30 s of them busy; one thread beside them, idle, and beginning anew.
    heard = [
        word(0, 1, 2, 100),
        word(0, 2, 1, 7),
        word(1, 1, 2, 130),
        word(1, 2, 1, 0),
        word(2, 1, 2, 250),
        said(2, pid=3),
    ]
    found = History(AXIS, (*heard, said(2, pid=3))).shares(metrics.WORKER_BUSY, metrics.WORKER_THREADS)
    assert found == {"worker standard": (None, round(30 / 180, 4), 1.0)}


def test_quantiles_and_means_come_from_what_a_histogram_saw_in_a_stretch():
    rows = metrics.BATCH_ROWS
    empty = [0.0] * (len(rows.buckets) + 2)
    grown = [*empty]
    grown[2], grown[-1] = 10.0, 35.0
    heard = [said(0, histograms={rows.name: empty}), said(1, histograms={rows.name: grown})]
    history = History(AXIS, tuple(heard))
    assert history.quantiles(rows, 0.5) == (None, 3.0, None)
    assert history.means(rows) == (None, 3.5, None)


@pytest.mark.parametrize(
    ("counts", "share", "found"),
    [([4, 4, 0], 0.5, 1.0), ([4, 4, 0], 0.75, 1.5), ([0, 0, 3], 0.5, 2.0), ([0, 0, 0], 0.5, None)],
)
def test_a_quantile_is_linear_within_its_bucket(counts, share, found):
    assert quantile((1.0, 2.0), counts, share) == found


def test_only_processes_that_spoke_of_late_are_there():
    old = said(0, pid=1)
    new = said(2, pid=2)
    assert [one.pid for one in History(AXIS, (old, new)).latest()] == [2]


def test_many_series_become_few_and_a_rest():
    series = [Series(str(number), (float(number), None)) for number in range(12)]
    shown = sheet.most(series)
    assert [item.name for item in shown] == [str(number) for number in range(11, 3, -1)] + ["4 others"]
    assert shown[-1].values == (6.0, 0)


def test_a_chart_without_numbers_is_empty():
    chart = AXIS.chart("key", "Title", "Says", kind="lines", unit="", series=[Series("one", (0, None, 0))])
    assert chart.is_empty
    assert not AXIS.chart("key", "Title", "Says", kind="lines", unit="", series=[Series("one", (0, 1, 0))]).is_empty


def test_numbers_are_written_as_people_read_them():
    assert [sheet.milliseconds(value) for value in (None, 1.234, 123.4, 45_000)] == ["–", "1.23 ms", "123 ms", "45.0 s"]
    assert [sheet.size(value) for value in (12, 1500, 250e6, 3e12)] == ["12 B", "1.5 kB", "250 MB", "3000 GB"]
    assert [sheet.share(part, 200) for part in (0, 1, 200)] == ["0 %", "0.5 %", "100 %"]
    assert sheet.share(1, 0) == "0 %"
    assert sheet.bins((0.0, 0.05, 0.1)) == ["0.000 – 0.050", "0.050 – 0.100"]
    assert sheet.bins((100.0, 200.0, 300.0)) == ["100 – 200", "200 – 300"]


def test_many_who_look_at_once_ask_once():
    remembered, asked, gate = Remembered(), [], threading.Barrier(6)

    def read() -> str:
        asked.append(1)
        time.sleep(0.05)
        return "figures"

    def look(_: int) -> str:
        gate.wait(10)
        return remembered.get("key", read, keep_s=60)

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(look, range(6))) == {"figures"}
    # Two may read at the same time; nobody reads after them.
    assert len(asked) <= 2


def test_only_so_many_answers_are_remembered_and_each_for_its_time():
    remembered = Remembered(most=2)
    for key in ("a", "b", "c"):
        remembered.get(key, key.upper, keep_s=60)
    assert remembered.get("c", lambda: "new", keep_s=60) == "C"
    assert remembered.get("a", lambda: "new", keep_s=0) == "new"
    assert remembered.get("a", lambda: "newer", keep_s=60) == "newer"
