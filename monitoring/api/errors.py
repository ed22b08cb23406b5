"""What the views of monitoring refuse with; the site's one handler turns `problem_code` into the body."""

from __future__ import annotations

from rest_framework.exceptions import APIException, ValidationError


class InvalidParameters(ValidationError):
    """A query string with unknown or faulty parameters, each named."""

    problem_code = "invalid_parameter"


class StoreAway(APIException):
    """The record store does not answer; what is recorded is safe, only searching has to wait."""

    status_code = 503
    default_detail = "the record store does not answer; nothing is lost, search again later"
    problem_code = "unavailable"
    wait = 5


class Conflict(APIException):
    """What is asked for cannot be while things stand as they do."""

    status_code = 409
    problem_code = "conflict"
