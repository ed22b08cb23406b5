"""The record store on the cluster that the settings name: one client per process, made on first use."""

from __future__ import annotations

import logging
import os
import threading
from http import HTTPStatus
from typing import Any

from django.conf import settings
from elastic_transport import ConnectionError as NotReached
from elastic_transport import ConnectionTimeout, Transport
from elasticsearch import ApiError, Elasticsearch

from monitoring.guards import Guard
from monitoring.health import LIMIT_S, Part, State
from monitoring.stores.elastic import ElasticStore, Layout
from monitoring.stores.elastic_answers import SERIALIZERS

#: Seconds for one answer. The client tries nothing again: the source of a record does.
ANSWER_S = 5.0

#: Every call of the cluster: refused at once while it is away.
GUARD = Guard(
    "elasticsearch", refusal=NotReached, is_failure=lambda error: isinstance(error, (NotReached, ConnectionTimeout))
)

# The pool tells of every question that fails; the guard tells when it begins and ends.
logging.getLogger("elastic_transport.node_pool").setLevel(logging.ERROR)

_lock = threading.Lock()
_stores: dict[int, ElasticStore] = {}


class GuardedTransport(Transport):
    """The client's way to the cluster, behind the guard."""

    def perform_request(self, *args: Any, **options: Any) -> Any:
        with GUARD.call():
            return super().perform_request(*args, **options)


class Question:
    """Asks the cluster how it does. Red is told: some of what is stored cannot be found."""

    def __init__(self) -> None:
        self._client = client().options(request_timeout=0.9 * LIMIT_S)

    def ask(self) -> Part:
        """Raises `TransportError` when no answer came; a refusal of the question is an answer."""
        try:
            found = self._client.cluster.health()
        except ApiError as error:
            if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            return Part(State.OK, "elasticsearch answers")
        if found["status"] == "red":
            return Part(
                State.DEGRADED,
                "the cluster is red: some shards are not assigned; GET _cluster/allocation/explain on it says why",
            )
        return Part(State.OK, f"elasticsearch is {found['status']}")


def store() -> ElasticStore:
    """This process's store; connections are never shared with a parent process."""
    found = _stores.get(os.getpid())
    if found is None:
        with _lock:
            found = _stores.setdefault(os.getpid(), ElasticStore(client(), Layout(**settings.RECORD_INDEX)))
    return found


def client() -> Elasticsearch:
    """A client with short time-outs and no retries of its own."""
    return Elasticsearch(**options(**settings.ELASTICSEARCH))


def options(*, cluster: Any, ca_file: str, api_key: str) -> dict[str, Any]:
    """The client's arguments; `cluster` has `hosts`, `user` and `password`."""
    made: dict[str, Any] = {"hosts": list(cluster.hosts), "request_timeout": ANSWER_S, "max_retries": 0}
    made["transport_class"] = GuardedTransport
    made["serializers"] = SERIALIZERS
    made["retry_on_timeout"] = False
    if api_key:
        made["api_key"] = api_key
    elif cluster.user:
        made["basic_auth"] = (cluster.user, cluster.password)
    if ca_file:
        made["ca_certs"] = ca_file
    return made
