"""The parts of health that monitoring itself can ask: database, cache, record store, spool, background threads."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.core.cache import caches
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from monitoring import health, ids, spooling, stores
from monitoring.background import beats, fresh_connection
from monitoring.health import Part, State

#: Records that wait longer than this are late; nothing is lost, but somebody should look.
LATE_S = 60.0
_OK = Part(State.OK)


def register() -> None:
    """Make them known; the migrations are a gate."""
    health.register("migrations", migrations, is_gate=True)
    health.register("database", database)
    health.register("cache", cache)
    health.register("record store", record_store)
    health.register("spool", spool)
    health.register("threads", threads)


def database() -> Part:
    with fresh_connection(), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return Part(State.OK, connection.vendor)


def migrations() -> Part:
    """Asked of the database until it was ok once: applied migrations do not go away while a process runs."""
    global _is_migrated
    if _is_migrated:
        return _OK
    with fresh_connection():
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        return Part(State.DOWN, f"{len(missing)} migrations are not applied")
    _is_migrated = True
    return _OK


def cache() -> Part:
    """Write and read in every cache: django-redis swallows its errors, so only the value read back tells."""
    token = secrets.token_hex(8)
    for name in settings.CACHES:
        caches[name].set(f"health-{token}", token, 10)
        if caches[name].get(f"health-{token}") != token:
            return Part(State.DEGRADED, f"cache {name} does not keep what it is given")
        caches[name].delete(f"health-{token}")
    return _OK


def record_store() -> Part:
    with fresh_connection():
        stores.open_store().present([ids.mint()])
    return _OK


def spool() -> Part:
    waiting = spooling.waiting()
    limit = settings.SERVING["SPOOL_LIMIT"]
    detail = f"{waiting.calls} calls wait, the oldest for {waiting.oldest_s:.1f} s"
    if waiting.disk_octets > 0.9 * limit:
        return Part(State.DOWN, f"{detail}; {waiting.disk_octets} of {limit} bytes are used: online calls are refused")
    if waiting.oldest_s > LATE_S:
        return Part(State.DEGRADED, detail)
    return Part(State.OK, detail)


def threads() -> Part:
    """The threads of this process by their heartbeats: keeper, recorder, snapshot and the others."""
    beating = beats().values()
    silent = [beat for beat in beating if beat.silent_s > max(health.SILENT_S, 5 * beat.interval)]
    if silent:
        told = "; ".join(f"{beat.name} silent for {beat.silent_s:.0f} s ({beat.error or 'busy'})" for beat in silent)
        return Part(State.DEGRADED, told)
    return Part(State.OK, ", ".join(sorted(beat.name for beat in beating)))


_is_migrated = False
