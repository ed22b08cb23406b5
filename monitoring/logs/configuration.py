"""How the process logs: JSON on stdout and into the spool, in proportion. Django calls `configure` once at start-up."""

from __future__ import annotations

import logging.config
from typing import Any

from monitoring.logs import redaction

#: Lines a second of one kind, where nothing is set.
RATE = 200


def configure(config: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG: `level`, `rate` (lines a second of one kind), and the `secrets` no line may hold."""
    redaction.hide(config.get("secrets", ()))
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": "monitoring.logs.ecs.JsonFormatter"}},
            "filters": {
                "in proportion": {"()": "monitoring.logs.proportion.InProportion"},
                "sampled": {"()": "monitoring.logs.proportion.Sampled", "rate": config.get("rate", RATE)},
            },
            "handlers": {
                "stdout": {
                    "class": "logging.StreamHandler",
                    "stream": "ext://sys.stdout",
                    "formatter": "json",
                    "filters": ["in proportion", "sampled"],
                },
                "spool": {
                    "class": "monitoring.logs.outlet.SpoolHandler",
                    "formatter": "json",
                    "filters": ["in proportion", "sampled"],
                },
            },
            "root": {"level": config["level"], "handlers": ["stdout", "spool"]},
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
