"""The way of a line: never waited for, in proportion, spooled, shipped once; beyond the bounds counted."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from monitoring import metrics
from monitoring.logs import ecs, outlet
from monitoring.logs.lines import LogLine
from monitoring.logs.outlet import Outlet, SpoolHandler
from monitoring.logs.proportion import Sampled
from monitoring.logs.shipping import Shipper, ShippingThread, SpooledLines
from monitoring.logs.stores import open_log_store
from monitoring.logs.stores.base import LogPage, LogQuery, Outcome
from monitoring.logs.uncaught import Uncaught
from monitoring.spool import Reader
from monitoring.stores.base import StoreUnavailable


class Kept:
    """A log store in memory that can be away or refuse."""

    def __init__(self) -> None:
        self.lines: dict[Any, LogLine] = {}
        self.answer: Callable[[LogLine], Outcome] | None = lambda line: Outcome.STORED

    def add(self, lines: Sequence[LogLine]) -> list[Outcome]:
        if self.answer is None:
            raise StoreUnavailable("away")
        outcomes = [Outcome.DUPLICATE if line.id in self.lines else self.answer(line) for line in lines]
        for line, outcome in zip(lines, outcomes, strict=True):
            if outcome is Outcome.STORED:
                self.lines[line.id] = line
        return outcomes

    def get(self, identifier: Any) -> LogLine | None:
        return self.lines.get(identifier)

    def search(self, query: LogQuery) -> LogPage:
        return LogPage(tuple(self.lines.values()))

    def purge(self, before: Any) -> int:
        return 0

    @property
    def messages(self) -> list[str]:
        return [line.text("message") for line in self.lines.values()]


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger of this test alone with the handler that spools."""
    found = logging.getLogger("tests.spooled")
    found.propagate, handler = False, SpoolHandler()
    handler.setFormatter(ecs.JsonFormatter())
    found.addHandler(handler)
    found.setLevel(logging.INFO)
    yield found
    found.removeHandler(handler)
    found.propagate = True


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Outlet]]:
    began: list[Outlet] = []

    def make(limit: int = 16 * 2**20) -> Outlet:
        began.append(Outlet(tmp_path, limit=limit, service="worker"))
        began[-1].start()
        return began[-1]

    quiet = logging.getLogger(outlet.__name__)
    before, level = ecs.service(), quiet.level
    quiet.setLevel(logging.ERROR)
    yield make
    for one in began:
        one.stop(5)
    ecs.name_service(before)
    quiet.setLevel(level)


def counted(outcome: str) -> float:
    return metrics.value(metrics.LOG_LINES, (outcome,))


def ship(folder: Path, store: Kept) -> int:
    """One round of a new keeper."""
    source = SpooledLines(Reader(folder))
    moved = Shipper(store, [source]).round()
    source.close()
    return moved


def test_a_line_reaches_the_store_with_the_name_of_its_service(tmp_path, logger, start):
    running, store = start(), Kept()
    logger.info("moved %d records", 3, extra={"action": "records_moved"})
    running.flush()
    assert ship(tmp_path, store) == 1
    (line,) = store.lines.values()
    assert line.text("message") == "moved 3 records"
    assert (line.text("service.name"), line.text("event.action")) == ("worker", "records_moved")
    assert ship(tmp_path, store) == 0


def test_the_thread_takes_lines_by_itself(tmp_path, logger, start):
    start()
    logger.info("by itself")
    store, ended = Kept(), threading.Event()
    for _ in range(100):
        if ship(tmp_path, store):
            break
        ended.wait(0.05)
    assert store.messages == ["by itself"]


def test_stopping_spools_what_waits(tmp_path, logger, start):
    running, store = start(), Kept()
    logger.info("the last word")
    running.stop(5)
    logger.info("after it")
    ship(tmp_path, store)
    assert store.messages == ["the last word"]


def test_a_store_that_is_away_or_refuses_leaves_the_lines_where_they_are(tmp_path, logger, start):
    running, store = start(), Kept()
    logger.info("one")
    running.flush()
    store.answer = None
    assert ship(tmp_path, store) == 0
    store.answer = lambda line: Outcome.RETRY
    assert ship(tmp_path, store) == 0
    store.answer = lambda line: Outcome.STORED
    assert ship(tmp_path, store) == 1


def test_a_line_the_store_will_never_take_holds_up_no_other(tmp_path, logger, start):
    running, store = start(), Kept()
    logger.info("bad")
    logger.info("good")
    running.flush()
    store.answer = lambda line: Outcome.REJECTED if line.text("message") == "bad" else Outcome.STORED
    before = counted("rejected")
    assert ship(tmp_path, store) == 2
    assert (store.messages, counted("rejected") - before) == (["good"], 1)


