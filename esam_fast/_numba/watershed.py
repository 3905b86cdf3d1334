"""Watershed by flooding: every regional minimum becomes a basin, lower pixels first, equal ones in order of arrival."""

from __future__ import annotations

import numpy as np

from esam_fast._arrays import Bytes, Int32s, Int64s
from esam_fast._numba._jit import jit


@jit
def _around(p: int, height: int, width: int, out: Int64s) -> int:
    """Neighbours of a pixel into `out`: up, left, right, down; returns how many."""
    n, x = 0, p % width
    if p >= width:
        out[n] = p - width
        n += 1
    if x > 0:
        out[n] = p - 1
        n += 1
    if x + 1 < width:
        out[n] = p + 1
        n += 1
    if p + width < height * width:
        out[n] = p + width
        n += 1
    return n


@jit
def watershed(relief: Bytes, labels: Int32s) -> int:
    """Basins 0..K-1 of `relief` into `labels`, both [h, w]; returns K."""
    height, width = relief.shape
    size = height * width
    z, basin = relief.ravel(), labels.ravel()  # views: both are contiguous
    basin[:] = -1
    around = np.empty(4, np.int64)
    seen = np.zeros(size, np.bool_)
    flat = np.empty(size, np.int64)  # the plateau being looked at
    first, last = np.full(256, -1, np.int64), np.full(256, -1, np.int64)  # a queue a level,
    following = np.full(size, -1, np.int64)  # chained
    basins = 0
    for start in range(size):
        if seen[start]:
            continue
        lowest, count, i = True, 1, 0
        flat[0] = start
        seen[start] = True
        while i < count:
            for k in range(_around(flat[i], height, width, around)):
                q = around[k]
                lowest = lowest and z[q] >= z[start]
                if not seen[q] and z[q] == z[start]:
                    seen[q] = True
                    flat[count] = q
                    count += 1
            i += 1
        if not lowest:
            continue
        level = z[start]
        for i in range(count):
            basin[flat[i]] = basins
            if last[level] < 0:
                first[level] = flat[i]
            else:
                following[last[level]] = flat[i]
            last[level] = flat[i]
        basins += 1
    for level in range(256):
        p = first[level]
        while p >= 0:
            for k in range(_around(p, height, width, around)):
                q = around[k]
                if basin[q] >= 0:
                    continue
                basin[q] = basin[p]
                to = max(level, z[q])
                if last[to] < 0:
                    first[to] = q
                else:
                    following[last[to]] = q
                last[to] = q
            p = following[p]
    return basins
