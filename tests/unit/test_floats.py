"""One NaN or infinity among floats of any size and shape is seen; large finite numbers are no infinity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models_registry.runtime import floats


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(1,), (3, 4), (200, 5, 2)])
def test_one_that_is_no_number_is_seen_wherever_it_stands(dtype: Any, bad: float, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype)
    assert floats.is_finite(array)
    assert floats.is_finite(array[:0])
    for at in {0, array.size // 2, array.size - 1}:
        spoiled = array.copy()
        spoiled.reshape(-1)[at] = bad
        assert not floats.is_finite(spoiled)
        assert not floats.is_finite(spoiled[::-1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_largest_numbers_are_finite(dtype: Any) -> None:
    largest = np.finfo(dtype).max
    assert floats.is_finite(np.array([largest, -largest, largest], dtype))
