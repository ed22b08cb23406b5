"""What is wrong with a deployment and how to mend it, asked from beside it: `manage.py doctor`.

Every examination returns findings; one that cannot be made is a finding too. Nothing is changed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from django.conf import settings
from django.core.checks import WARNING, run_checks
from django.db import connection, connections
from django.db.models import Count, Min, Q
from django.utils import timezone

from models_registry import artifacts
from models_registry.errors import DomainError
from models_registry.models import Alias, ApiKey
from monitoring import parts
from monitoring.health import Part, State
from predictions.models import Prediction
from serving_site import env

#: Seconds one examination may take.
LIMIT_S = 10.0
#: Seconds after which an open prediction, or one that ended and has no record, deserves a look.
LATE_S = 300.0
#: Share of a disk that has to be free.
FREE_SHARE = 0.1


class Grade(Enum):
    """How bad: `bad` loses calls or will soon, `odd` deserves a look, `fine` is shown so that one sees it was asked."""

    FINE = "fine"
    ODD = "odd"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `mend` says what to do about it."""

    about: str
    grade: Grade
    what: str
    mend: str = ""


Examination = Callable[[], Iterator[Finding]]


def examine() -> Iterator[Finding]:
    """Every finding, one examination after the other; each within LIMIT_S."""
    for name, examination in EXAMINATIONS.items():
        with ThreadPoolExecutor(1, "doctor") as pool:
            asked = pool.submit(_ask, examination)
            try:
                yield from asked.result(LIMIT_S)
            except TookTooLong:
                yield Finding(name, Grade.BAD, f"no answer within {LIMIT_S:g} s", _REACH)
            except Exception as error:
                yield Finding(name, Grade.BAD, f"{type(error).__name__}: {str(error)[:300]}", _REACH)


def _ask(examination: Examination) -> list[Finding]:
    try:
        return list(examination())
    finally:
        connections.close_all()


def configuration() -> Iterator[Finding]:
    """Django's checks and ours; those of a deployment where others can reach it."""
    others = env.HOST not in env.LOOPBACK
    problems = [found for found in run_checks(include_deployment_checks=others) if found.level >= WARNING]
    for problem in problems:
        if not problem.is_silenced():
            grade = Grade.BAD if problem.is_serious() else Grade.ODD
            yield Finding("settings", grade, f"{problem.id}: {problem.msg}", problem.hint or _SETTINGS)
    if not problems:
        yield Finding("settings", Grade.FINE, "they do not contradict each other")


def database() -> Iterator[Finding]:
    yield _of_part("database", parts.database(), _REACH)
    mend = "Run `manage.py migrate` (role migrate) before the processes of this version."
    yield _of_part("migrations", parts.migrations(), mend)
    if connection.vendor == "sqlite" and not env.EMBEDDED:
        yield Finding("database", Grade.BAD, "several processes share SQLite", "Set DATABASE_URL to a PostgreSQL.")


def caches() -> Iterator[Finding]:
    mend = "Look at REDIS_URL and REDIS_RESULTS_URL; predictions go on meanwhile, waits are slower."
    yield _of_part("cache", parts.cache(), mend)


def record_store() -> Iterator[Finding]:
    mend = "Look at ELASTICSEARCH_URL; records wait in the spool and the ledger until it is back."
    yield _of_part("record store", parts.record_store(), mend)


def broker() -> Iterator[Finding]:
    if env.EMBEDDED:
        yield Finding("RabbitMQ", Grade.FINE, "not used: queues are in the server's process")
        return
    from serving_site.celery import app

    with app.connection_for_write() as reached:
        reached.ensure_connection(max_retries=1, timeout=3)
        with reached.channel() as channel:
            for queue in settings.CELERY_TASK_QUEUES:
                found: Any = queue(channel).queue_declare(passive=True)
                if not found.consumer_count:
                    mend = (
                        f"Start a worker of it: `python -m serving_site.roles worker {queue.name.rpartition('.')[2]}`."
                    )
                    yield Finding("RabbitMQ", Grade.ODD, f"nobody takes from {queue.name}", mend)
    yield Finding("RabbitMQ", Grade.FINE, f"its {len(settings.CELERY_TASK_QUEUES)} queues are there")


