"""Real servers for the contract tests: started once for the run, private and on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from serving_site.stack import elasticsearch as stack_elasticsearch
from serving_site.stack import install

_DOWNLOADS = Path(__file__).resolve().parent.parent.parent / "var" / "downloads"


@pytest.fixture(scope="session")
def elasticsearch_client(tmp_path_factory):
    install.ensure("Java 17", "Maven")
    server = stack_elasticsearch.start(tmp_path_factory.mktemp("stack"), downloads=_DOWNLOADS)
    client = Elasticsearch(server.url, request_timeout=10, max_retries=0)
    yield client
    client.close()
    server.stop()
