"""Greedy cover of what is still uncovered."""

from __future__ import annotations

import numpy as np

from esam_fast import _check
from esam_fast._backend import run
from esam_fast.masks import Float, Int, PackedMasks, by_score, check_masks


def greedy_cover(
    masks: PackedMasks, scores: Float, covered: PackedMasks, min_gain: float, *, backend: str | None = None
) -> tuple[Int, Int]:
    """Again and again the mask that covers most uncovered pixels (Sec. 3.4).

    Ties go to the higher score, then the lower index. Stops when the next gain is below `min_gain` or 0.

    Args:
        masks: PackedMasks, N masks on one grid.
        scores: [N] float32, finite.
        covered: PackedMasks, one mask on the same grid: the pixels covered from the start.
        min_gain: least number of newly covered pixels, at least 0 (need not be whole).
        backend: "native", "cuda", "numba", "torch", or None for the best one for where the masks live.

    Returns:
        picks [K] int64, indices in the order of picking, and gains [K] int64, pixels newly covered by each.

    Raises:
        TypeError: wrong dtype. ValueError: wrong shape or range; the message names the argument.
        BackendUnavailable: a backend asked for by name is not here.
    """
    n = len(check_masks("masks", masks))
    order = by_score(_check.finite("scores", scores, (n,)))
    if len(check_masks("covered", covered, masks)) != 1:
        raise ValueError(f"covered must be one mask, got {len(covered)}")
    least = _check.at_least("min_gain", min_gain, 0)
    picks, gains = np.empty(n, np.int64), np.empty(n, np.int64)
    count = run("cover.greedy_cover", backend, masks.raw, order, covered.words[0], least, out=(picks, gains))
    return picks[:count], gains[:count]
