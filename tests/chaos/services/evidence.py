"""What a run has left: rows and history in PostgreSQL, records in every index of its environment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psycopg
from elasticsearch import Elasticsearch

from tests.chaos import checker, ledger
from tests.chaos.checker import Evidence, Row
from tests.chaos.services.arena import Place

PAGE = 1_000


def collect(place: Place, client_ledger: Path) -> Evidence:
    """Everything the checker judges, read past our own code."""
    with psycopg.connect(place.urls["DATABASE_URL"], connect_timeout=5) as rows:
        found = rows.execute("SELECT id, status, input FROM predictions_prediction").fetchall()
        history = rows.execute("SELECT id, status FROM chaos_history").fetchall()
    return Evidence(
        attempts=ledger.read(client_ledger),
        rows=[
            Row(str(name), status, checker.first_input(orjson.loads(bytes(body)))[0]) for name, status, body in found
        ],
        records=[checker.kept(document) for document in _documents(place)],
        endings=Counter(str(name) for name, status in history if status != "processing"),
        claims=Counter(str(name) for name, status in history if status == "processing"),
    )


def settled(place: Place) -> bool:
    """Has every accepted row ended, and has everything its record?"""
    with psycopg.connect(place.urls["DATABASE_URL"], connect_timeout=5) as rows:
        found = rows.execute("SELECT count(*) FROM predictions_prediction WHERE recorded_at IS NULL").fetchone()
    return found is not None and found[0] == 0


def _documents(place: Place) -> Iterator[dict[str, Any]]:
    """Every document of every index, by a point in time: the same id in two indices comes twice."""
    with Elasticsearch(place.urls["ELASTICSEARCH_URL"], request_timeout=20) as client:
        client.indices.refresh(index=place.index_pattern)
        if not client.indices.get(index=place.index_pattern):
            return
        point = client.open_point_in_time(index=place.index_pattern, keep_alive="1m")["id"]
        after: list[Any] | None = None
        while True:
            page = client.search(
                pit={"id": point, "keep_alive": "1m"},
                size=PAGE,
                sort=[{"id": "asc"}, {"_shard_doc": "asc"}],
                track_total_hits=False,
                **({"search_after": after} if after else {}),
            )["hits"]["hits"]
            if not page:
                break
            for hit in page:
                yield hit["_source"]
            after = page[-1]["sort"]
        client.close_point_in_time(id=point)
