"""Which services are asked in the background, by processes in which somebody waits for them: those that serve.

Workers and keepers wait for a service that is away as long as they may: told at once that there is no database, a
worker would give up a whole queue of messages within a second.
"""

from __future__ import annotations

from django.conf import settings

from monitoring import parts
from monitoring.probing import Prober


def background() -> list[Prober]:
    """A prober for each service that the settings name."""
    found: list[Prober] = []
    if not settings.MONITORING:
        return found
    if not settings.EMBEDDED:
        from serving_site import celery, postgres

        found.append(Prober("database", postgres.Question().ask, guarded=(postgres.GUARD,)))
        found.append(Prober("queue", celery.Question().ask, guarded=(celery.GUARD,)))
    if settings.WAKE_UPS.endswith("RedisWakeUps"):
        # Its own guards let a prober through, and hear how it went.
        found.append(Prober("cache", parts.cache))
    if hasattr(settings, "ELASTICSEARCH"):
        from monitoring.stores import cluster

        found.append(Prober("record store", cluster.Question().ask, guarded=(cluster.GUARD,)))
    return found
