"""What a page shows, as plain values: cards, charts and tables. The browser draws them; JSON is their only form.

`conditions` are those of a search for records, by the names the API uses; a chart's click leads there. Where they
are None, no records lie behind a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

Conditions = Mapping[str, str]

#: Series that one chart tells apart; what is beyond is added up as "others".
MOST_SERIES = 8


@dataclass(frozen=True, slots=True)
class Card:
    """One number with its name; `tone` is "", "good", "warn" or "bad"; `link` an address or ""."""

    title: str
    figure: str
    says: str = ""
    tone: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """The numbers of one line or kind of bar. `colour` is a tone, "mute", one of the palette
    ("c1" to "c8"), or "" for its next."""

    name: str
    values: tuple[float | None, ...]
    conditions: Conditions | None = None
    colour: str = ""
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """`kind` is "lines" or "bars"; `labels` are ISO times, or names; each has `points`, the conditions of its records.

    `unit` says how numbers are written: "", "ms", "s", "bytes", "share", "rate" or "cores". `empty` is shown instead
    of a chart without any number.
    """

    key: str
    title: str
    says: str
    kind: str
    unit: str
    labels: tuple[str, ...]
    points: tuple[Conditions, ...]
    series: tuple[Series, ...]
    empty: str
    is_stacked: bool = False
    is_time: bool = True
    is_wide: bool = False

    @property
    def is_empty(self) -> bool:
        return not any(value for series in self.series for value in series.values)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell; with `conditions` it leads to records, with `link` to that address; `tone` makes it a badge.

    `is_long` may take several lines.
    """

    text: str
    link: str = ""
    conditions: Conditions | None = None
    tone: str = ""
    is_number: bool = False
    is_long: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    key: str
    title: str
    says: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    empty: str
    is_wide: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """A whole page. `notes` are sentences above it: what is away, what is only estimated."""

    cards: tuple[Card, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        document = asdict(self)
        for shown, chart in zip(document["charts"], self.charts, strict=True):
            shown["is_empty"] = chart.is_empty
        return document


@dataclass(frozen=True, slots=True)
class Axis:
    """The stretches of time that every chart of a page has: their starts, and `seconds` of each."""

    starts: tuple[datetime, ...]
    seconds: int
    labels: tuple[str, ...] = field(init=False)
    points: tuple[Conditions, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(_iso(start) for start in self.starts))
        ends = (start + timedelta(seconds=self.seconds) for start in self.starts)
        points = tuple({"since": _iso(start), "until": _iso(end)} for start, end in zip(self.starts, ends, strict=True))
        object.__setattr__(self, "points", points)

    def chart(
        self, key: str, title: str, says: str, *, kind: str, unit: str, series: Sequence[Series], **how: Any
    ) -> Chart:
        """A chart over this time."""
        empty = how.pop("empty", "Nothing was measured in this time.")
        return Chart(key, title, says, kind, unit, self.labels, self.points, tuple(series), empty, **how)

    def lasted(self, start: datetime, now: datetime) -> float:
        """Seconds of a stretch that are over: by its whole length the running one would look like a fall.

        A quarter of it at least, so that one call in its first second is no spike.
        """
        return min(float(self.seconds), max(self.seconds / 4, (now - start).total_seconds()))

    def index(self, moment: datetime) -> int | None:
        """The stretch that `moment` lies in."""
        found = int((moment - self.starts[0]).total_seconds() // self.seconds)
        return found if 0 <= found < len(self.starts) else None


def most(series: Sequence[Series]) -> list[Series]:
    """The largest `MOST_SERIES`, by their sums, and the rest as one."""
    ordered = sorted(series, key=lambda item: -sum(value or 0 for value in item.values))
    shown, rest = ordered[:MOST_SERIES], ordered[MOST_SERIES:]
    if rest:
        values = tuple(sum(item.values[step] or 0 for item in rest) for step in range(len(rest[0].values)))
        shown.append(Series(f"{len(rest)} others", values, {}, colour="mute"))
    return shown


def number(value: float) -> str:
    """A count as people read it: 1,234 or 12.3 k."""
    return f"{value:,.0f}" if value < 100_000 else f"{value / 1000:,.0f} k"


def milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f} ms" if value < 10 else f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s"


def share(part: float, whole: float) -> str:
    return f"{short(100 * part / whole)} %" if whole and part else "0 %"


def short(value: float) -> str:
    """Two digits that count, or all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"


def size(octets: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if octets < 1000 or unit == "GB":
            break
        octets /= 1000
    return f"{octets:.0f} {unit}" if octets >= 100 or unit == "B" else f"{octets:.1f} {unit}"


def bins(edges: Sequence[float]) -> list[str]:
    """What the stretches between these bounds are called: as many decimals as their width needs."""
    width = min((most - least for least, most in pairwise(edges)), default=0.0)
    decimals = max(0, min(6, 1 - math.floor(math.log10(width)))) if width > 0 else 0
    return [f"{least:,.{decimals}f} – {most:,.{decimals}f}" for least, most in pairwise(edges)]


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
