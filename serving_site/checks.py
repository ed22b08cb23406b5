"""Settings that contradict each other, refused before they lose something; `manage.py check` is the deployment test."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.core.checks import CheckMessage, Error, register

from models_registry import artifacts
from monitoring.logs import following
from serving_site import env, redis_urls


def _is_redis(url: str) -> bool:
    try:
        redis_urls.parse(url) if url else None
    except ValueError:
        return False
    return True


def _is_artifact_url(url: str) -> bool:
    try:
        artifacts.bucket_of(url)
    except ValueError:
        return False
    return True


def _are_followed(settings: list[str]) -> bool:
    try:
        following.wanted(settings)
    except ValueError:
        return False
    return True


Rule = tuple[str, Callable[[Any], bool], str, str]

#: What each contradiction is: its id, when it holds, the sentence, the way out.
RULES: tuple[Rule, ...] = (
    (
        "serving.E001",
        lambda values: values.SERVER_PROCESSES > 1 and not values.RABBITMQ_URL,
        "Several server processes cannot share the in-process queues.",
        "Set RABBITMQ_URL, or SERVER_PROCESSES=1.",
    ),
    (
        "serving.E002",
        lambda values: bool(values.RABBITMQ_URL) and not values.REDIS_URL,
        "Separate workers cannot wake a server whose cache lives in its own process.",
        "Set REDIS_URL beside RABBITMQ_URL.",
    ),
    (
        "serving.E003",
        lambda values: bool(values.RABBITMQ_URL) and not values.DATABASE_URL,
        "Separate workers cannot share SQLite.",
        "Set DATABASE_URL beside RABBITMQ_URL.",
    ),
    (
        "serving.E004",
        lambda values: bool(values.ANONYMOUS_PROJECT) and values.HOST not in values.LOOPBACK,
        "Requests without a key may act for a project on loopback only.",
        "Set ANONYMOUS_PROJECT=- or HOST=127.0.0.1.",
    ),
    (
        "serving.E005",
        lambda values: bool(values.ANONYMOUS_PROJECT) and bool(values.RABBITMQ_URL),
        "Requests without a key may act for a project in embedded mode only.",
        "Set ANONYMOUS_PROJECT=- or take RABBITMQ_URL away.",
    ),
    (
        "serving.E006",
        lambda values: values.DEBUG and values.HOST not in values.LOOPBACK,
        "Debug pages show settings and code to whoever reaches the server.",
        "Set HOST=127.0.0.1, or take DEBUG away.",
    ),
    (
        "serving.E007",
        lambda values: bool(values.REDIS_RESULTS_URL) and not values.REDIS_URL,
        "Hot results and wake-ups would be in Redis while the cache is in each process.",
        "Set REDIS_URL beside REDIS_RESULTS_URL; they may be the same.",
    ),
    (
        "serving.E008",
        lambda values: not all(map(_is_redis, (values.REDIS_URL, values.REDIS_RESULTS_URL))),
        "A Redis URL cannot be read.",
        "Set redis://host:port/0, redis+sentinel://host:port,host:port/service/0 or redis+cluster://host:port,host:port.",
    ),
    (
        "serving.E009",
        lambda values: not _is_artifact_url(values.ARTIFACT_URL),
        "ARTIFACT_URL cannot be read.",
        "Set it to a folder or to s3://bucket/prefix?endpoint=https://…&region=….",
    ),
    (
        "serving.E010",
        lambda values: bool(values.ARTIFACT_ACCESS_KEY) != bool(values.ARTIFACT_SECRET_KEY),
        "One half of the artefact store's credentials is missing.",
        "Set ARTIFACT_ACCESS_KEY and ARTIFACT_SECRET_KEY, or neither.",
    ),
    (
        "serving.E011",
        lambda values: not _are_followed(values.FOLLOW_LOGS),
        "FOLLOW_LOGS names something that cannot be followed.",
        "Set kind:/absolute/path, separated by commas; kinds are rabbitmq, redis and postgresql.",
    ),
    (
        "serving.E012",
        lambda values: re.match("$|https?://.", values.OTEL_EXPORTER_OTLP_ENDPOINT) is None,
        "OTEL_EXPORTER_OTLP_ENDPOINT is no address of a collector.",
        "Set http://host:4318 or https://host, without the path of traces.",
    ),
)


def impossible(values: Any) -> list[CheckMessage]:
    """Every contradiction in `values` (a namespace with the names of `serving_site.env`)."""
    return [Error(sentence, hint=hint, id=name) for name, holds, sentence, hint in RULES if holds(values)]


def impossible_settings() -> list[CheckMessage]:
    return impossible(env)


@register("serving")
def check_settings(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    return impossible_settings()
