"""Performance metrics: latency and throughput, now against a day and a week before, and where the time goes."""

from __future__ import annotations

from typing import Any

from panels import METRICS, QUEUED, THIRD, THIS_RECORD, Text, behind, behind_each, heat, ranking, rows, series
from panels import page as frame
from queries import (
    VERSION,
    documents,
    mean,
    over_time,
    percentiles,
    prom,
    quantile,
    rate,
    records,
    share_of_errors,
    terms,
)

BEFORE = (("now", ""), ("a day before", "1d"), ("a week before", "1w"))
EACH = "project, model, version"
LEGEND = "{{model}} {{version}}"
SLOW = behind("Records above 250 ms", min_ms="250")


def page() -> Any:
    says = "How fast answers are and where the time goes, compared with a day and a week before."
    sections = {
        "Against a day and a week before": compared(),
        "Latency": latency(),
        "Where the time goes": stages(),
        "Work": work(),
        "Records": slow(),
    }
    return frame("serving-performance", "Performance metrics", says, sections)


def compared() -> list[Any]:
    return [
        series(
            Text("Predictions per second", "Ended per second, and at the same time a day and a week before."),
            *(prom(rate("serving_predictions_total", VERSION, offset=offset), name) for name, offset in BEFORE),
            unit="reqps",
            links=[behind()],
            span=THIRD,
        ),
        series(
            Text("Latency p95", "From acceptance to answer, and at the same time a day and a week before."),
            *(
                prom(quantile(0.95, "serving_prediction_seconds", VERSION, offset=offset), name)
                for name, offset in BEFORE
            ),
            unit="s",
            links=[SLOW],
            span=THIRD,
        ),
        series(
            Text("Share of errors", "Predictions that ended with an error, and a day and a week before."),
            *(prom(share_of_errors(offset=offset), name) for name, offset in BEFORE),
            unit="percentunit",
            links=[behind("Failed records", status="failed")],
            span=THIRD,
        ),
    ]


def latency() -> list[Any]:
    buckets = rate("serving_prediction_seconds_bucket", VERSION, by="le")
    return [
        series(
            Text("Latency by version", "95 % of a version's predictions ended within this time."),
            prom(quantile(0.95, "serving_prediction_seconds", VERSION, by=EACH), LEGEND),
            unit="s",
            links=[SLOW, behind_each("project", "model", "version")],
            span=THIRD,
        ),
        series(
            Text("Latency by protocol", "95 % ended within this time: online (oip) and queued doors apart."),
            prom(quantile(0.95, "serving_prediction_seconds", VERSION, by="protocol"), "{{protocol}}"),
            unit="s",
            links=[SLOW],
            span=THIRD,
        ),
        heat(
            Text("Distribution of latency", "Predictions per second by how long they took: the darker, the more."),
            prom(buckets, "{{le}}", heatmap=True),
            unit="s",
            links=[behind()],
            span=THIRD,
        ),
    ]


def stages() -> list[Any]:
    parts = (
        ("waiting", "serving_queue_seconds"),
        ("inside the model", "serving_inference_seconds"),
        ("encoding", "serving_encode_seconds"),
    )
    return [
        series(
            Text(
                "Mean time by stage",
                "Waiting, inference and encoding of a mean prediction; the whole adds decoding.",
            ),
            *(prom(mean(metric, VERSION), name) for name, metric in parts),
            prom(mean("serving_prediction_seconds", VERSION), "whole"),
            unit="s",
            links=[behind()],
            span=THIRD,
        ),
        series(
            Text("Waiting by version", "95 % began their inference within this time after acceptance."),
            prom(quantile(0.95, "serving_queue_seconds", VERSION, by=EACH), LEGEND),
            unit="s",
            links=[QUEUED, behind_each("project", "model", "version")],
            span=THIRD,
        ),
        series(
            Text("Inference by version", "95 % of the calls of a model took at most this time."),
            prom(quantile(0.95, "serving_inference_seconds", VERSION, by=EACH), LEGEND),
            unit="s",
            links=[behind(), behind_each("project", "model", "version")],
            span=THIRD,
        ),
    ]


def work() -> list[Any]:
    views = "serving_django_http_requests_latency_seconds_by_view_method"
    return [
        ranking(
            Text("Models at work", "Seconds of inference per second: how many calls of each version run at a time."),
            prom(rate("serving_inference_seconds_sum", VERSION, by=EACH), LEGEND),
            unit="short",
            links=[behind(), behind_each("project", "model", "version")],
            span=THIRD,
        ),
        series(
            Text("Rows per call", "Mean rows that went through a model in one call: what joining requests gains."),
            prom(mean("serving_batch_rows", VERSION, by=EACH), LEGEND),
            unit="short",
            links=[behind(), behind_each("project", "model", "version")],
            span=THIRD,
        ),
        series(
            Text(
                "Response cache",
                "Answers per second of models with a response cache, by what it did.",
                "No model of this choice has a response cache",
            ),
            prom(rate("serving_cache_requests_total", VERSION, by="result"), "{{result}}"),
            unit="reqps",
            links=[behind()],
            span=THIRD,
            stacked=True,
        ),
        series(
            Text(
                "Slowest pages and calls",
                "95 % of the requests through Django took at most this time, by view.",
                "No request through Django",
            ),
            prom(f"topk(8, {quantile(0.95, views, by='view')})", "{{view}}"),
            unit="s",
            links=[METRICS],
            span=THIRD,
        ),
    ]


def slow() -> list[Any]:
    return [
        series(
            Text(
                "Latency of stored predictions",
                "Quantiles from the records, per model: exact where buckets are coarse.",
            ),
            records(
                terms("model", identifier="2"),
                over_time(),
                metrics=percentiles("total_ms", "50", "95", "99"),
                alias="{{term model}} {{metric}}",
            ),
            unit="ms",
            links=[behind(), behind_each("model")],
            span=THIRD,
        ),
        rows(
            Text("Slow predictions", "The newest hundred records above 100 ms.", "None took more than 100 ms"),
            documents(where="total_ms:>100"),
            unit="string",
            links=[behind("Records above 100 ms", min_ms="100"), THIS_RECORD],
            span=16,
            shown="accepted_at project model version status rows queue_ms inference_ms total_ms id",
        ),
    ]
