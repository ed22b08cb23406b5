"""Whether floats are numbers, asked for every answer and every binary input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def is_finite(array: np.ndarray[Any, Any]) -> bool:
    """Whether no float of the array is NaN or infinite.

    The sum of their squares takes half as long as a look at each: NaN and infinity leave neither it finite, and where
    it overflows, each is looked at. Half precision overflows too soon.
    """
    if array.dtype.itemsize > 2 and math.isfinite(np.vdot(array, array)):
        return True
    return bool(np.isfinite(array).all())
