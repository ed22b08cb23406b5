"""Bounds of the bins that outputs are counted in, whatever models say."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.stores.timeline import BINS, GREATEST, edges_between

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@given(NUMBERS, NUMBERS)
def test_every_bound_is_a_number_and_greater_than_the_one_before(one: float, other: float) -> None:
    bounds = edges_between(min(one, other), max(one, other))
    assert len(bounds) == BINS + 1
    assert all(math.isfinite(bound) for bound in bounds)
    assert all(before < after for before, after in pairwise(bounds))
    assert (bounds[-1] - bounds[0]) / BINS > 0


@pytest.mark.parametrize("value", [0.0, 2.5, -1e30, 1e308])
def test_one_value_lies_between_the_bounds(value: float) -> None:
    bounds = edges_between(value, value)
    assert bounds[0] < min(value, GREATEST) < bounds[-1]
