"""How the process logs: JSON on stdout, in proportion. Django calls `configure` once at start-up."""

from __future__ import annotations

import logging
import logging.config
from typing import Any

from monitoring.logs import redaction

#: Statuses of 500 and above that are answers, not faults.
MEANT = frozenset([501, 503, 504])


class InProportion(logging.Filter):
    """Django calls each 5xx an error and each suspicious request one with a traceback. An answer that was meant is in
    the access log already, and what a stranger sends is worth a warning."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == "django.request" and getattr(record, "status_code", None) in MEANT and not record.exc_info:
            return False
        if record.name.startswith("django.security."):
            record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
        return True


def configure(config: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG: `level`, and the `secrets` that no line may hold."""
    redaction.hide(config.get("secrets", ()))
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": "monitoring.logs.ecs.JsonFormatter"}},
            "filters": {"in proportion": {"()": "monitoring.logs.configuration.InProportion"}},
            "handlers": {
                "stdout": {
                    "class": "logging.StreamHandler",
                    "stream": "ext://sys.stdout",
                    "formatter": "json",
                    "filters": ["in proportion"],
                }
            },
            "root": {"level": config["level"], "handlers": ["stdout"]},
            "loggers": {
                # One line per request is enough: these repeat what the access log says about 4xx and 5xx.
                "django.request": {"level": "ERROR"},
                "django.server": {"level": "ERROR"},
                "granian.access": {"level": "ERROR"},
                "elastic_transport": {"level": "WARNING"},
                "skl2onnx": {"level": "ERROR"},
            },
        }
    )
