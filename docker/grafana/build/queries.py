"""Targets of panels: PromQL over what `/metrics` exports, and aggregations over the record indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import elasticsearch, prometheus
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.elasticsearch import TermsOrder

PROMETHEUS = dashboard.DataSourceRef("prometheus", "prometheus")
RECORDS = dashboard.DataSourceRef("elasticsearch", "records")
TIME_FIELD = "accepted_at"

#: What the variables choose, as labels and as fields of a record.
MODEL = 'project=~"$project",model=~"$model"'
VERSION = f'{MODEL},version=~"$version"'
CHOSEN = "project:$project AND model:$model AND version:$version"
#: A counter that never counted has no series yet; zero is the truth while anything is scraped at all.
OR_ZERO = "or 0 * sum(up)"


def rate(metric: str, labels: str = "", *, by: str = "", offset: str = "") -> str:
    """Per second, summed over processes, `by` these labels."""
    return f"sum{grouped(by)} (rate({metric}{{{labels}}}[$__rate_interval]{shifted(offset)}))"


def increase(metric: str, labels: str = "", *, by: str = "") -> str:
    """Within the dashboard's time, summed over processes."""
    return f"sum{grouped(by)} (increase({metric}{{{labels}}}[$__range]))"


def quantile(share: float, metric: str, labels: str = "", *, by: str = "", offset: str = "") -> str:
    """Quantile of a histogram; without traffic there is no answer (instead of NaN)."""
    inner = rate(f"{metric}_bucket", labels, by=f"le, {by}" if by else "le", offset=offset)
    return f"histogram_quantile({share}, {inner}) >= 0"


def mean(metric: str, labels: str = "", *, by: str = "") -> str:
    """Mean of a histogram's values; without traffic there is no answer."""
    return f"{rate(f'{metric}_sum', labels, by=by)} / ({rate(f'{metric}_count', labels, by=by)} > 0)"


def share_of_errors(*, by: str = "", offset: str = "") -> str:
    """Predictions that ended with an error, as a share of all; 0 when there were none, no answer without traffic."""
    errors = rate("serving_errors_total", VERSION, by=by, offset=offset)
    every = rate("serving_predictions_total", VERSION, by=by, offset=offset)
    return f"({errors} or 0 * {every}) / ({every} > 0)"


def grouped(by: str) -> str:
    return f" by ({by})" if by else ""


def shifted(offset: str) -> str:
    return f" offset {offset}" if offset else ""


def prom(expr: str, legend: str = "", *, instant: bool = False, heatmap: bool = False) -> Any:
    target = prometheus.Dataquery().expr(expr).legend_format(legend or "__auto").datasource(PROMETHEUS)
    if heatmap:
        target = target.format(prometheus.prometheus.PromQueryFormat.HEATMAP)
    return target.instant() if instant else target.range()


def records(*buckets: Any, metrics: Sequence[Any] = (), where: str = "", alias: str = "") -> Any:
    """An aggregation over the chosen records: buckets from the outermost to the innermost."""
    query = f"{CHOSEN} AND {where}" if where else CHOSEN
    target = elasticsearch.Dataquery().query(query).time_field(TIME_FIELD).alias(alias)
    return target.bucket_aggs(list(buckets)).metrics(list(metrics) or [elasticsearch.Count().id("1")])


def documents(*, where: str = "", size: int = 100) -> Any:
    """The newest of the chosen records themselves, one per row."""
    settings = elasticsearch.ElasticsearchRawDataSettings().size(str(size))
    return records(metrics=[elasticsearch.RawData().id("1").settings(settings)], where=where)


def over_time(identifier: str = "9") -> Any:
    settings = elasticsearch.ElasticsearchDateHistogramSettings().interval("auto").min_doc_count("0").trim_edges("0")
    return elasticsearch.DateHistogram().id(identifier).field(TIME_FIELD).settings(settings)


def terms(field: str, *, identifier: str, size: int = 10) -> Any:
    settings = elasticsearch.ElasticsearchTermsSettings().size(str(size)).min_doc_count("1")
    settings = settings.order(TermsOrder.DESC).order_by("_count")
    return elasticsearch.Terms().id(identifier).field(field).settings(settings)


def first_instance(query: str, *, label: str) -> list[Any]:
    """The searchable values of a record are nested: these two buckets choose among them."""
    chosen = elasticsearch.Filter().query(query).label(label)
    settings = elasticsearch.ElasticsearchFiltersSettings().filters([chosen])
    return [
        elasticsearch.Nested().id("3").field("values").settings({}),
        elasticsearch.Filters().id("4").settings(settings),
    ]


def histogram(field: str, *, identifier: str, interval: str) -> Any:
    settings = elasticsearch.ElasticsearchHistogramSettings().interval(interval).min_doc_count("1")
    return elasticsearch.Histogram().id(identifier).field(field).settings(settings)


def spread(field: str) -> list[Any]:
    """Number, mean, least, most and quantiles of a field."""
    percents = elasticsearch.ElasticsearchPercentilesSettings().percents(["5", "50", "95"])
    return [
        elasticsearch.Count().id("1"),
        elasticsearch.Average().id("12").field(field),
        elasticsearch.Min().id("13").field(field),
        elasticsearch.Max().id("14").field(field),
        elasticsearch.Percentiles().id("15").field(field).settings(percents),
    ]


def percentiles(field: str, *percents: str) -> list[Any]:
    settings = elasticsearch.ElasticsearchPercentilesSettings().percents(list(percents))
    return [elasticsearch.Percentiles().id("1").field(field).settings(settings)]


def average(field: str) -> list[Any]:
    return [elasticsearch.Average().id("1").field(field)]
