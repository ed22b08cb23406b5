"""Guards: calls of a service that may go away, each behind a breaker of this process.

Who calls a service that does not answer is told so within microseconds instead of waiting for its time-outs. Where a
prober asks in the background (`monitoring.probing`), its word alone counts: a slow search or a full pool is no outage.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from monitoring import metrics
from monitoring.breaker import Breaker, Circuit
from monitoring.metrics import Labels

logger = logging.getLogger(__name__)

#: Failures in a row that open a circuit, and seconds until one caller tries again where nobody asks in the background.
FAILURES = 2
PAUSE_S = 1.0

_guards: weakref.WeakSet[Guard] = weakref.WeakSet()
_lock = threading.Lock()
_probing = threading.local()


class Guard:
    """Calls of one service. `refusal` makes what callers see while it is taken for away.

    `is_failure` tells an answer that the service is away from one that it gave; `callers_count` lets failures of
    callers count beside a prober's, for services whose every answer comes quickly.
    """

    def __init__(
        self,
        service: str,
        *,
        refusal: Callable[[str], Exception],
        is_failure: Callable[[BaseException], bool],
        breaker: Breaker | None = None,
        callers_count: bool = False,
        place: str = "",
    ) -> None:
        self.service = service
        self.breaker = breaker or Breaker(failures=FAILURES, pause_s=PAUSE_S)
        self._name = f"{service} {place}".strip()
        self._refusal = refusal
        self._is_failure = is_failure
        self._callers_count = callers_count
        with _lock:
            _guards.add(self)

    def check(self) -> None:
        """Raise the refusal while the service is taken for away."""
        if not is_probing() and not self.breaker.admits():
            metrics.count(metrics.CIRCUIT_REFUSALS, (self.service,))
            raise self._refusal(f"{self._name} does not answer; it is asked again in a moment")

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around one call: refused at once while the service is away; what it ends with is counted."""
        self.check()
        try:
            yield
        except Exception as error:
            if self._counts() and self._is_failure(error):
                self.failed(error)
            raise
        if self._counts():
            self.succeeded()

    def failed(self, error: BaseException) -> None:
        """The service did not answer."""
        if self.breaker.failed():
            metrics.count(metrics.CIRCUIT_OPENED, (self.service,))
            logger.warning(
                "%s does not answer (%s: %s); callers are told so at once",
                self._name,
                type(error).__name__,
                error,
                extra={"action": "circuit_opened", "service": self.service},
            )

    def succeeded(self) -> None:
        """The service answered."""
        if self.breaker.succeeded():
            logger.info("%s answers again", self._name, extra={"action": "circuit_closed", "service": self.service})

    def _counts(self) -> bool:
        return self._callers_count or not (self.breaker.probed or is_probing())


@contextmanager
def probing() -> Iterator[None]:
    """Within the block this thread asks for all: open circuits let it through, and its word counts."""
    _probing.here = True
    try:
        yield
    finally:
        _probing.here = False


def is_probing() -> bool:
    return getattr(_probing, "here", False)


def circuits() -> dict[Labels, float]:
    """What the circuits of this process do, by service: of several of one service the most open."""
    found: dict[Labels, float] = {}
    with _lock:
        guards = list(_guards)
    for guard in guards:
        labels = (guard.service,)
        found[labels] = max(found.get(labels, Circuit.CLOSED.value), guard.breaker.circuit().value)
    return found
