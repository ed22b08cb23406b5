"""How many generated cases a test runs: a short form on each run, the long one with GENERATED_CASES=full."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

#: `make test` runs about 10,000 cases in all, `make soak` more than 100,000 through the doors alone.
FULL = os.environ.get("GENERATED_CASES", "short") == "full"


def cases(short: int, *, full: int) -> settings:
    """Settings of one property test; no deadline, because two cores are shared with other tests."""
    return settings(
        max_examples=full if FULL else short,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    )
