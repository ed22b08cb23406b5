# long: the one contract of every record store
"""What every record store must do; an implementation's test class inherits this and provides `self.store`.

A store that makes writes visible a little later overrides `settle`.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from monitoring import documents
from monitoring.ids import mint
from monitoring.records import Record, Value
from monitoring.stores import timeline
from monitoring.stores.base import Outcome, Query, Range, RecordStore
from monitoring.stores.timeline import Timeline

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at(moment: datetime) -> UUID:
    """A UUIDv7 of that moment."""
    return UUID(int=int(moment.timestamp() * 1000) << 80 | mint().int & (2**80 - 1))


def a_record(**fields: Any) -> Record:
    moment = fields.pop("moment", NOON)
    defaults: dict[str, Any] = {
        "id": at(moment),
        "project": "demo",
        "model": "iris",
        "version": 1,
        "version_id": mint(),
        "digest": "ab" * 32,
        "route": "alias champion",
        "door": "online",
        "protocol": "oip",
        "status": "succeeded",
        "accepted_at": moment,
        "completed_at": moment + timedelta(milliseconds=5),
        "rows": 1,
        "total_ms": 5.0,
        "inputs": {"input": [[5.1, None]]},
        "outputs": {"label": ["setosa"]},
        "values": (
            Value("input", "sepal_length", number=5.1),
            Value("output", "label", text="setosa"),
        ),
    }
    return Record(**{**defaults, **fields})


class RecordStoreContract:
    store: RecordStore

    def settle(self) -> None:
        """Return when everything created can be searched."""

    def keep(self, *records: Record) -> None:
        assert set(self.store.create(records)) <= {Outcome.STORED}
        self.settle()

    def found(self, **conditions: Any) -> list[UUID]:
        return [record.id for record in self.store.search(Query(project="demo", **conditions)).records]

    def test_a_record_comes_back_as_it_was(self):
        record = a_record(error="naïve \u2603", status="failed", error_code="model_error", key="k1", request_id="r")
        self.keep(record)
        assert self.store.get("demo", record.id) == record

    def test_whole_numbers_of_any_size_come_back_as_they_were(self):
        numbers = [2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**30, 0.1]
        record = a_record(inputs={"input": [numbers]})
        self.keep(record)
        found = self.store.get("demo", record.id)
        assert found is not None
        assert found.inputs["input"] == [numbers]
        assert [document["inputs"] for document in self.store.stream(Query("demo"))] == [{"input": [numbers]}]

    def test_an_empty_store_answers_every_question(self):
        query = Query(project="demo")
        assert self.store.get("demo", mint()) is None
        assert self.store.present([mint()]) == set()
        assert self.found() == []
        assert self.store.count(query) == 0
        assert self.store.counts(query, seconds=60) == []
        assert list(self.store.stream(query)) == []
        found = self.timeline(buckets=3)
        assert [bucket.all.count for bucket in found.buckets] == [0, 0, 0]
        assert (found.total.count, found.versions, found.edges, found.share) == (0, {}, {}, 1.0)
        assert self.store.remove(query) == 0

    def test_another_projects_record_does_not_exist(self):
        record = a_record(project="rival")
        self.keep(record)
        assert self.store.get("demo", record.id) is None
        assert self.store.get(None, record.id) == record
        assert self.found() == []

    def test_a_repeated_record_is_a_duplicate_and_stays_one(self):
        record = a_record()
        self.keep(record)
        assert self.store.create([record, record]) == [Outcome.DUPLICATE, Outcome.DUPLICATE]
        self.settle()
        assert self.found() == [record.id]

    def test_another_content_under_the_same_id_is_a_conflict_and_never_overwrites(self):
        record = a_record()
        self.keep(record)
        assert self.store.create([structs.replace(record, status="failed")]) == [Outcome.CONFLICT]
        assert self.store.get("demo", record.id) == record

    def test_every_item_of_a_batch_is_judged_by_itself_and_in_order(self):
        old = a_record()
        self.keep(old)
        new = a_record()
        outcomes = self.store.create([new, old, structs.replace(old, rows=7), new, structs.replace(new, rows=7)])
        assert outcomes == [
            Outcome.STORED,
            Outcome.DUPLICATE,
            Outcome.CONFLICT,
            Outcome.DUPLICATE,
            Outcome.CONFLICT,
        ]

    def test_an_empty_batch_is_no_work(self):
        assert self.store.create([]) == []

    def test_text_a_database_may_refuse_is_stored_all_the_same(self):
        record = a_record(error="a\0b", values=(Value("input", "n\0", text="\ud800"),), inputs={"x": ["\0"]})
        assert self.store.create([record]) == [Outcome.STORED]
        assert self.store.get("demo", record.id).inputs == {"x": ["\0"]}

    def test_the_newest_come_first_page_by_page(self):
        records = [a_record(moment=NOON + timedelta(seconds=second)) for second in range(25)]
        self.keep(*records)
        pages, cursor = [], None
        while True:
            page = self.store.search(Query(project="demo", limit=10, cursor=cursor))
            pages.append([record.id for record in page.records])
            cursor = page.cursor
            if cursor is None:
                break
        assert [identifier for page in pages for identifier in page] == [record.id for record in reversed(records)]
        assert max(len(page) for page in pages) == 10

    def test_the_newest_come_first_however_far_they_lie_apart(self):
        now = datetime.now(UTC).replace(microsecond=0)
        records = [a_record(moment=now - timedelta(days=days)) for days in (0, 1, 2, 5, 9, 40)]
        self.keep(*records)
        expected = [record.id for record in records]
        assert self.found() == expected
        assert self.found(limit=3) == expected[:3]
        page = self.store.search(Query(project="demo", limit=2))
        rest = self.store.search(Query(project="demo", limit=50, cursor=page.cursor))
        assert [record.id for record in (*page.records, *rest.records)] == expected
        assert self.found(until=now - timedelta(days=3)) == expected[3:]

    @pytest.mark.parametrize("bounds", [{}, {"since": NOON - timedelta(days=1), "until": NOON + timedelta(hours=1)}])
    def test_paging_over_seconds_and_hours_meets_every_record_once(self, bounds):
        gaps = [step * timedelta(seconds=13) for step in range(12)]
        gaps += [step * timedelta(minutes=7) for step in range(1, 12)] + [timedelta(hours=5), timedelta(hours=9)]
        later = timedelta(seconds=20)  # every other one was accepted a while after its id was made
        records = [a_record(id=at(NOON - gap), moment=NOON - gap + place % 2 * later) for place, gap in enumerate(gaps)]
        self.keep(*records)
        found, cursor = [], None
        while True:
            page = self.store.search(Query(project="demo", limit=3, cursor=cursor, **bounds))
            found += [record.id for record in page.records]
            if (cursor := page.cursor) is None:
                break
        assert found == [record.id for record in records]

    @pytest.mark.parametrize("cursor", ["", "x", "AAAA", "!" * 22, "A" * 100, "Ä" * 22])
    def test_a_cursor_not_made_here_is_refused(self, cursor):
        with pytest.raises(ValueError, match="cursor"):
            self.store.search(Query(project="demo", cursor=cursor or "?"))

    @pytest.mark.parametrize(
        ("condition", "fields"),
        [
            ({"model": "wine"}, {"model": "wine"}),
            ({"version": 2}, {"version": 2}),
            ({"status": "failed"}, {"status": "failed"}),
            ({"door": "queued"}, {"door": "queued"}),
            ({"error_code": "timeout"}, {"error_code": "timeout"}),
            ({"request_id": "abc"}, {"request_id": "abc"}),
            ({"least_ms": 100.0}, {"total_ms": 100.0}),
            ({"most_ms": 1.0}, {"total_ms": 1.0}),
        ],
    )
    def test_a_condition_finds_only_what_meets_it(self, condition, fields):
        wanted = a_record(**fields)
        self.keep(wanted, a_record())
        assert self.found(**condition) == [wanted.id]

    def test_the_text_of_errors_is_found_whatever_its_case(self):
        wanted = a_record(status="failed", error="Column petal_width exploded: 100 % over")
        other = a_record(status="failed", error="timed out after 1000 ms over")
        self.keep(wanted, other)
        assert self.found(error_text="petal_width") == [wanted.id]
        assert self.found(error_text="EXPLODED") == [wanted.id]
        assert set(self.found(error_text="over")) == {wanted.id, other.id}
        assert self.found(error_text="nowhere") == []

    def test_a_time_range_includes_its_beginning_and_excludes_its_end(self):
        first, second, third = (a_record(moment=NOON + timedelta(minutes=minute)) for minute in range(3))
        self.keep(first, second, third)
        assert self.found(since=NOON + timedelta(minutes=1)) == [third.id, second.id]
        assert self.found(until=NOON + timedelta(minutes=1)) == [first.id]
        assert self.found(since=NOON, until=NOON + timedelta(minutes=2)) == [second.id, first.id]

    def test_values_are_found_by_range_and_by_text(self):
        def flower(length: float, label: str) -> Record:
            values = (Value("input", "sepal_length", number=length), Value("output", "label", text=label))
            return a_record(values=values)

        small, middle, large = flower(4.5, "setosa"), flower(5.5, "setosa"), flower(7.5, "virginica")
        self.keep(small, middle, large)
        assert self.found(values=(Range("input", "sepal_length", 5.0, 6.0),)) == [middle.id]
        assert self.found(values=(Range("input", "sepal_length", least=7.5),)) == [large.id]
        assert self.found(values=(Range("input", "sepal_length", most=4.5),)) == [small.id]
        assert set(self.found(values=(Range("output", "label", text="setosa"),))) == {small.id, middle.id}
        both = (Range("output", "label", text="setosa"), Range("input", "sepal_length", least=5.0))
        assert self.found(values=both) == [middle.id]
        assert self.found(values=(Range("output", "sepal_length", least=0.0),)) == []

    def test_bounds_of_one_range_must_hold_for_the_same_value(self):
        record = a_record(values=(Value("input", "a", number=1.0), Value("input", "b", number=9.0)))
        self.keep(record)
        assert self.found(values=(Range("input", "a", 8.0, 10.0),)) == []

    def test_counts_go_by_time_model_version_and_status(self):
        self.keep(
            a_record(moment=NOON),
            a_record(moment=NOON + timedelta(seconds=59)),
            a_record(moment=NOON + timedelta(seconds=30), status="failed"),
            a_record(moment=NOON + timedelta(seconds=61)),
            a_record(moment=NOON, version=2),
            a_record(moment=NOON, project="rival"),
        )
        counted = self.store.counts(Query(project="demo", model="iris"), seconds=60)
        assert [(item.start, item.version, item.status, item.count) for item in counted] == [
            (NOON, 1, "failed", 1),
            (NOON, 1, "succeeded", 2),
            (NOON, 2, "succeeded", 1),
            (NOON + timedelta(seconds=60), 1, "succeeded", 1),
        ]
        assert {item.model for item in counted} == {"iris"}

    def test_texts_of_inputs_and_outputs_are_found_by_their_words(self):
        def review(text: str, label: str) -> Record:
            return a_record(values=(Value("input", "review", text=text), Value("output", "label", text=label)))

        wanted = review("The Tea was lukewarm at best", "negative")
        other = review("Lovely place", "positive " + "x" * 400)
        self.keep(wanted, other)
        assert self.found(text="lukewarm") == [wanted.id]
        assert self.found(text="the tea") == [wanted.id]
        assert self.found(text="POSITIVE") == [other.id]
        assert self.found(text="coffee") == []

    def test_a_subject_is_found_and_removed_with_all_its_records(self):
        hers = [a_record(subject="ab" * 16, moment=NOON + timedelta(days=day)) for day in range(3)]
        other, nobodys = a_record(subject="cd" * 16), a_record()
        self.keep(*hers, other, nobodys)
        assert set(self.found(subject="ab" * 16)) == {record.id for record in hers}
        assert self.store.remove(Query(project="rival", subject="ab" * 16)) == 0
        assert self.store.remove(Query(project="demo", subject="ab" * 16)) == 3
        assert set(self.found()) == {other.id, nobodys.id}
        assert self.store.present([record.id for record in hers]) == set()
        assert self.store.remove(Query(project="demo", subject="ab" * 16)) == 0

    def test_what_was_stored_a_moment_ago_is_removed_too(self):
        record = a_record(subject="ab" * 16)
        self.store.create([record])
        assert self.store.remove(Query(project="demo", subject="ab" * 16)) == 1
        self.settle()
        assert self.found() == []

    def test_a_stream_has_every_record_once_oldest_first_across_days_and_pages(self, monkeypatch):
        monkeypatch.setattr(sys.modules[type(self.store).__module__], "STREAMED", 10)
        records = [a_record(moment=NOON + timedelta(hours=hour)) for hour in range(30)]
        self.keep(*records, a_record(project="rival"), a_record(model="wine"))
        query = Query(project="demo", model="iris")
        found = list(self.store.stream(query))
        assert [document["id"] for document in found] == [str(record.id) for record in records]
        assert found[0] == documents.to_document(records[0])
        assert self.store.count(query) == 30
        assert list(self.store.stream(replace(query, version=7))) == []
        assert self.store.count(replace(query, version=7)) == 0

    def timeline(self, *, buckets: int, minutes: int = 3, **conditions: Any) -> Timeline:
        end = NOON + timedelta(minutes=minutes)
        return self.store.timeline(Query(project="demo", **conditions), start=NOON, end=end, buckets=buckets)

    def test_a_timeline_has_a_bucket_for_every_stretch_empty_ones_included(self):
        self.keep(
            a_record(moment=NOON),
            a_record(moment=NOON + timedelta(seconds=59)),
            a_record(moment=NOON + timedelta(seconds=120), version=2),
            a_record(moment=NOON + timedelta(seconds=180), version=2),
            a_record(moment=NOON - timedelta(seconds=1)),
            a_record(moment=NOON, project="rival"),
        )
        found = self.timeline(buckets=3)
        assert [bucket.start for bucket in found.buckets] == [NOON + timedelta(minutes=n) for n in range(3)]
        assert [bucket.all.count for bucket in found.buckets] == [2, 0, 1]
        assert [bucket.versions for bucket in found.buckets] == [{("iris", 1): 2}, {}, {("iris", 2): 1}]
        assert found.total.count == 3
        assert {version: one.count for version, one in found.versions.items()} == {("iris", 1): 2, ("iris", 2): 1}
        assert found.share == 1.0

    def test_a_timeline_tells_errors_by_code_and_latencies(self):
        failures = [
            a_record(status="failed", error_code=code, total_ms=100.0) for code in ("timeout", "timeout", "crashed")
        ]
        self.keep(*failures, *(a_record(moment=NOON + timedelta(minutes=1), total_ms=float(ms)) for ms in range(101)))
        found = self.timeline(buckets=3)
        assert found.total.errors == found.buckets[0].all.errors == {"timeout": 2, "crashed": 1}
        assert found.buckets[1].all.errors == {}
        assert found.buckets[0].all.p50_ms == 100.0
        latencies = found.buckets[1].all
        assert latencies.p50_ms == pytest.approx(50, abs=1.5)
        assert latencies.p95_ms == pytest.approx(95, abs=1.5)
        assert latencies.p99_ms == pytest.approx(99, abs=1.5)
        assert found.buckets[2].all.p50_ms is None

    def test_a_timeline_counts_classes_and_bins_the_numbers_of_outputs(self):
        def answer(label: str, score: float, **fields: Any) -> Record:
            inputs = (Value("input", "label", text="no output"), Value("input", "score", number=1e9))
            return a_record(
                values=(*inputs, Value("output", "label", text=label), Value("output", "score", number=score)), **fields
            )

        self.keep(
            answer("setosa", 0.0),
            answer("setosa", 0.26),
            answer("virginica", 1.0),
            answer("virginica", 0.26, version=2, moment=NOON + timedelta(minutes=1)),
        )
        found = self.timeline(buckets=3)
        assert found.total.classes == {"label": {"setosa": 2, "virginica": 2}}
        assert found.buckets[0].all.classes == {}
        assert found.versions["iris", 2].classes == {"label": {"virginica": 1}}
        assert list(found.edges) == ["score"]
        assert found.edges["score"] == pytest.approx([step / 20 for step in range(21)])
        bins = {place: count for place, count in enumerate(found.total.numbers["score"]) if count}
        assert bins == {0: 1, 5: 2, 19: 1}
        assert found.versions["iris", 2].numbers["score"].index(1) == 5

    def test_a_timeline_leaves_out_outputs_where_nobody_asks_for_them(self):
        self.keep(a_record(total_ms=8.0), a_record(total_ms=8.0))
        end = NOON + timedelta(minutes=1)
        found = self.store.timeline(Query(project="demo"), start=NOON, end=end, buckets=1, outputs=False)
        assert (found.total.count, found.total.p50_ms, found.buckets[0].all.p95_ms) == (2, 8.0, 8.0)
        assert (found.total.classes, found.total.numbers, found.edges) == ({}, {}, {})

    @pytest.mark.parametrize("values", [(-1.7e308, 1.7e308), (1e30,), (-5e-324, 5e-324), (0.1, 0.1 + 1e-16)])
    def test_a_timeline_bins_whatever_numbers_a_model_gives(self, values):
        self.keep(*(a_record(values=(Value("output", "value", number=one),)) for one in values))
        [[*bins]] = self.timeline(buckets=1).total.numbers.values()
        assert sum(bins) == len(values)

    def test_a_timeline_meets_the_query_and_crosses_projects_only_when_told(self):
        self.keep(a_record(), a_record(model="wine"), a_record(project="rival"))
        assert self.timeline(buckets=2, model="wine").total.count == 1
        every = self.store.timeline(Query(project=None), start=NOON, end=NOON + timedelta(hours=1), buckets=1)
        assert every.total.count == 3

    def test_a_large_timeline_counts_exactly_and_samples_the_rest(self, monkeypatch):
        monkeypatch.setattr(timeline, "MOST_SAMPLED", 40)
        self.keep(*(a_record(moment=NOON + timedelta(seconds=n % 180), total_ms=7.0) for n in range(200)))
        found = self.timeline(buckets=3)
        assert found.total.count == 200
        assert sum(bucket.all.count for bucket in found.buckets) == 200
        assert found.share == pytest.approx(0.2)
        assert found.total.p50_ms == 7.0
        assert 60 <= found.total.classes["label"]["setosa"] <= 500

    @pytest.mark.parametrize(("minutes", "buckets"), [(3, 0), (3, 501), (0, 3), (-1, 3)])
    def test_a_timeline_without_time_or_with_too_many_buckets_is_refused(self, minutes, buckets):
        with pytest.raises(ValueError, match="timeline"):
            self.timeline(buckets=buckets, minutes=minutes)

    def test_presence_tells_what_may_be_purged_elsewhere(self):
        there, missing = a_record(), a_record()
        self.keep(there)
        assert self.store.present([there.id, missing.id]) == {there.id}
        assert self.store.present([]) == set()

    def test_purging_drops_what_is_older_and_nothing_else(self):
        old, new = a_record(moment=NOON - timedelta(days=40)), a_record(moment=NOON)
        self.keep(old, new)
        assert self.store.purge(NOON - timedelta(days=30)) == 1
        self.settle()
        assert self.found() == [new.id]
        assert self.store.present([old.id]) == set()
