"""What a page is asked to show: project, model, version and period, read from the query string and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.utils.module_loading import import_string

from monitoring.stores.base import Query

MOST_TEXT = 128


@dataclass(frozen=True, slots=True)
class Period:
    """`stretches` of `seconds` each; `lasting` names the samples that lie densely enough; `refresh_s` between looks."""

    name: str
    says: str
    seconds: int
    stretches: int
    lasting: int
    refresh_s: int


PERIODS = {
    period.name: period
    for period in (
        Period("hour", "Last hour", 60, 60, 0, 10),
        Period("day", "Last day", 900, 96, 1, 60),
        Period("week", "Last week", 7200, 84, 2, 300),
    )
}


class InvalidFilter(ValueError):
    """A filter of the page has a value it cannot have; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters offer: every project, the models of the chosen one, the versions of the chosen model."""

    projects: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    versions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """One look at one project; the time ends with the stretch that is now."""

    project: str
    period: Period
    until: datetime
    model: str = ""
    version: int | None = None

    @property
    def since(self) -> datetime:
        return self.until - timedelta(seconds=self.period.seconds * self.period.stretches)

    @property
    def conditions(self) -> dict[str, str]:
        """The filters as conditions of a search for records."""
        named = {"project": self.project, "model": self.model, "version": str(self.version or "")}
        return {name: text for name, text in named.items() if text}

    def query(self) -> Query:
        return Query(project=self.project, model=self.model or None, version=self.version)

    def starts(self) -> list[datetime]:
        return [self.since + timedelta(seconds=self.period.seconds * step) for step in range(self.period.stretches)]


def read(parameters: Mapping[str, str]) -> tuple[Asked, Choices]:
    """What these parameters ask for, and what else might be. Raises `InvalidFilter` naming the faulty one."""
    model = _text("model", parameters.get("model", ""))
    wanted = _text("project", parameters.get("project", ""))
    choices = offered(wanted, model)
    if wanted and wanted not in choices.projects:
        raise InvalidFilter("project", f"there is no project {wanted}")
    period = PERIODS.get(parameters.get("period") or "hour")
    if period is None:
        raise InvalidFilter("period", f"one of {', '.join(PERIODS)} is needed")
    project = wanted or next(iter(choices.projects), "")
    version = _number("version", parameters.get("version", "")) if model else None
    return Asked(project, period, _end(datetime.now(UTC), period.seconds), model, version), choices


def offered(project: str, model: str) -> Choices:
    """The registry's projects, models and versions: monitoring knows no other room, so it is told by name."""
    return Choices(*import_string(settings.WATCHED)(project, model))


def _end(now: datetime, seconds: int) -> datetime:
    """The end of the stretch that `now` lies in: stretches begin at multiples of their length."""
    return datetime.fromtimestamp((int(now.timestamp()) // seconds + 1) * seconds, UTC)


def _text(field: str, text: str) -> str:
    if len(text) > MOST_TEXT or "\0" in text:
        raise InvalidFilter(field, f"a name of at most {MOST_TEXT} characters is needed")
    return text


def _number(field: str, text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise InvalidFilter(field, "the number of a version is needed")
    return int(text)
