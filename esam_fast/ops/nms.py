"""Greedy mask NMS, one threshold for all or one per mask, and clustering of near-equal masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check
from esam_fast._backend import run
from esam_fast.masks import Float, Int, PackedMasks, by_score, check_masks


def nms(
    masks: PackedMasks, scores: Float, thresholds: float | NDArray[np.float64], *, backend: str | None = None
) -> Int:
    """Greedy mask NMS; one IoU threshold for all, or one per mask (adaptive NMS, Eq. 4, Sec. 3.2).

    Visits masks by score descending, then index ascending. A live mask p is kept and removes every later q with
    IoU(p, q) > thresholds[p].

    Args:
        masks: PackedMasks, N masks on one grid.
        scores: [N] float32, finite.
        thresholds: float, or [N] float64, in [0, 1].
        backend: "native", "cuda", "numba", "torch", or None for the best one for where the masks live.

    Returns:
        [K] int64 indices in visiting order, identical on every backend.

    Raises:
        TypeError: wrong dtype. ValueError: wrong shape or range; the message names the argument.
        BackendUnavailable: a backend asked for by name is not here.
    """
    n = len(check_masks("masks", masks))
    order = by_score(_check.finite("scores", scores, (n,)))
    limits = _thresholds(thresholds, n)
    keep = np.empty(n, np.bool_)
    run("nms.nms", backend, masks.raw, order, limits, out=(keep,))
    return order[keep[order]]


def _thresholds(value: object, n: int) -> NDArray[np.float64]:
    if not isinstance(value, np.ndarray):
        return np.full(n, _check.unit_interval("thresholds", value))
    limits = _check.array("thresholds", value, np.float64, (n,))
    if not ((limits >= 0.0) & (limits <= 1.0)).all():
        raise ValueError(f"thresholds must lie in [0, 1], got {limits.min()} to {limits.max()}")
    return limits


def cluster_masks(masks: PackedMasks, scores: Float, threshold: float, *, backend: str | None = None) -> Int:
    """Find which masks are the same mask: greedy leader clustering (identity of gallery masks, Sec. 3.3).

    Visits masks by score descending, then index ascending. A mask joins the first earlier representative whose IoU
    with it is at least `threshold`, else it becomes one.

    Args:
        masks: PackedMasks, N masks on one grid.
        scores: [N] float32, finite.
        threshold: float in [0, 1].
        backend: see `nms`.

    Returns:
        [N] int64: index of each mask's representative; a representative names itself.

    Raises:
        TypeError, ValueError, BackendUnavailable: see `nms`.
    """
    n = len(check_masks("masks", masks))
    order = by_score(_check.finite("scores", scores, (n,)))
    limit = _check.unit_interval("threshold", threshold)
    representative = np.empty(n, np.int64)
    run("nms.cluster_masks", backend, masks.raw, order, limit, out=(representative,))
    return representative
