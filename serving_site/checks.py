"""Settings that contradict each other, refused before they lose something; `manage.py check` is the deployment test."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register

from serving_site import env


def impossible(values: Any) -> list[CheckMessage]:
    """Every contradiction in `values` (a namespace with the names of `serving_site.env`)."""
    loopback = values.HOST in values.LOOPBACK
    several = values.SERVER_PROCESSES > 1
    problems = [
        (
            several and not values.RABBITMQ_URL,
            Error(
                "Several server processes cannot share the in-process queues.",
                hint="Set RABBITMQ_URL, or SERVER_PROCESSES=1.",
                id="serving.E001",
            ),
        ),
        (
            bool(values.RABBITMQ_URL) and not values.REDIS_URL,
            Error(
                "Separate workers cannot wake a server whose cache lives in its own process.",
                hint="Set REDIS_URL beside RABBITMQ_URL.",
                id="serving.E002",
            ),
        ),
        (
            bool(values.RABBITMQ_URL) and not values.DATABASE_URL,
            Error(
                "Separate workers cannot share SQLite.",
                hint="Set DATABASE_URL beside RABBITMQ_URL.",
                id="serving.E003",
            ),
        ),
        (
            bool(values.ANONYMOUS_PROJECT) and not loopback,
            Error(
                "Requests without a key may act for a project on loopback only.",
                hint="Set ANONYMOUS_PROJECT=- or HOST=127.0.0.1.",
                id="serving.E004",
            ),
        ),
        (
            bool(values.ANONYMOUS_PROJECT) and bool(values.RABBITMQ_URL),
            Error(
                "Requests without a key may act for a project in embedded mode only.",
                hint="Set ANONYMOUS_PROJECT=- or take RABBITMQ_URL away.",
                id="serving.E005",
            ),
        ),
        (
            values.DEBUG and not loopback,
            Error(
                "Debug pages show settings and code to whoever reaches the server.",
                hint="Set HOST=127.0.0.1, or take DEBUG away.",
                id="serving.E006",
            ),
        ),
    ]
    return [error for contradicts, error in problems if contradicts]


def impossible_settings() -> list[CheckMessage]:
    return impossible(env)


@register("serving")
def check_settings(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    return impossible_settings()
