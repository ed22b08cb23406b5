"""Prediction analysis: of which models and versions, how often each class and each range of values was the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from monitoring.pages import sheet
from monitoring.pages.overview import NO_PREDICTIONS, stretch
from monitoring.pages.seen import Seen
from monitoring.pages.sheet import Cell, Chart, Series, Sheet, Table
from monitoring.stores.timeline import Slice, Timeline

#: Charts of distributions on one page, of the most asked models first.
MOST_DISTRIBUTIONS = 10
#: Of them for each model, where none is chosen.
MOST_OF_EACH = 2
#: Versions that one distribution tells apart.
MOST_VERSIONS = 5
Version = tuple[str, int]


def page(seen: Seen) -> Sheet:
    timeline = seen.timeline(outputs=True)
    if timeline is None:
        return Sheet(notes=tuple(seen.notes))
    notes = [*seen.notes, *sampled(timeline)]
    charts = [over_time(seen, timeline), *distributions(seen, timeline)]
    return Sheet(charts=tuple(charts), tables=(versions(timeline),), notes=tuple(notes))


def sampled(timeline: Timeline) -> Iterable[str]:
    if timeline.share < 1:
        yield (
            f"There are many records: latencies, classes and values are estimated from a random "
            f"{sheet.share(timeline.share, 1)} of them; numbers of predictions are exact."
        )


def over_time(seen: Seen, timeline: Timeline) -> Chart:
    """Predictions per stretch: by model, or by version when one model is chosen."""
    is_one = bool(seen.asked.model)
    numbers: dict[str, list[float]] = {}
    conditions: dict[str, dict[str, str]] = {}
    for step, bucket in enumerate(timeline.buckets):
        for (model, version), count in bucket.versions.items():
            name = f"{model} {version}" if is_one else model
            conditions[name] = {"model": model, **({"version": str(version)} if is_one else {})}
            numbers.setdefault(name, [0.0] * len(timeline.buckets))[step] += count
    series = [Series(name, tuple(values), conditions[name]) for name, values in sorted(numbers.items())]
    what = "version" if is_one else "model"
    return seen.axis.chart(
        "models",
        f"Predictions by {what}",
        f"Ended predictions per {stretch(seen.axis.seconds)}, by {what}.",
        kind="bars",
        unit="",
        series=sheet.most(series),
        is_stacked=True,
        is_wide=True,
        empty=NO_PREDICTIONS,
    )


def distributions(seen: Seen, timeline: Timeline) -> list[Chart]:
    """One chart per model and output: classes by how often, numbers in bins; a kind of bar for each version."""
    asked = Counter[str]()
    for (model, _), part in timeline.versions.items():
        asked[model] += part.count
    charts: list[Chart] = []
    for model, _ in asked.most_common():
        parts = [(version, part) for version, part in sorted(timeline.versions.items()) if version[0] == model]
        parts = parts[-MOST_VERSIONS:]
        found = [_classes(model, name, parts) for name in _names(parts, "classes")]
        found += [_numbers(model, name, parts, timeline.edges[name]) for name in _names(parts, "numbers")]
        charts += found if seen.asked.model else found[:MOST_OF_EACH]
    return charts[:MOST_DISTRIBUTIONS]


def _names(parts: Sequence[tuple[Version, Slice]], kind: str) -> list[str]:
    return sorted({name for _, part in parts for name in getattr(part, kind)})


def _classes(model: str, name: str, parts: Sequence[tuple[Version, Slice]]) -> Chart:
    texts = sorted({text for _, part in parts for text in part.classes.get(name, {})})
    return Chart(
        f"classes-{model}-{name}",
        f"{model}: {name}",
        "Share of each class among the first instances' answers, by version.",
        "bars",
        "share",
        tuple(texts),
        tuple({"value": f"output.{name}:{text}"} for text in texts),
        tuple(
            _series(version, _shares([part.classes.get(name, {}).get(text, 0) for text in texts]))
            for version, part in parts
        ),
        NO_PREDICTIONS,
        is_time=False,
    )


def _numbers(model: str, name: str, parts: Sequence[tuple[Version, Slice]], edges: Sequence[float]) -> Chart:
    """Only the bins from the first to the last that any version has something in."""
    counts = {version: part.numbers.get(name, ()) for version, part in parts}
    used = [place for place in range(len(edges) - 1) if any(found and found[place] for found in counts.values())]
    first, last = (used[0], used[-1] + 1) if used else (0, 0)
    bins = [(edges[place], edges[place + 1]) for place in range(first, last)]
    return Chart(
        f"numbers-{model}-{name}",
        f"{model}: {name}",
        "Share of each range of values among the first instances' answers, by version.",
        "bars",
        "share",
        tuple(sheet.bins(edges[first : last + 1])) if used else (),
        tuple({"value": f"output.{name}:{least:.9g}..{most:.9g}"} for least, most in bins),
        tuple(_series(version, _shares(found[first:last])) for version, found in counts.items() if found),
        NO_PREDICTIONS,
        is_time=False,
    )


def _series(version: Version, values: tuple[float | None, ...]) -> Series:
    model, number = version
    return Series(f"version {number}", values, {"model": model, "version": str(number)})


def _shares(counts: Sequence[float]) -> tuple[float | None, ...]:
    whole = sum(counts)
    return tuple(round(count / whole, 5) if whole else None for count in counts)


def versions(timeline: Timeline) -> Table:
    """Every version that answered, the most asked first."""
    rows = []
    for (model, number), part in sorted(timeline.versions.items(), key=lambda item: -item[1].count):
        conditions = {"model": model, "version": str(number)}
        errors = sum(part.errors.values())
        rows.append(
            (
                Cell(f"{model} {number}", conditions=conditions),
                Cell(sheet.number(part.count), is_number=True),
                Cell(sheet.share(part.count, timeline.total.count), is_number=True),
                Cell(sheet.share(errors, part.count), conditions={**conditions, "status": "failed"}, is_number=True),
                Cell(_commonest(part)),
                Cell(sheet.milliseconds(part.p50_ms), is_number=True),
                Cell(sheet.milliseconds(part.p95_ms), is_number=True),
            )
        )
    columns = ("Version", "Predictions", "Share", "Errors", "Most common answer", "p50", "p95")
    return Table("versions", "Versions", "", columns, tuple(rows), NO_PREDICTIONS, is_wide=True)


def _commonest(part: Slice) -> str:
    for texts in part.classes.values():
        text, count = max(texts.items(), key=lambda item: item[1])
        return f"{text} ({sheet.share(count, sum(texts.values()))})"
    return "–"
