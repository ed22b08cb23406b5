"""Logs: one JSON object a line on stdout."""

from __future__ import annotations

import logging.config
from typing import Any


def configure(config: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG: called once at start-up with settings.LOGGING."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
            "root": {"level": config["level"], "handlers": ["stdout"]},
        }
    )
