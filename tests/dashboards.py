"""The dashboards as Grafana would use them: its variables filled in, its Elasticsearch targets turned into searches.

Grafana itself is in no package registry; what stands here follows its 11.6 sources, as far as our panels go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.running import ROOT

FOLDER = ROOT / "docker" / "grafana"
NAMES = ("overview", "predictions", "performance", "errors")
#: What Grafana makes of its own variables for a dashboard of one hour on a screen of usual width.
BUILT_IN = {"__rate_interval": "1m", "__interval": "15s", "__interval_ms": "15000", "__range": "3600s"}
#: Kinds of buckets that take a list of our fields, and what of their settings Elasticsearch takes, as which type.
_NUMBERS = {"min_doc_count": int, "size": int}


@dataclass(frozen=True, slots=True)
class Target:
    """One query of one panel."""

    page: str
    panel: str
    source: str
    query: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.page}: {self.panel} {self.query['refId']}"


def read(name: str) -> dict[str, Any]:
    page: dict[str, Any] = json.loads((FOLDER / "dashboards" / f"{name}.json").read_text())
    return page


def panels(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every panel that shows something; rows are headings only."""
    return [panel for panel in page["panels"] if panel["type"] != "row"]


def targets(source: str) -> Iterator[Target]:
    """Every query of this data source (`prometheus`, `records`)."""
    for name in NAMES:
        for panel in panels(read(name)):
            for query in panel["targets"]:
                if panel["datasource"]["uid"] == source:
                    yield Target(name, panel["title"], source, query)


def filled(text: str, chosen: Mapping[str, Any]) -> str:
    """The text with `$name` and `${name:format}` replaced. Raises `KeyError` for a variable nobody declared."""
    values = {**BUILT_IN, **chosen}
    return re.sub(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))", lambda found: str(values[found[1] or found[2]]), text)


def promql(expression: str, **chosen: str) -> str:
    """As the Prometheus data source sends it; each variable is a regular expression, all values by default."""
    return filled(expression, {"project": ".+", "model": ".+", "version": ".+", **chosen})


def search(query: Mapping[str, Any], *, since: int, until: int, **chosen: str) -> dict[str, Any]:
    """The search that the Elasticsearch data source sends for a target; times are milliseconds since the epoch."""
    everything = {"project": "*", "model": "*", "version": "*", "output": "*", "width": "0.1", **chosen}
    query = json.loads(filled(json.dumps(query), everything))
    moment = {"gte": since, "lte": until, "format": "epoch_millis"}
    text = {"query_string": {"analyze_wildcard": True, "query": query["query"]}}
    conditions = {"bool": {"filter": [{"range": {query["timeField"]: moment}}, text]}}
    first = query["metrics"][0]
    if first["type"] == "raw_data":
        newest = [{query["timeField"]: {"order": "desc", "unmapped_type": "boolean"}}, {"_doc": {"order": "desc"}}]
        size = int(first["settings"]["size"])
        return {"size": size, "query": conditions, "sort": newest, "docvalue_fields": [query["timeField"]]}
    return {"size": 0, "query": conditions, "aggs": _buckets(query["bucketAggs"], query["metrics"], since, until)}


def _buckets(buckets: list[Any], metrics: list[Any], since: int, until: int) -> dict[str, Any]:
    if not buckets:
        return {metric["id"]: _metric(metric) for metric in metrics if metric["type"] != "count"}
    first, inner = buckets[0], _buckets(buckets[1:], metrics, since, until)
    made = {first["type"]: _bucket(first, since, until)}
    return {first["id"]: {**made, "aggs": inner} if inner else made}


def _bucket(bucket: Mapping[str, Any], since: int, until: int) -> dict[str, Any]:
    kind, settings = bucket["type"], bucket["settings"]
    if kind == "nested":
        return {"path": bucket["field"]}
    if kind == "filters":
        queries = {item["label"]: item["query"] for item in settings["filters"]}
        return {
            "filters": {
                label: {"query_string": {"analyze_wildcard": True, "query": text}} for label, text in queries.items()
            }
        }
    numbers = {name: turn(settings[name]) for name, turn in _NUMBERS.items() if name in settings}
    if kind == "date_histogram":
        bounds = {"extended_bounds": {"min": since, "max": until}, "format": "epoch_millis"}
        return {"field": bucket["field"], "fixed_interval": "15s", **bounds, **numbers}
    if kind == "histogram":
        return {"field": bucket["field"], "interval": float(settings["interval"]), **numbers}
    assert kind == "terms", kind
    return {"field": bucket["field"], "order": {settings["orderBy"]: settings["order"]}, **numbers}


def _metric(metric: Mapping[str, Any]) -> dict[str, Any]:
    settings = dict(metric.get("settings") or {})
    if "percents" in settings:
        settings["percents"] = [float(share) for share in settings["percents"]]
    return {metric["type"]: {"field": metric["field"], **settings}}


def fields(query: Mapping[str, Any]) -> set[str]:
    """Every field of a record that an Elasticsearch target names."""
    buckets = query.get("bucketAggs") or []
    texts = [query["query"]]
    for bucket in buckets:
        texts += [item["query"] for item in (bucket["settings"].get("filters") or [])]
    named = {item["field"] for item in [*buckets, *query["metrics"]] if item.get("field")}
    searched = {found for text in texts for found in re.findall(r"([a-z_.]+):", text.replace("${output:raw}", "*"))}
    existing = {found for text in texts for found in re.findall(r"_exists_:([a-z_.]+)", text)}
    return (named | searched | existing | {query["timeField"]}) - {"_exists_"}
