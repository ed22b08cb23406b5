"""Cursors: opaque to clients, the id of the last record seen inside."""

from __future__ import annotations

import base64
import binascii
from uuid import UUID


def encode(identifier: UUID) -> str:
    return base64.urlsafe_b64encode(identifier.bytes).rstrip(b"=").decode()


def decode(cursor: str) -> UUID:
    """Raises `ValueError` for what `encode` never made."""
    try:
        raw = base64.b64decode(f"{cursor}==", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not a cursor of this listing") from error
    if len(raw) != 16 or encode(UUID(bytes=raw)) != cursor:
        raise ValueError("not a cursor of this listing")
    return UUID(bytes=raw)
