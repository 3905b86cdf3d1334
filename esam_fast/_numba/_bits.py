"""Counting and finding bits in 64-bit words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from esam_fast._numba._jit import jit


def _ctpop(_typing: Any, _word: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


popcount: Callable[[np.uint64], int] = intrinsic(_ctpop)
"""Number of set bits: int64(uint64), one machine instruction where there is one."""


@jit
def lowest_bit(word: np.uint64) -> int:
    """Index of the lowest set bit of a word that is not 0."""
    return popcount(~word & (word - np.uint64(1)))


@jit
def highest_bit(word: np.uint64) -> int:
    """Index of the highest set bit of a word that is not 0."""
    for shift in (1, 2, 4, 8, 16, 32):
        word |= word >> np.uint64(shift)
    return popcount(word) - 1
