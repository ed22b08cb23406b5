"""The one JSON parser of `/api`: bounded in bytes, strict in what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.parsers import BaseParser

from models_registry import errors
from predictions.protocols import strict_json


class StrictJSONParser(BaseParser):
    """Raises `TooLarge` beyond the body limit and `InvalidInput` for what is not JSON that can be stored."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        limit = settings.SERVING["QUEUED_BODY_LIMIT"]
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise errors.TooLarge(f"a body is at most {limit} bytes")
        return strict_json.loads(body)
