"""Error tracking: which errors, of whom, since when, and the failed predictions themselves."""

from __future__ import annotations

from typing import Any

from panels import HEALTH, METRICS, QUEUED, THIRD, THIS_RECORD, Text, behind, behind_each, figure, ranking, rows, series
from panels import page as frame
from queries import OR_ZERO, VERSION, documents, increase, over_time, prom, rate, records, share_of_errors, terms

NONE = "No errors in this time"
QUIET = "Nothing is scraped"
FAILED = behind("Failed records", status="failed")


def page() -> Any:
    says = "Which errors happen, where and since when; every number leads to the failed predictions behind it."
    sections = {
        "Now": now(),
        "Failed predictions": failures(),
        "Refused, lost, mended": trouble(),
        "Records": newest(),
    }
    return frame("serving-errors", "Error tracking", says, sections)


def now() -> list[Any]:
    codes = f"{increase('serving_errors_total', VERSION)} {OR_ZERO}"
    counted = (
        (
            "Refused requests",
            "Refused before a version was chosen: bad input, no key, no such model.",
            "serving_refusals_total",
            METRICS,
        ),
        (
            "Dead letters",
            "Messages that no worker took; the keeper sends them anew.",
            "serving_dead_letters_total",
            QUEUED,
        ),
        (
            "Claims run out",
            "Workers that stopped renewing their claim: killed, hung or cut off.",
            "serving_lease_expiries_total",
            QUEUED,
        ),
        ("Spool full", "Calls refused because their record had no place.", "serving_spool_refusals_total", HEALTH),
    )
    return [
        figure(
            Text("Failed predictions", "Predictions that ended with an error within this time.", QUIET),
            prom(codes),
            unit="short",
            links=[FAILED],
            limits=(1, 100),
        ),
        figure(
            Text("Share of errors", "Of the predictions that ended. Orange from 1 %, red from 5 %."),
            prom(share_of_errors()),
            unit="percentunit",
            links=[FAILED],
            limits=(0.01, 0.05),
        ),
        *(
            figure(
                Text(title, f"{says} Within this time.", QUIET),
                prom(f"{increase(metric)} {OR_ZERO}"),
                unit="short",
                links=[link],
                limits=(1, 100),
            )
            for title, says, metric, link in counted
        ),
    ]


def failures() -> list[Any]:
    each = ("project", "model", "version")
    return [
        series(
            Text("Errors by code", "Ended with an error per second, by the code that the client got.", NONE),
            prom(rate("serving_errors_total", VERSION, by="code"), "{{code}}"),
            unit="reqps",
            links=[FAILED, behind_each("code")],
            span=THIRD,
            stacked=True,
        ),
        series(
            Text("Share of errors by version", "A new version that fails more than the one before shows here."),
            prom(share_of_errors(by=", ".join(each)), "{{model}} {{version}}"),
            unit="percentunit",
            links=[FAILED, behind_each(*each, status="failed")],
            span=THIRD,
        ),
        ranking(
            Text("Most errors", "The ten versions and codes with most errors within this time.", NONE),
            prom(
                f"topk(10, {increase('serving_errors_total', VERSION, by='project, model, version, code')} > 0)",
                "{{model}} {{version}}: {{code}}",
                instant=True,
            ),
            unit="short",
            links=[FAILED, behind_each(*each, "code")],
            span=THIRD,
        ),
    ]


def trouble() -> list[Any]:
    statuses = "serving_django_http_responses_total_by_status_total"
    kinds = "serving_django_http_exceptions_total_by_type_total"
    return [
        series(
            Text(
                "Refused requests",
                "Per second, by protocol and code, before a version was chosen.",
                "No request was refused",
            ),
            prom(rate("serving_refusals_total", by="protocol, code"), "{{protocol}} {{code}}"),
            unit="reqps",
            links=[METRICS],
            span=THIRD,
            stacked=True,
        ),
        series(
            Text("HTTP errors", "Answers of Django with 4xx or 5xx, per second.", "No such answer"),
            prom(rate(statuses, 'status=~"4..|5.."', by="status"), "{{status}}"),
            unit="reqps",
            links=[METRICS],
            span=THIRD,
            stacked=True,
        ),
        series(
            Text(
                "Unexpected exceptions",
                "Raised through Django's views, per second, by type: each is a defect.",
                "No exception",
            ),
            prom(rate(kinds, by="type"), "{{type}}"),
            unit="ops",
            links=[METRICS],
            span=THIRD,
        ),
        series(
            Text("Dead letters", "Messages no worker took, per second, by why.", "No dead letter"),
            prom(rate("serving_dead_letters_total", by="reason"), "{{reason}}"),
            unit="ops",
            links=[QUEUED],
            span=THIRD,
        ),
        series(
            Text(
                "Records refused or in conflict",
                "Records the store did not take as they are, per second.",
                "Every record was taken",
            ),
            prom(rate("serving_records_total", 'outcome=~"rejected|conflict|lost"', by="outcome"), "{{outcome}}"),
            unit="ops",
            links=[HEALTH],
            span=THIRD,
        ),
        series(
            Text(
                "Claims, nudges and Redis",
                "Claims run out, nudges sent again and failed calls of Redis, per second.",
                QUIET,
            ),
            prom(f"{rate('serving_lease_expiries_total')} {OR_ZERO}", "claims run out"),
            prom(f"{rate('serving_retries_total')} {OR_ZERO}", "nudges again"),
            prom(f"{rate('serving_redis_failures_total')} {OR_ZERO}", "Redis calls failed"),
            unit="ops",
            links=[HEALTH],
            span=THIRD,
        ),
        series(
            Text("Log lines left out", "Lines per second that were dropped, too many of a kind, or refused.", QUIET),
            prom(rate("serving_log_lines_total", 'outcome=~"dropped|sampled|rejected"', by="outcome"), "{{outcome}}"),
            unit="ops",
            links=[HEALTH],
            span=THIRD,
        ),
    ]


def newest() -> list[Any]:
    failed = "NOT status:succeeded"
    return [
        series(
            Text("Stored errors by code", "From the records, over time.", NONE),
            records(terms("error_code", identifier="2"), over_time(), where=failed, alias="{{term error_code}}"),
            unit="short",
            links=[FAILED, behind_each("error_code")],
            stacked=True,
        ),
        rows(
            Text("Errors by model", "Stored records that did not succeed, by model, version and code.", NONE),
            records(
                terms("model", identifier="2"),
                terms("version", identifier="3"),
                terms("error_code", identifier="4"),
                where=failed,
            ),
            unit="short",
            links=[FAILED],
            span=12,
        ),
        rows(
            Text("Newest failed predictions", "The newest hundred, with the text of their error.", NONE),
            documents(where=failed),
            unit="string",
            links=[FAILED, THIS_RECORD],
            shown="accepted_at project model version status error_code error request_id id",
        ),
    ]
