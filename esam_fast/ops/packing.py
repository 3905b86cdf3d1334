"""Logits to packed masks in one pass, with area, box and stability."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esam_fast import _arrays, _check
from esam_fast._arrays import Array
from esam_fast._backend import run
from esam_fast._limits import MAX_FLOAT32
from esam_fast.masks import Float, Int, PackedMasks, checked_words, measure_words, words_per_mask


def pack_logits(
    logits: Array,
    rows: int | None = None,
    cols: int | None = None,
    offset: float = 1.0,
    *,
    backend: str | None = None,
) -> tuple[PackedMasks, Float]:
    """Threshold mask logits at 0, pack them, and measure them.

    Args:
        logits: [N, h, w] float32, NumPy or a torch tensor; NaN counts as not set.
        rows, cols: the content, top left; bits outside are 0. None: the whole grid.
        offset: of the stability score: IoU of the masks thresholded at +offset and -offset, content only.
        backend: "native", "cuda", "numba", "torch", or None for the best one for where the logits live.

    Returns:
        PackedMasks, N masks where the logits live, and stability [N] float32 (0 where nothing exceeds -offset).

    Raises:
        TypeError: wrong dtype. ValueError: wrong shape or range; the message names the argument.
        BackendUnavailable: a backend asked for by name is not here.
    """
    logits = _check.array_or_tensor("logits", logits, np.float32, ("N", "h", "w"))
    n, h, w = logits.shape
    content = []
    for name, value, limit in (("rows", rows, h), ("cols", cols, w)):
        content.append(limit if value is None else _check.integer(name, value, 0, limit))
    offset = _check.at_least("offset", offset, 0, MAX_FLOAT32)
    words = _arrays.empty(logits, (n, words_per_mask((h, w))), np.uint64)
    area, box, stability = np.empty(n, np.int64), np.empty((n, 4), np.int32), np.empty(n, np.float32)
    run("packing.pack_logits", backend, logits, *content, offset, out=(words, area, box, stability))
    return PackedMasks._unchecked(words, area, box, (h, w)), stability


def measure(words: Array, shape: tuple[int, int], *, backend: str | None = None) -> tuple[Int, NDArray[np.int32]]:
    """Area and box of masks already packed.

    Args:
        words: [N, ceil(h * w / 64)] uint64 (a torch tensor: int64), pad bits 0.
        shape: (h, w).
        backend: see `pack_logits`.

    Returns:
        area [N] int64 and box [N, 4] int32, x0 y0 x1 y1, half-open (0 0 0 0 for an empty mask).

    Raises:
        TypeError, ValueError, BackendUnavailable: see `pack_logits`.
    """
    shape = _check.plane("shape", shape)
    return measure_words(checked_words(words, shape), shape, backend)
