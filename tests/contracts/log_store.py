"""What every log store must do; an implementation's test class inherits this and provides `self.store`.

A store that makes writes visible a little later overrides `settle`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from monitoring.ids import mint
from monitoring.logs.lines import LogLine, line_of
from monitoring.logs.stores.base import LogQuery, LogStore, Outcome

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def a_line(message: str = "moved 3 records", *, moment: datetime = NOON, seed: bytes = b"", **fields: Any) -> LogLine:
    """A line whose fields are named with two underscores for a dot: `log__level="error"`."""
    given = {name.replace("__", "."): value for name, value in fields.items()}
    made = {
        "@timestamp": moment.isoformat(),
        "log.level": "info",
        "message": message,
        "service.name": "web",
        "labels.project": "demo",
    }
    return line_of({**made, **given}, seed=seed or mint().bytes)


class LogStoreContract:
    store: LogStore

    def settle(self) -> None:
        """Return when everything added can be searched."""

    def keep(self, *lines: LogLine) -> None:
        assert self.store.add(lines) == [Outcome.STORED] * len(lines)
        self.settle()

    def found(self, **conditions: Any) -> list[UUID]:
        return [line.id for line in self.store.search(LogQuery(**conditions)).lines]

    def test_a_line_comes_back_as_it_was(self):
        line = a_line(
            "naïve \u2603 \N{REPLACEMENT CHARACTER}",
            process__pid=7,
            http__response__status_code=503,
            event__duration=2**40,
            error__stack_trace="File x\n  line 3",
            trace__id="ab" * 16,
        )
        self.keep(line)
        assert self.store.get(line.id) == line
        assert self.store.search(LogQuery()).lines == (line,)
        assert self.store.get(a_line().id) is None

    def test_a_repeated_line_stays_one(self):
        line = a_line(seed=b"segment:100")
        self.keep(line)
        assert a_line(seed=b"segment:100") == line
        assert self.store.add([line, line]) == [Outcome.DUPLICATE, Outcome.DUPLICATE]
        self.settle()
        assert self.found() == [line.id]

    def test_equal_lines_from_different_places_are_two(self):
        self.keep(a_line(seed=b"a"), a_line(seed=b"b"))
        assert len(self.found()) == 2

    def test_an_empty_batch_is_no_work(self):
        assert self.store.add([]) == []

    def test_the_newest_come_first_page_by_page(self):
        lines = [a_line(moment=NOON + timedelta(microseconds=step)) for step in range(25)]
        self.keep(*lines)
        pages, cursor = [], None
        while True:
            page = self.store.search(LogQuery(limit=10, cursor=cursor))
            pages.append([line.id for line in page.lines])
            cursor = page.cursor
            if cursor is None:
                break
        assert [identifier for page in pages for identifier in page] == [line.id for line in reversed(lines)]
        assert max(map(len, pages)) == 10

    @pytest.mark.parametrize("cursor", ["x", "AAAA", "!" * 22, "A" * 100, "Ä" * 22])
    def test_a_cursor_not_made_here_is_refused(self, cursor):
        with pytest.raises(ValueError, match="cursor"):
            self.store.search(LogQuery(cursor=cursor))

    @pytest.mark.parametrize(
        ("condition", "fields"),
        [
            ({"project": "rival"}, {"labels__project": "rival"}),
            ({"model": "wine"}, {"labels__model": "wine"}),
            ({"service": "keeper"}, {"service__name": "keeper"}),
            ({"action": "answered"}, {"event__action": "answered"}),
            ({"request_id": "r-1"}, {"http__request__id": "r-1"}),
            ({"prediction_id": "p-1"}, {"labels__prediction_id": "p-1"}),
            ({"trace_id": "ab" * 16}, {"trace__id": "ab" * 16}),
            ({"level": "critical"}, {"log__level": "critical"}),
        ],
    )
    def test_a_condition_finds_only_what_meets_it(self, condition, fields):
        wanted = a_line(**fields)
        self.keep(wanted, a_line())
        assert self.found(**condition) == [wanted.id]

    def test_a_level_finds_itself_and_what_is_worse(self):
        levels = ["debug", "info", "warning", "error", "critical"]
        lines = [a_line(log__level=level, moment=NOON + timedelta(seconds=place)) for place, level in enumerate(levels)]
        self.keep(*lines)
        assert self.found(level="warning") == [line.id for line in reversed(lines[2:])]
        assert len(self.found(level="debug")) == 5

    def test_words_are_found_in_message_and_error_whatever_their_case_and_order(self):
        message = a_line("Lease of worker expired")
        error = a_line(
            "failed; it tries again", error__message="Connection refused", error__stack_trace="in settle\nraise"
        )
        self.keep(message, error)
        assert self.found(text="EXPIRED worker") == [message.id]
        assert self.found(text="refused") == [error.id]
        assert self.found(text="tries settle") == [error.id]
        assert self.found(text="expired refused") == []

    def test_a_search_without_a_project_sees_all_and_with_one_only_its_own(self):
        ours, nobodys = a_line(), a_line(labels__project="")
        self.keep(ours, nobodys)
        assert set(self.found()) == {ours.id, nobodys.id}
        assert self.found(project="demo") == [ours.id]

    def test_a_time_range_includes_its_beginning_and_excludes_its_end(self):
        first, second, third = (a_line(moment=NOON + timedelta(minutes=minute)) for minute in range(3))
        self.keep(first, second, third)
        assert self.found(since=NOON + timedelta(minutes=1)) == [third.id, second.id]
        assert self.found(until=NOON + timedelta(minutes=1)) == [first.id]
        assert self.found(since=NOON, until=NOON + timedelta(minutes=2)) == [second.id, first.id]

    def test_purging_drops_what_is_older_and_nothing_else(self):
        old, new = a_line(moment=NOON - timedelta(days=40)), a_line(moment=NOON)
        self.keep(old, new)
        assert self.store.purge(NOON - timedelta(days=30)) == 1
        self.settle()
        assert self.found() == [new.id]
