"""Searches and exports over many records: `python -m tests.bench.records`, figures as Markdown.

Seeds Elasticsearch (a private one with 1 GB of heap, or `--url`) and SQLite with records like those of the demo
models over ten days, then measures each usual search `--times` times and exports all records in every format,
watching the resident memory of this process. `make bench ONLY=searches` does the same and keeps the figures.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.bench import figures
from tests.bench.resident import Memory

DAYS = 10
LABELS = ("setosa", "versicolor", "virginica")
WORDS = ("late", "kind", "cold", "bright", "lukewarm", "tasty", "slow", "clean", "noisy", "friendly")
BATCH = 2_000
END = datetime.now(UTC).replace(second=0, microsecond=0)
START = END - timedelta(days=DAYS)


@dataclass(frozen=True)
class Sizes:
    """How much is measured; `url` is an Elasticsearch to use, else a private one is started."""

    elasticsearch: int = 1_000_000
    sqlite: int = 200_000
    times: int = 40
    url: str = ""


def main() -> None:
    from tests.bench import page

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elasticsearch", type=int, default=Sizes.elasticsearch, help="records; 0: none")
    parser.add_argument("--sqlite", type=int, default=Sizes.sqlite, help="records; 0: none")
    parser.add_argument("--times", type=int, default=Sizes.times, help="how often each search is made")
    parser.add_argument("--url", default="", help="an Elasticsearch to use; absent: a private one is started")
    print("\n\n".join(page.searches({"searches": measured(Sizes(**vars(parser.parse_args())))})))


def measured(sizes: Sizes) -> dict[str, Any]:
    """The section's document: a row per store. In a process of its own: it sets Django up on a folder it drops."""
    with tempfile.TemporaryDirectory(prefix="records-bench-") as root:
        os.environ["DATA_DIR"] = root
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "serving_site.settings")
        import django

        django.setup()
        rows = []
        if sizes.sqlite:
            rows.append(_measure("SQLite", _database(), sizes.sqlite, sizes.times, settle=lambda: None))
        if sizes.elasticsearch:
            rows.append(_elasticsearch(Path(root), sizes))
    return {"rows": rows}


def _database() -> Any:
    from django.core.management import call_command

    from monitoring.stores.database import DatabaseStore

    call_command("migrate", verbosity=0)
    return DatabaseStore()


def _elasticsearch(root: Path, sizes: Sizes) -> dict[str, Any]:
    from elasticsearch import Elasticsearch

    from monitoring.stores.elastic import ElasticStore, Layout
    from monitoring.stores.elastic_answers import SERIALIZERS
    from serving_site.stack import elasticsearch
    from serving_site.stack.server import discard

    server, folder = None, root / "stack"
    if not sizes.url:
        server = elasticsearch.start(folder, heap="1g", optimises=True, downloads=Path("var/downloads"))
    client = Elasticsearch(sizes.url or server.url, request_timeout=30, max_retries=0, serializers=SERIALIZERS)  # type: ignore[union-attr]
    store = ElasticStore(client, Layout(environment=f"bench{time.time_ns()}"))
    try:
        return _measure("Elasticsearch", store, sizes.elasticsearch, sizes.times, settle=store.refresh)
    finally:
        for row in client.cat.indices(index=store.layout.pattern, h="index", format="json"):
            client.indices.delete(index=row["index"])  # type: ignore[index]
        client.close()
        if server is not None:
            server.stop()
            discard(folder)


def _measure(name: str, store: Any, count: int, times: int, *, settle: Callable[[], None]) -> dict[str, Any]:
    began = time.perf_counter()
    for batch in _batches(count):
        store.create(batch)
    settle()
    seeded_per_s = figures.rounded(count / (time.perf_counter() - began))
    print(f"  {name}: {count:,} records seeded, {seeded_per_s:,.0f}/s", file=sys.stderr, flush=True)
    found, everything = [], []
    for label, search in searches(store).items():
        row, took = _timed(label.lstrip("*"), search, times)
        found.append(row | {"counted": not label.startswith("*")})
        everything += took if found[-1]["counted"] else []
    return {
        "store": name,
        "records": count,
        "seeded_per_s": seeded_per_s,
        "p50_ms": figures.rounded(statistics.median(everything)),
        "p95_ms": figures.rounded(_p95(everything)),
        "searches": found,
        "exports": [_export(store, form, count) for form in ("jsonl", "csv", "parquet")],
    }


def _timed(label: str, search: Callable[[], int], times: int) -> tuple[dict[str, Any], list[float]]:
    """One search `times` times: its row, and the milliseconds of each."""
    _answered(search)  # the first one opens files
    took, found = [], 0
    for _ in range(times):
        before = time.perf_counter()
        found = _answered(search)
        took.append((time.perf_counter() - before) * 1000)
    p50, p95 = figures.rounded(statistics.median(took)), figures.rounded(_p95(took))
    print(f"  {label}: p50 {p50} ms, p95 {p95} ms, found {found:,}", file=sys.stderr, flush=True)
    return {"search": label, "p50_ms": p50, "p95_ms": p95, "found": found}, took


