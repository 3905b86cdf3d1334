"""Label maps as short texts: runs as varints in base64, read back by `unpack` in page/shared.js."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray


def packed(labels: NDArray[np.int32]) -> str:
    """A label map [H, W] as base64 of varints, two for each run of pixels, row by row: code, pixels, code, pixels ...

    The code is 0 where each pixel has the label of the one above it, else the run's label plus 1.
    """
    code = labels.astype(np.int64) + 1
    code[1:][labels[1:] == labels[:-1]] = 0
    flat = code.ravel()
    begins = np.flatnonzero(np.diff(flat, prepend=-1))
    runs = np.stack([flat[begins], np.diff(begins, append=flat.size)], axis=1)
    return base64.b64encode(varints(runs.ravel())).decode()


def varints(values: NDArray[np.int64]) -> bytes:
    """Whole numbers, 0 to 2^35 - 1, as LEB128: seven bits a byte, lowest first, the top bit set where more follow."""
    size = 1 + (values[:, None] >= (1 << np.array([7, 14, 21, 28]))).sum(axis=1)
    begin = np.cumsum(size) - size
    out = np.zeros(int(size.sum()), np.uint8)
    for k in range(5):
        has = size > k
        more = np.where(size[has] > k + 1, 128, 0)
        out[begin[has] + k] = (values[has] >> (7 * k)) & 127 | more
    return out.tobytes()
