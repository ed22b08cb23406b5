"""What a listing's query string asks for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from models_registry import errors
from models_registry.principals import Principal
from predictions.queued import reading


def filter_of(principal: Principal, asked: Mapping[str, str]) -> reading.Filter:
    """The filter that a query string asks for. Raises `InvalidInput` naming the parameter."""
    status = asked.get("status")
    if status is not None and status not in ("starting", "processing", "succeeded", "failed", "canceled"):
        raise errors.InvalidInput("status is one of starting, processing, succeeded, failed, canceled", field="status")
    cursor = asked.get("cursor", "")
    try:
        beyond = UUID(hex=cursor[1:]) if cursor else None
    except ValueError:
        beyond = None
    if cursor and (beyond is None or cursor[0] not in "on"):
        raise errors.InvalidInput("this cursor was not made here", field="cursor")
    model = asked.get("model")
    return reading.Filter(
        project_id=principal.project_id,
        models=principal.models,
        status=status,
        model=model.rpartition("/")[2] if model else None,
        since=_moment(asked.get("since"), "since"),
        until=_moment(asked.get("until"), "until"),
        older=beyond if cursor[:1] == "o" else None,
        newer=beyond if cursor[:1] == "n" else None,
    )


def _moment(text: str | None, field: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise errors.InvalidInput(f"{field} is a time in ISO 8601", field=field) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
