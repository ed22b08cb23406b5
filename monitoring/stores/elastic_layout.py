"""How records lie in Elasticsearch: the mapping, the names of indices, and what counts as "did not answer"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

from elastic_transport import ConnectionTimeout, TransportError
from elasticsearch import ApiError, dsl
from elasticsearch.dsl import mapped_field

from monitoring import ids
from monitoring.stores.base import StoreUnavailable

PREFIX = "serving-predictions"


class RecordValueDocument(dsl.InnerDoc):
    """One searchable value; nested, so that side, name and number belong together."""

    side: str = mapped_field(dsl.Keyword())
    name: str = mapped_field(dsl.Keyword())
    number: float | None = mapped_field(dsl.Double(), default=None)
    text: str | None = mapped_field(
        dsl.Keyword(ignore_above=1000, fields={"words": dsl.Text(norms=False, index_options="docs")}), default=None
    )


class RecordDocument(dsl.Document):
    """The mapping of a record. Strict: a field nobody declared is refused, not guessed at."""

    id: str = mapped_field(dsl.Keyword())
    project: str = mapped_field(dsl.Keyword())
    model: str = mapped_field(dsl.Keyword())
    version: int = mapped_field(dsl.Integer())
    version_id: str = mapped_field(dsl.Keyword())
    digest: str = mapped_field(dsl.Keyword())
    route: str = mapped_field(dsl.Keyword())
    door: str = mapped_field(dsl.Keyword())
    protocol: str = mapped_field(dsl.Keyword())
    status: str = mapped_field(dsl.Keyword())
    accepted_at: datetime = mapped_field(dsl.Date())
    completed_at: datetime = mapped_field(dsl.Date())
    key: str = mapped_field(dsl.Keyword())
    request_id: str = mapped_field(dsl.Keyword())
    subject: str = mapped_field(dsl.Keyword())
    error_code: str = mapped_field(dsl.Keyword())
    error: str = mapped_field(dsl.Text())
    rows: int = mapped_field(dsl.Integer())
    queue_ms: float = mapped_field(dsl.Float())
    inference_ms: float = mapped_field(dsl.Float())
    total_ms: float = mapped_field(dsl.Float())
    cached: bool = mapped_field(dsl.Boolean())
    trace_id: str = mapped_field(dsl.Keyword())
    inputs: Any = mapped_field(dsl.Object(enabled=False))
    outputs: Any = mapped_field(dsl.Object(enabled=False))
    values: list[RecordValueDocument] = mapped_field(dsl.Nested(RecordValueDocument))
    content_hash: str = mapped_field(dsl.Keyword(doc_values=False, index=False))

    class Meta:
        dynamic = dsl.MetaField("strict")

    class Index:
        name = PREFIX


@dataclass(frozen=True, slots=True)
class Layout:
    """How indices are laid out; `refresh_s` is the longest a stored record stays unfindable."""

    environment: str = "default"
    shards: int = 1
    replicas: int = 0
    refresh_s: int = 1

    def index_of(self, identifier: UUID) -> str:
        """The one function that names an index: from the id's own time, never from now."""
        return self.index_on(ids.time_of(identifier).date())

    def index_on(self, day: date) -> str:
        return f"{PREFIX}-{self.environment}-{day:%Y.%m.%d}"

    @property
    def pattern(self) -> str:
        return f"{PREFIX}-{self.environment}-*"


class BodyTooLarge(Exception):
    """The bulk was larger than the cluster takes: it is sent again in halves."""


class NoShards(StoreUnavailable):
    """What holds the documents is not there: for a moment, while a rebuilt index takes its place, or for longer."""


class judged:
    """Turns every way in which the cluster can fail to answer into `StoreUnavailable`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, ApiError) and error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise BodyTooLarge from error
        if isinstance(error, ApiError) and error.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            raise NoShards(str(error)[:500]) from error
        if isinstance(error, ApiError | TransportError | ConnectionTimeout):
            raise StoreUnavailable(str(error)[:500]) from error
