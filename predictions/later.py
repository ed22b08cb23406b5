"""Answers that are sent after their call has returned, by whichever thread has them: no thread waits for them.

PEP 3333 knows no such answer. A server that can do it says so in the environment, and whoever takes its offer returns
`LATER` as the body; where it is not offered, calls wait for their answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Sends status, headers and body, from any thread, once.
Send = Callable[[int, list[tuple[str, str]], bytes], None]
#: In the environment: called to take the offer; it must then be used, whatever happens.
OFFER = "serving.answer_later"
#: What the application returns instead of a body when it has taken the offer.
LATER: list[bytes] = []


def offer_of(environ: dict[str, Any]) -> Callable[[], Send] | None:
    found: Callable[[], Send] | None = environ.get(OFFER)
    return found
