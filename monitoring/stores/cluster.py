"""The record store on the cluster that the settings name: one client per process, made on first use."""

from __future__ import annotations

import os
import threading
from typing import Any

from django.conf import settings
from elasticsearch import Elasticsearch

from monitoring.stores.elastic import ElasticStore, Layout

#: Seconds for one answer. The client tries nothing again: the source of a record does.
ANSWER_S = 5.0

_lock = threading.Lock()
_stores: dict[int, ElasticStore] = {}


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
    made["retry_on_timeout"] = False
    if api_key:
        made["api_key"] = api_key
    elif cluster.user:
        made["basic_auth"] = (cluster.user, cluster.password)
    if ca_file:
        made["ca_certs"] = ca_file
    return made