def searches(store: Any) -> dict[str, Callable[[], int]]:
    """The usual ones; those that count over everything are marked with * and are not part of the total."""
    from monitoring.stores.base import Query, Range

    def page(**conditions: Any) -> Callable[[], int]:
        return lambda: len(store.search(Query("demo", **conditions)).records)

    def second_page() -> int:
        first = store.search(Query("demo", model="iris"))
        return len(store.search(Query("demo", model="iris", cursor=first.cursor)).records)

    day = {"since": END - timedelta(days=2), "until": END - timedelta(days=1)}
    label = (Range("output", "label", text="setosa"), Range("input", "sepal_length", 5.0, 5.2))
    return {
        "newest": page(),
        "of a model": page(model="iris"),
        "of a model, page after page": second_page,
        "of one day": page(**day),
        "failed ones": page(status="failed"),
        "of a version, slower than 100 ms": page(model="iris", version=2, least_ms=100.0),
        "feature between two values": page(values=(Range("input", "sepal_length", 5.0, 5.2),)),
        "class and feature, of one day": page(values=label, **day),
        "words of an error": page(error_text="column petal_width"),
        "words of a text": page(model="reviews", text="lukewarm"),
        "request id, of one day": page(request_id="r-7", **day),
        "counts by the hour, one day": lambda: len(store.counts(Query("demo", **day), seconds=3600)),
        "*timeline of one day, 60 buckets": lambda: (
            store.timeline(Query("demo"), start=day["since"], end=day["until"], buckets=60).total.count
        ),
        "*timeline of all, 60 buckets": lambda: (
            store.timeline(Query("demo"), start=START, end=END, buckets=60).total.count
        ),
    }


def _export(store: Any, form: str, count: int) -> dict[str, Any]:
    from monitoring import formats
    from monitoring.stores.base import Query

    next(formats.pieces(store.stream(Query("demo", model="nothing")), form), None)  # imports what it needs
    memory = Memory(count)
    began, octets = time.perf_counter(), 0
    for piece in formats.pieces(memory.watched(store.stream(Query("demo"))), form):
        octets += len(piece)
    seconds = time.perf_counter() - began
    if memory.seen != count:
        raise RuntimeError(f"{memory.seen} of {count} records were exported")
    row = {
        "form": form,
        "per_s": figures.rounded(count / seconds),
        "file_mb": figures.rounded(octets / 1e6),
        **{name: figures.rounded(value) for name, value in memory.told().items()},
    }
    print(f"  {row}", file=sys.stderr, flush=True)
    return row


def _answered(search: Callable[[], int]) -> int:
    """What it finds; a search that is given up is made again, and the time counts."""
    from monitoring.stores.base import StoreUnavailable

    while True:
        try:
            return search()
        except StoreUnavailable as error:
            print(f"given up: {str(error)[:100]}", file=sys.stderr)


def _p95(took: list[float]) -> float:
    return statistics.quantiles(took, n=20)[18]


def _batches(count: int) -> Iterator[list[Any]]:
    chance = random.Random(20_260_301)
    step = timedelta(days=DAYS) / count
    batch = []
    for index in range(count):
        batch.append(_record(START + step * index, index, chance))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _record(moment: datetime, index: int, chance: random.Random) -> Any:
    from monitoring.records import Record

    identifier = UUID(int=int(moment.timestamp() * 1000) << 80 | 0x7 << 76 | 0x2 << 62 | chance.getrandbits(60))
    failed = index % 50 == 0
    took = chance.expovariate(1 / 8)
    made = _review(chance) if index % 5 == 0 else _iris(chance)
    return Record(
        id=identifier,
        project="demo",
        model="reviews" if index % 5 == 0 else "iris",
        version=1 + index % 3,
        version_id=UUID(int=7),
        digest="ab" * 32,
        route="alias champion",
        door="queued" if index % 4 == 0 else "online",
        protocol="oip",
        status="failed" if failed else "succeeded",
        accepted_at=moment,
        completed_at=moment + timedelta(milliseconds=took),
        key="bench",
        request_id=f"r-{index % 100_000}",
        error_code="model_error" if failed else "",
        error=f"row {index}: column petal_width is out of range" if failed else "",
        rows=1,
        inference_ms=took / 2,
        total_ms=took,
        **made,
    )


def _iris(chance: random.Random) -> dict[str, Any]:
    from monitoring.records import Value

    features = [round(chance.uniform(low, high), 1) for low, high in ((4, 8), (2, 4.5), (1, 7), (0.1, 2.5))]
    names = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    label = chance.choice(LABELS)
    shares = [chance.random() for _ in LABELS]
    return {
        "inputs": {"input": [features]},
        "outputs": {"label": [label], "probabilities": [shares]},
        "values": (
            *(Value("input", name, number=value) for name, value in zip(names, features, strict=True)),
            Value("output", "label", text=label),
            *(Value("output", f"probabilities.{one}", number=share) for one, share in zip(LABELS, shares, strict=True)),
        ),
    }


def _review(chance: random.Random) -> dict[str, Any]:
    from monitoring.records import Value

    text = " ".join(chance.choice(WORDS) for _ in range(12))
    score = chance.random()
    return {
        "inputs": {"review": [text]},
        "outputs": {"score": [score]},
        "values": (Value("input", "review", text=text), Value("output", "score", number=score)),
    }


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
    main()
