"""Accept now, answer later: what of the queued path runs beside the requests."""

from __future__ import annotations

from typing import Literal

from monitoring.background import Background

PURGE_EVERY_S = 3600.0
Role = Literal["web", "worker", "keeper"]


def background(role: Role) -> list[Background]:
    """The threads of one role; an embedded server has all three."""
    # Imported here: the app registry imports this package before models can be.
    from django.conf import settings

    from monitoring import recorder
    from monitoring.background import Ticker
    from monitoring.courtesy import TowardsCalls, TowardsOthers
    from predictions.queued import backlog, keeper, nudges, submission, waiting
    from predictions.queued.admission import GATE, SAMPLE_EVERY_S
    from predictions.queued.leases import LeaseKeeper

    limits = settings.SERVING
    if role == "web":
        return [
            nudges.PUBLISHER,
            *waiting.WAKE_UPS.background(),
            *submission.background(),
            Ticker("waiters", waiting.ASK_EVERY_S, waiting.WAITERS.ask),
            Ticker("admission", SAMPLE_EVERY_S, GATE.sample),
        ]
    if role == "worker":
        return [LeaseKeeper(limits["LEASE_S"])]
    queues = [f"predictions.{pool}.{priority}" for pool in settings.POOLS for priority in settings.PRIORITIES]
    rows, counted = keeper.Rows(), backlog.Backlog(queues)
    # A keeper's process answers nobody, but works beside those that do, on one machine perhaps.
    beside = TowardsOthers(lambda: max(counted.unrecorded / keeper.MOST_OWED, rows.lateness()))
    courtesy = TowardsCalls(rows.load()) if settings.EMBEDDED else beside
    # Where no Celery beat runs, the keeper's process keeps house itself.
    housekeeping = [Ticker("purge", PURGE_EVERY_S, keeper.purge)] if settings.EMBEDDED else []
    return [
        *housekeeping,
        Ticker("keeper", limits["KEEPER_INTERVAL_S"], keeper.keep),
        Ticker("backlog", backlog.COUNT_EVERY_S, counted.count),
        recorder.RecorderThread("ledger-recorder", [rows], courtesy=courtesy),
    ]
