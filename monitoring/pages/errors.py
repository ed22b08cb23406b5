"""Errors: which, of which versions, since when; what was refused; what had to be mended; the failed predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from monitoring import metrics
from monitoring.metrics import Declared
from monitoring.pages import links, sheet
from monitoring.pages.overview import stretch
from monitoring.pages.seen import Seen
from monitoring.pages.sheet import Card, Cell, Chart, Series, Sheet, Table
from monitoring.stores.timeline import Timeline

NO_ERRORS = "No errors in this time."
_PALETTE = ("bad", "warn", "c2", "c7", "c5", "c4", "c6", "c8", *["mute"] * 32)
#: Counters of what went wrong and was mended, or not: name in words → metric and the label that counts.
_TROUBLE: dict[str, tuple[Declared, str | None, str]] = {
    "leases ran out": (metrics.LEASE_EXPIRIES, None, ""),
    "nudged again": (metrics.RETRIES, None, ""),
    "dead letters": (metrics.DEAD_LETTERS, None, "bad"),
    "spool full": (metrics.SPOOL_REFUSALS, None, "warn"),
    "records lost": (metrics.RECORDS, "lost", "bad"),
    "records rejected": (metrics.RECORDS, "rejected", "warn"),
}


def page(seen: Seen) -> Sheet:
    timeline = seen.timeline()
    refused = seen.history.increases(metrics.REFUSALS)
    charts = [*_errors(seen, timeline), _by_version(seen, timeline), _refusals(seen, refused), _trouble(seen)]
    shown = tuple(chart for chart in charts if chart is not None)
    tables = (_codes(timeline), _failed(seen)) if timeline else ()
    return Sheet(tuple(_cards(seen, timeline, refused)), shown, tables, tuple(seen.notes))


def _cards(seen: Seen, timeline: Timeline | None, refused: dict[str, tuple[float | None, ...]]) -> Iterable[Card]:
    if timeline is not None:
        errors, count = sum(timeline.total.errors.values()), timeline.total.count
        tone = "bad" if errors > 0.05 * count else "warn" if errors > 0.01 * count else "good"
        yield Card("Errors", sheet.number(errors), f"of {sheet.number(count)} predictions", tone)
        yield Card("Share of errors", sheet.share(errors, count), "warns from 1 %", tone)
    total = sum(value or 0 for values in refused.values() for value in values)
    yield Card("Refused", sheet.number(total), "before a version was chosen")
    for title, name, says in (
        ("Dead letters", "dead letters", "messages no worker took"),
        ("Records lost", "records lost", "must stay 0"),
    ):
        found = sum(value or 0 for value in _counted(seen, name))
        yield Card(title, sheet.number(found), says, "bad" if found else "good")


def _errors(seen: Seen, timeline: Timeline | None) -> Iterable[Chart]:
    buckets = timeline.buckets if timeline else ()
    colours = _colours(timeline)
    yield seen.axis.chart(
        "codes",
        "Errors by code",
        f"Predictions per {stretch(seen.axis.seconds)} that ended with an error.",
        kind="bars",
        unit="",
        series=sheet.most(
            [
                Series(code, tuple(bucket.all.errors.get(code, 0) for bucket in buckets), {"error_code": code}, colour)
                for code, colour in colours.items()
            ]
        ),
        is_stacked=True,
        is_wide=True,
        empty=seen.or_away(NO_ERRORS),
    )
    shares = (sum(bucket.all.errors.values()) / bucket.all.count if bucket.all.count else None for bucket in buckets)
    yield seen.axis.chart(
        "share",
        "Share of errors",
        "Of the predictions that ended.",
        kind="lines",
        unit="share",
        series=[Series("errors", tuple(shares), {"status": "failed"}, "bad")],
        empty=seen.or_away(NO_ERRORS),
    )


def _by_version(seen: Seen, timeline: Timeline | None) -> Chart:
    """How many errors of each code each version had, the most faulty first."""
    versions = sorted(timeline.versions.items() if timeline else (), key=lambda item: -sum(item[1].errors.values()))
    faulty = [(version, part.errors) for version, part in versions if part.errors][:12]
    colours = _colours(timeline)
    return Chart(
        "by-version",
        "Errors by version",
        "The versions with the most errors in this time.",
        "bars",
        "",
        tuple(f"{model} {number}" for (model, number), _ in faulty),
        tuple({"model": model, "version": str(number)} for (model, number), _ in faulty),
        tuple(
            Series(code, tuple(errors.get(code, 0) for _, errors in faulty), {"error_code": code}, colour)
            for code, colour in colours.items()
        ),
        seen.or_away(NO_ERRORS),
        is_stacked=True,
        is_time=False,
    )


def _colours(timeline: Timeline | None) -> dict[str, str]:
    """A colour for each code, the commonest first, so that every chart of the page has the same."""
    return dict(zip(timeline.total.errors if timeline else (), _PALETTE, strict=False))


def _refusals(seen: Seen, refused: dict[str, tuple[float | None, ...]]) -> Chart:
    by_code: dict[str, Counter[int]] = {}
    for label, values in refused.items():
        code = label.rpartition(" ")[2]
        by_code.setdefault(code, Counter()).update({step: value or 0 for step, value in enumerate(values)})
    series = [
        Series(code, tuple(float(steps[step]) for step in range(len(seen.axis.starts))))
        for code, steps in sorted(by_code.items())
        if steps.total()
    ]
    return seen.axis.chart(
        "refusals",
        "Refused requests",
        "Bad keys, unknown models, full queues: refused before a version was chosen, so no record is kept.",
        kind="bars",
        unit="",
        series=sheet.most(series),
        is_stacked=True,
        empty="Nothing was refused in this time.",
    )


def _trouble(seen: Seen) -> Chart:
    series = [
        Series(name, values, colour=colour)
        for name, (_, _, colour) in _TROUBLE.items()
        if any(values := _counted(seen, name))
    ]
    return seen.axis.chart(
        "trouble",
        "Mended and lost",
        "Claims of workers that ran out, nudges sent again, messages and records that went astray.",
        kind="bars",
        unit="",
        series=series,
        is_stacked=True,
        empty="Nothing had to be mended in this time.",
    )


def _counted(seen: Seen, name: str) -> tuple[float | None, ...]:
    metric, wanted, _ = _TROUBLE[name]
    found = [values for label, values in seen.history.increases(metric).items() if wanted is None or label == wanted]
    return tuple(sum(values[step] or 0 for values in found) for step in range(len(seen.axis.starts)))


def _codes(timeline: Timeline) -> Table:
    errors = sum(timeline.total.errors.values())
    rows = tuple(
        (
            Cell(code, conditions={"error_code": code}),
            Cell(sheet.number(count), is_number=True),
            Cell(sheet.share(count, errors), is_number=True),
            Cell(", ".join(_having(timeline, code)), is_long=True),
        )
        for code, count in timeline.total.errors.items()
    )
    columns = ("Code", "Predictions", "Share", "Mostly of")
    return Table("codes", "Codes", "", columns, rows, NO_ERRORS, is_wide=True)


def _having(timeline: Timeline, code: str) -> list[str]:
    having = sorted(timeline.versions.items(), key=lambda item: -item[1].errors.get(code, 0))
    return [f"{model} {number}" for (model, number), part in having[:3] if part.errors.get(code)]


def _failed(seen: Seen) -> Table:
    rows = tuple(
        (
            Cell(f"{record.accepted_at:%d %b %H:%M:%S}", link=links.record(record.id)),
            Cell(f"{record.model} {record.version}"),
            Cell(record.error_code, tone="bad"),
            Cell(record.error[:300], is_long=True),
        )
        for record in seen.records(status="failed")
    )
    columns = ("Accepted (UTC)", "Version", "Code", "What went wrong")
    return Table("failed", "Newest failed predictions", "", columns, rows, NO_ERRORS, is_wide=True)
