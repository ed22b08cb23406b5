"""Records are kept on a disk that is nearly full, as long as there is room for them."""

from __future__ import annotations

import re

from elasticsearch import Elasticsearch

_WATERMARK = "cluster.routing.allocation.disk.watermark."


def test_a_private_node_looks_at_free_space_not_at_parts_of_the_disk(elasticsearch_client: Elasticsearch) -> None:
    """No disk is filled here: the node is asked for what it goes by."""
    settings = elasticsearch_client.cluster.get_settings(include_defaults=True, flat_settings=True)
    effective = {**settings["defaults"], **settings["persistent"], **settings["transient"]}
    for name in ("low", "high", "flood_stage"):
        assert re.fullmatch(r"\d+(gb|mb)", effective[_WATERMARK + name]), name
