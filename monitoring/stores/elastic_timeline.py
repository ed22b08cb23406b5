"""The timeline of records in Elasticsearch: exact counts in one search, latencies and outputs from a random sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from elasticsearch import dsl

from monitoring.stores import timeline
from monitoring.stores.elastic_queries import asked
from monitoring.stores.timeline import Bucket, Slice, Timeline

_Body = dict[str, Any]
_Edges = dict[str, tuple[float, ...]]
_LATENCY = {"latency": {"percentiles": {"field": "total_ms", "percents": [50, 95, 99]}}}
_NOTHING: _Body = {"doc_count": 0, "time": {"buckets": []}}
_OUTPUTS = {"term": {"values.side": "output"}}


def read(search: dsl.Search[Any], *, start: datetime, end: datetime, buckets: int, outputs: bool = True) -> Timeline:
    """The timeline of what this search finds, which must all have been accepted from `start` to before `end`."""
    starts = timeline.starts(start, end, buckets)
    over_time = _over_time(start, timeline.width_ms(start, end, buckets))
    counted = _asked(search, {"all": _split(over_time, _errors(), _errors() | _versions({}))}).get("all", _NOTHING)
    count = counted["doc_count"]
    share = min(1.0, timeline.MOST_SAMPLED / count) if count else 1.0
    edges, sampled = _sampled(_sample(search, share), over_time, outputs) if count else ({}, _NOTHING)
    looks = {bucket["key"]: bucket for bucket in sampled["time"]["buckets"]}
    counts = {bucket["key"]: bucket for bucket in counted["time"]["buckets"]}
    looks_by_version = dict(_by_version(sampled))
    keys = [round(moment.timestamp() * 1000) for moment in starts]
    return Timeline(
        start=start,
        end=end,
        buckets=tuple(
            Bucket(
                moment,
                _slice(counts.get(key, {}), looks.get(key, {}), edges, share),
                {version: bucket["doc_count"] for version, bucket in _by_version(counts.get(key, {}))},
            )
            for moment, key in zip(starts, keys, strict=True)
        ),
        total=_slice(counted, sampled, edges, share),
        versions={
            version: _slice(bucket, looks_by_version.get(version, {}), edges, share)
            for version, bucket in _by_version(counted)
        },
        edges=edges,
        share=share,
    )


def _sampled(some: dsl.Search[Any], over_time: _Body, outputs: bool) -> tuple[_Edges, _Body]:
    """What these records hold, and where outputs are wanted the edges of the bins of each number."""
    edges = _edges(_asked(some, _ranges())) if outputs else {}
    looked = _LATENCY | (_distributions(edges) if outputs else {})
    return edges, _asked(some, {"all": _split(over_time, looked, _LATENCY)})["all"]


def _asked(search: dsl.Search[Any], aggregations: _Body) -> _Body:
    """The aggregations by name; none while there is no index yet."""
    answer = asked(search[:0].extra(aggs=aggregations).execute)
    found: _Body = answer.to_dict().get("aggregations", {})
    return found


def _sample(search: dsl.Search[Any], share: float) -> dsl.Search[Any]:
    """A random share of what the search finds. The random_sampler aggregation refuses nested values."""
    if share >= 1.0:
        return search
    chance = {"random_score": {"seed": 1, "field": "_seq_no"}}
    scored = dsl.Q(
        "function_score", query=search.query, functions=[chance], boost_mode="replace", min_score=1.0 - share
    )
    sampled: dsl.Search[Any] = search.extra()  # a copy
    sampled.query = scored  # type: ignore[assignment]
    return sampled


def _over_time(start: datetime, width: int) -> _Body:
    offset = round(start.timestamp() * 1000) % width
    return {
        "date_histogram": {
            "field": "accepted_at",
            "fixed_interval": f"{width}ms",
            "offset": f"+{offset}ms",
            "min_doc_count": 1,
        }
    }


def _split(over_time: _Body, inner: _Body, by_time: _Body) -> _Body:
    """`inner` for everything and for each version, `by_time` for each bucket of time."""
    return {"filter": {"match_all": {}}} | _within({**inner, **_versions(inner), "time": over_time | _within(by_time)})


def _versions(inner: _Body) -> _Body:
    by_number = _terms("version", timeline.MOST_VERSIONS) | _within(inner)
    return {"models": _terms("model", timeline.MOST_VERSIONS) | _within({"numbers": by_number})}


def _within(inner: _Body) -> _Body:
    return {"aggs": inner} if inner else {}


def _terms(name: str, size: int, **more: Any) -> _Body:
    return {"terms": {"field": name, "size": size, **more}}


def _errors() -> _Body:
    return {"errors": _terms("error_code", timeline.MOST_CODES, exclude=[""])}


def _ranges() -> _Body:
    names = _terms("values.name", timeline.MOST_NAMES) | {"aggs": {"range": {"stats": {"field": "values.number"}}}}
    numbers = {"bool": {"filter": [_OUTPUTS, {"exists": {"field": "values.number"}}]}}
    return {"values": _nested({"numbers": {"filter": numbers, "aggs": {"names": names}}})}


def _nested(inner: _Body) -> _Body:
    return {"nested": {"path": "values"}, "aggs": inner}


def _edges(answer: _Body) -> _Edges:
    return {
        bucket["key"]: timeline.edges_between(bucket["range"]["min"], bucket["range"]["max"])
        for bucket in answer["values"]["numbers"]["names"]["buckets"]
    }


def _distributions(edges: _Edges) -> _Body:
    texts = {"bool": {"filter": [_OUTPUTS, {"exists": {"field": "values.text"}}]}}
    names = _terms("values.name", timeline.MOST_NAMES) | {
        "aggs": {"texts": _terms("values.text", timeline.MOST_CLASSES)}
    }
    histograms = {
        f"number{place}": {
            "filter": {"bool": {"filter": [_OUTPUTS, {"term": {"values.name": name}}]}},
            "aggs": {"bins": _histogram(bounds)},
        }
        for place, (name, bounds) in enumerate(edges.items())
    }
    return {
        "values": _nested({"classes": {"filter": texts, "aggs": {"names": names}}, **histograms}),
    }


def _histogram(bounds: tuple[float, ...]) -> _Body:
    interval = (bounds[-1] - bounds[0]) / timeline.BINS
    offset = bounds[0] % interval
    if not 0 <= offset < interval:  # a remainder may be rounded up to the divisor, which Elasticsearch refuses
        offset = 0.0
    return {
        "histogram": {"field": "values.number", "interval": interval, "offset": offset, "min_doc_count": 1},
    }


def _slice(counted: Mapping[str, Any], looked: Mapping[str, Any], edges: _Edges, share: float) -> Slice:
    latency = looked.get("latency", {}).get("values", {})
    values = looked.get("values", {})
    classes = values.get("classes", {}).get("names", {}).get("buckets", [])
    numbers = {
        name: _bins(values.get(f"number{place}", {}).get("bins", {}).get("buckets", []), bounds)
        for place, (name, bounds) in enumerate(edges.items())
    }
    return Slice(
        count=counted.get("doc_count", 0),
        errors={bucket["key"]: bucket["doc_count"] for bucket in counted.get("errors", {}).get("buckets", [])},
        p50_ms=_milliseconds(latency.get("50.0")),
        p95_ms=_milliseconds(latency.get("95.0")),
        p99_ms=_milliseconds(latency.get("99.0")),
        classes={
            bucket["key"]: {text["key"]: round(text["doc_count"] / share) for text in bucket["texts"]["buckets"]}
            for bucket in classes
        },
        numbers={name: tuple(round(number / share) for number in bins) for name, bins in numbers.items() if any(bins)},
    )


def _bins(buckets: list[_Body], bounds: tuple[float, ...]) -> tuple[int, ...]:
    """Counts by bin; the greatest value falls behind the last bound and belongs to the last bin."""
    interval = (bounds[-1] - bounds[0]) / timeline.BINS
    found = Counter[int]()
    for bucket in buckets:
        place = round((bucket["key"] - bounds[0]) / interval)
        found[min(max(place, 0), timeline.BINS - 1)] += bucket["doc_count"]
    return tuple(found[place] for place in range(timeline.BINS))


def _milliseconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _by_version(split: Mapping[str, Any]) -> Iterator[tuple[tuple[str, int], _Body]]:
    for model in split.get("models", {}).get("buckets", []):
        for version in model["numbers"]["buckets"]:
            yield (model["key"], version["key"]), version
