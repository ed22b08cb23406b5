"""What was seen: records, metrics, health, logs. Knows no other room."""

from __future__ import annotations

from monitoring.background import Background


def recording() -> list[Background]:
    """The thread that moves this host's spool into the record store; of several processes one at a time does."""
    from monitoring import recorder

    return [recorder.RecorderThread("recorder", [recorder.spool_source()])]


def recording_apart() -> list[Background]:
    """The same in a process of its own, where the system can give it what time is left: for a server process that
    answers calls itself. It is started before anything else of that process."""
    from monitoring import idle_time
    from monitoring.recorder_process import RecorderProcess

    return [RecorderProcess(lambda: log_lines("recorder"))] if idle_time.exists() else recording()


def log_lines(service: str) -> list[Background]:
    """What spools this process's lines and, where an endpoint is set, exports its spans, under the name of its kind:
    web, worker, keeper, beat, server, recorder."""
    from django.conf import settings

    from monitoring import tracing
    from monitoring.logs.outlet import Outlet
    from monitoring.logs.uncaught import Uncaught

    if not settings.MONITORING:
        return []
    limits = settings.SERVING
    outlet = Outlet(settings.LOG_SPOOL_DIR, limit=limits["LOG_SPOOL_LIMIT"], service=service)
    return [outlet, Uncaught(), *tracing.background(limits["OTEL_EXPORTER_OTLP_ENDPOINT"], service=service)]


def log_shipping(*, patience_s: float = 0.0) -> list[Background]:
    """The thread that moves this host's log lines into the log store; of several processes one at a time does.

    With patience it begins only when lines have waited that many seconds: where no keeper runs.
    """
    from django.conf import settings

    from monitoring.logs import shipping

    return shipping.background(patience_s=patience_s) if settings.MONITORING else []
