"""Who meets no shards, as while a rebuilt index takes an old one's place, asks again, and nobody else does."""

from __future__ import annotations

import pytest
from elastic_transport import ApiResponseMeta, ConnectionTimeout, HttpHeaders, NodeConfig
from elasticsearch import ApiError

from monitoring.stores import elastic_queries
from monitoring.stores.base import StoreUnavailable


class Cluster:
    """Answers a question after these statuses."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.questions = 0

    def ask(self) -> str:
        self.questions += 1
        if not self.statuses:
            return "found"
        node = NodeConfig("http", "127.0.0.1", 9200)
        raise ApiError("no", ApiResponseMeta(self.statuses.pop(0), "1.1", HttpHeaders(), 0.0, node), {})


@pytest.mark.parametrize("statuses", [(), (503,), (503, 503)])
def test_a_search_that_meets_no_shards_is_sent_again(statuses: tuple[int, ...]) -> None:
    cluster = Cluster(*statuses)
    assert elastic_queries.asked(cluster.ask) == "found"
    assert cluster.questions == len(statuses) + 1


@pytest.mark.parametrize(("statuses", "questions"), [((503, 503, 503), 3), ((400,), 1), ((503, 500), 2)])
def test_other_refusals_and_a_lasting_one_are_told(statuses: tuple[int, ...], questions: int) -> None:
    cluster = Cluster(*statuses)
    with pytest.raises(StoreUnavailable):
        elastic_queries.asked(cluster.ask)
    assert cluster.questions == questions


def test_a_search_without_an_answer_is_not_sent_again() -> None:
    asked = []

    def ask() -> None:
        asked.append(1)
        raise ConnectionTimeout("no answer")

    with pytest.raises(StoreUnavailable):
        elastic_queries.asked(ask)
    assert asked == [1]
