"""What the online path counts: ended predictions by version, refused requests by code. Never in a prediction's way."""

from __future__ import annotations

from models_registry.routing import Route
from monitoring import metrics
from predictions.online import statistics
from predictions.online.recording import PROTOCOL, Call


def answered(call: Call) -> None:
    found = statistics.of(call.route.version)
    found.answered(call)
    _ended(call, found.labels, "succeeded", "")
    if call.answered is not None:
        version = call.route.version
        labels = (version.project, version.model, str(version.number), call.answered.outcome)
        metrics.count(metrics.CACHE_REQUESTS, labels)


def failed(call: Call, code: str) -> None:
    found = statistics.of(call.route.version)
    found.fail.add(call.total_s)
    _ended(call, found.labels, "failed", code)


def refused(code: str, route: Route | None = None) -> None:
    """A request that got no record; a version's own refusals are also counted as its errors."""
    metrics.count(metrics.REFUSALS, (PROTOCOL, code))
    if route is not None:
        version = route.version
        metrics.count(metrics.ERRORS, (version.project, version.model, str(version.number), code))


def _ended(call: Call, labels: tuple[str, str, str], status: str, code: str) -> None:
    metrics.observe_prediction(
        labels,
        protocol=PROTOCOL,
        status=status,
        total_s=call.total_s,
        queue_s=call.queue_s,
        inference_s=call.inference_s,
        encode_s=call.encode_s,
        error_code=code,
    )