def ledger() -> Iterator[Finding]:
    open_rows = Q(status__in=(Prediction.Status.STARTING, Prediction.Status.PROCESSING))
    found = Prediction.objects.filter(open_rows).aggregate(count=Count("id"), oldest=Min("accepted_at"))
    if found["count"] and (age := (timezone.now() - found["oldest"]).total_seconds()) > LATE_S:
        mend = "Look whether workers of its queue run and keep up, and whether a keeper runs."
        yield Finding("ledger", Grade.ODD, f"{found['count']} are open, the oldest for {age:.0f} s", mend)
    else:
        yield Finding("ledger", Grade.FINE, f"{found['count']} predictions are open")
    late = Prediction.objects.filter(
        recorded_at=None, completed_at__lt=timezone.now() - timedelta(seconds=LATE_S)
    ).count()
    if late:
        yield Finding(
            "ledger", Grade.ODD, f"{late} ended predictions are not recorded yet", "Look whether a keeper runs."
        )


def models() -> Iterator[Finding]:
    broken = False
    for alias in Alias.objects.select_related("version", "model"):
        try:
            artifacts.local_path(alias.version.served_digest or alias.version.digest)
        except (DomainError, OSError) as error:
            broken = True
            mend = "Restore the artefact from a backup, or roll the alias back: `manage.py roll_back_alias`."
            yield Finding("models", Grade.BAD, f"{alias.model.name}@{alias.name}: {str(error)[:200]}", mend)
    if not broken:
        yield Finding("models", Grade.FINE, f"the artefacts of all {Alias.objects.count()} aliases are there and whole")
    if not ApiKey.objects.filter(revoked_at=None).exists() and not env.ANONYMOUS_PROJECT:
        yield Finding(
            "models", Grade.ODD, "there is no API key", "Make one: `manage.py create_key --project … --name …`."
        )


def spool() -> Iterator[Finding]:
    mend = "Look whether this host's keeper runs and the record store takes records."
    yield _of_part("spool", parts.spool(), mend)
    disk = shutil.disk_usage(settings.DATA_DIR)
    if disk.free < FREE_SHARE * disk.total or disk.free < settings.SERVING["SPOOL_LIMIT"]:
        what = f"{disk.free / 2**30:.1f} GiB of {settings.DATA_DIR}'s disk are free"
        yield Finding("disk", Grade.ODD, what, "Make room, or lower SPOOL_LIMIT: the spool may grow to that.")
    else:
        yield Finding("disk", Grade.FINE, f"{disk.free / 2**30:.0f} GiB are free")


def _of_part(about: str, part: Part, mend: str) -> Finding:
    grade = {State.OK: Grade.FINE, State.DEGRADED: Grade.ODD, State.DOWN: Grade.BAD}[part.state]
    return Finding(about, grade, part.detail or part.state.value, "" if grade is Grade.FINE else mend)


def summary(findings: list[Finding]) -> dict[str, Any]:
    """For programs: the worst grade, and every finding."""
    order = list(Grade)
    worst = max((finding.grade for finding in findings), key=order.index, default=Grade.FINE)
    shown = [{"about": one.about, "grade": one.grade.value, "what": one.what, "mend": one.mend} for one in findings]
    return {"grade": worst.value, "findings": shown}


_REACH = "Look whether it runs, whether its URL is right, and whether this host may reach it."
_SETTINGS = "See the settings table in README."
EXAMINATIONS: dict[str, Examination] = {
    "settings": configuration,
    "database": database,
    "cache": caches,
    "record store": record_store,
    "RabbitMQ": broker,
    "ledger": ledger,
    "models": models,
    "spool": spool,
}