def test_a_keeper_that_died_before_it_marked_stores_nothing_twice(tmp_path, logger, start):
    running, store = start(), Kept()
    logger.info("one")
    logger.info("one")
    running.flush()
    for _ in range(2):
        source = SpooledLines(Reader(tmp_path))
        store.add([line for _, line in source.batch(10)])
        source.close()
    assert store.messages == ["one", "one"]


def test_a_full_spool_drops_and_counts_and_makes_nobody_wait(tmp_path, logger, start):
    running, before = start(limit=2**20), counted("dropped")
    for _ in range(30):
        for _ in range(10):
            logger.warning("%s", "x" * 4000)
        running.flush()
    dropped = counted("dropped") - before
    assert 0 < dropped < 300
    assert sum(path.stat().st_size for path in tmp_path.glob("*.spool")) <= 2**20
    store = Kept()
    while ship(tmp_path, store):
        pass
    assert len(store.lines) == 300 - dropped


def test_a_full_queue_drops_and_counts(logger, start, monkeypatch):
    running = start()
    monkeypatch.setattr(outlet, "MOST_WAITING", 0)
    before = counted("dropped")
    logger.info("too much")
    running.flush()
    assert counted("dropped") - before == 1


def test_a_folder_that_cannot_be_written_costs_lines_and_nothing_else(tmp_path):
    (tmp_path / "file").write_text("")
    running, before = Outlet(tmp_path / "file" / "spool", limit=2**20, service="web"), counted("dropped")
    running._owner = os.getpid()
    running.put("one")
    running.put("two")
    running.flush()
    assert counted("dropped") - before == 2


def test_a_child_of_the_process_puts_nothing_into_its_segments(tmp_path):
    running, before = Outlet(tmp_path / "spool", limit=2**20, service="web"), counted("dropped")
    running._owner = 0
    running.put("from a child of the process")
    running.flush()
    assert counted("dropped") == before
    assert not (tmp_path / "spool").exists()


def test_what_no_thread_catches_is_a_line_without_the_errors_words():
    written, uncaught = io.StringIO(), Uncaught()
    handler, heard = logging.StreamHandler(written), logging.getLogger("monitoring.logs.uncaught")
    handler.setFormatter(ecs.JsonFormatter())
    heard.addHandler(handler)
    heard.propagate = False
    uncaught.start()
    try:
        thread = threading.Thread(target=lambda: int("canary" + "77"), name="careless")
        thread.start()
        thread.join(5)
    finally:
        uncaught.stop(0)
        heard.propagate = True
        heard.removeHandler(handler)
    line = json.loads(written.getvalue())
    assert (line["message"], line["error.type"]) == ("thread careless ends by an error", "ValueError")
    assert line["log.level"] == "critical"
    assert "canary77" not in str(line)


def test_no_more_of_one_kind_than_the_rate_and_the_next_says_how_many_were_left_out():
    sampled, before = Sampled(3), counted("sampled")

    def passes(**extra: Any) -> logging.LogRecord | None:
        record = logging.getLogger("flood").makeRecord("flood", 30, "f", 1, "x", (), None, extra=extra)
        return record if sampled.filter(record) else None

    passed = sum(passes() is not None for _ in range(1000))
    assert 3 <= passed <= 12
    assert counted("sampled") - before == 1000 - passed
    assert passes(action="another kind") is not None
    sampled._windows["flood", "", 30][0] -= 1
    following = passes()
    assert following is not None
    assert json.loads(ecs.JsonFormatter().format(following))["labels.left_out"] == str(1000 - passed)


def test_both_handlers_of_a_line_get_one_answer():
    sampled = Sampled(1)
    record = logging.getLogger("flood").makeRecord("flood", 30, "f", 1, "x", (), None)
    assert [sampled.filter(record) for _ in range(3)] == [True, True, True]


@pytest.mark.django_db(transaction=True)
def test_where_no_keeper_runs_another_process_ships_what_has_waited_too_long(tmp_path, logger, start, settings):
    settings.LOG_SPOOL_DIR = tmp_path
    patient, hasty = ShippingThread(patience_s=3600.0), ShippingThread(patience_s=0.001)
    running = start()
    logger.info("who takes me")
    running.flush()
    time.sleep(0.01)
    patient._round()
    assert open_log_store().search(LogQuery()).lines == ()
    hasty._round()
    assert [line.text("message") for line in open_log_store().search(LogQuery()).lines] == ["who takes me"]
    logger.info("the last word")
    running.stop(5)
    hasty.stop(5)
    patient.stop(5)
    assert open_log_store().search(LogQuery(text="last")).lines
