"""What never stands in a log line: secrets of the settings, credentials by their shape, values inside errors.

Framework-free. A text that may quote what a client sent is left out: nobody can tell a value from a word.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable
from types import TracebackType

MASK = "•••"
#: Shorter ones stand in ordinary words; a secret so short protects nothing.
_LEAST_SECRET = 6
#: `Authorization: Bearer …`, user information of URLs, our own keys, `password=…` and the like.
_SHAPES = re.compile(
    r"(?P<scheme>\b(?:bearer|basic|apikey)\s+)[\w.~+/=-]{6,}"
    r"|(?P<url>://[^\s/:@]{0,200}:)[^\s@]{1,500}(?=@)"
    r"|(?P<name>\b(?:password|passwd|secret|token|api[_-]?key|authorization)[\"']?\s*[=:]\s*[\"']?"
    r"(?:\w+ (?=[\w.~+/=-]{6,}))?)[^\s\"',;&}]+"
    r"|(?P<key>\bsbk_)[\w-]{20,}",
    re.IGNORECASE,
)
#: Faults of the world around us: their message says which server did not answer, and never quotes an input.
_SPEAKING = frozenset(
    ["OperationalError", "InterfaceError", "StoreUnavailable", "PoolTimeout", "ConnectionError", "ImproperlyConfigured"]
)
_STATEMENT = re.compile(r"(?:\bDETAIL:|\bCONTEXT:|\n).*", re.DOTALL)
#: Innermost frames of a traceback that are kept.
_FRAMES = 30

_secrets: tuple[str, ...] = ()


def hide(secrets: Iterable[str]) -> None:
    """From now on these texts are masked wherever they stand."""
    global _secrets
    _secrets = tuple(sorted({text for text in secrets if len(text) >= _LEAST_SECRET}, key=len, reverse=True))


def masked(text: str) -> str:
    """The text without secrets."""
    for secret in _secrets:
        if secret in text:
            text = text.replace(secret, MASK)
    # Every shape has one of these in it; most fields of most lines do not, and looking costs a tenth of searching.
    if " " in text or ":" in text or "=" in text or "sbk_" in text:
        return _SHAPES.sub(_mask, text)
    return text


def _mask(found: re.Match[str]) -> str:
    return f"{next(group for group in found.groups() if group is not None)}{MASK}"


def message_of(error: BaseException) -> str:
    """What may be said of an error: its message where that comes from a server or the system, else nothing."""
    if isinstance(error, OSError | ImportError) or type(error).__name__ in _SPEAKING:
        return masked(_STATEMENT.sub("", str(error)))[:500]
    return ""


def stack_of(error: BaseException, trace: TracebackType | None) -> str:
    """The traceback without messages: file, line, function and source line of the innermost frames."""
    frames = traceback.extract_tb(trace)
    lines = [f"(… {len(frames) - _FRAMES} frames)\n"] if len(frames) > _FRAMES else []
    lines += traceback.format_list(frames[-_FRAMES:])
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        said = message_of(cause)
        lines.append(f"because of {type(cause).__name__}{f': {said}' if said else ''}\n")
    return masked("".join(lines))
