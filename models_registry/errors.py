"""What can go wrong, as facts. No HTTP here: `serving_site.api` alone turns a code into a status."""

from __future__ import annotations

from uuid import UUID


class DomainError(Exception):
    """Something a person can act on.

    `code` is stable and documented; `message` is a sentence; `field` names the offending part of the
    request (an input, a column, a parameter), `row` its 0-based instance, `retry_after` whole seconds.
    `prediction_id` is set where the failed call has one, so that its record can be found.
    """

    code = "invalid"
    prediction_id: UUID | None = None

    def __init__(
        self, message: str, *, field: str | None = None, row: int | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.row = row
        self.retry_after = retry_after


class InvalidInput(DomainError):
    """The request does not fit the version's signature or the protocol's shape."""

    code = "invalid_input"


class Malformed(InvalidInput):
    """The body is not what its format asks for, before any signature is looked at: not JSON, cut short, too deep."""

    code = "malformed"


class Incomplete(Malformed):
    """The body ended before its declared length: whoever sent it has gone, or a proxy has given it up."""

    code = "incomplete"


class NotFound(DomainError):
    """No such thing for this project: what is not yours does not exist."""

    code = "not_found"


class Conflict(DomainError):
    """The state of the thing does not allow the verb."""

    code = "conflict"


class Forbidden(DomainError):
    """The key lacks the scope or the model is not on its list."""

    code = "forbidden"


class NotAuthenticated(DomainError):
    """No key, or one that is unknown, revoked or expired."""

    code = "not_authenticated"


class TooLarge(DomainError):
    """A body, a number of rows or an output beyond its limit."""

    code = "too_large"


class FormatNotAllowed(DomainError):
    """An artefact of a kind that is never opened (pickle and its kin), or not what it claims to be."""

    code = "format_not_allowed"


class QuotaExceeded(DomainError):
    """The project has used up its own share; others are served."""

    code = "quota_exceeded"


class Unavailable(DomainError):
    """Nothing wrong with the request; it may succeed after `retry_after` seconds."""

    code = "unavailable"


class ModelUnavailable(Unavailable):
    """The version cannot be loaded here: its artefact is missing, was changed, or does not open."""

    code = "model_unavailable"


class CircuitOpen(ModelUnavailable):
    """The version's process died several times in a row: it is left alone for a moment, and then one call tries."""


class OutcomeUnknown(Unavailable):
    """The commit was not confirmed in time; the prediction may have been accepted under the minted id."""

    code = "outcome_unknown"


class PredictionTimeout(DomainError):
    """The model's hard limit, or the request's own, has passed."""

    code = "timeout"


class ModelRaised(DomainError):
    """The model raised on this input."""

    code = "model_error"


class UnusableOutput(DomainError):
    """The model answered with something no client could read: NaN where none may be, a wrong length, too much."""

    code = "unusable_output"


class ProcessCrashed(DomainError):
    """The model's process died while it ran."""

    code = "crashed"


class ResourceExhausted(DomainError):
    """The model's process passed its memory limit."""

    code = "resource_exhausted"


class EncodingNotSupported(DomainError):
    """A body in a coding or media type that is not read: it is refused unread."""

    code = "unsupported_media_type"


class NotOffered(DomainError):
    """A part of a protocol that this server does not have."""

    code = "not_implemented"


class LengthMissing(DomainError):
    """A body of unknown length; it would have to be read to know whether it is too large."""

    code = "length_required"
