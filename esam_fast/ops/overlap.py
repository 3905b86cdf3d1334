"""Overlap splitting by guides: every overlap of two masks goes to one owner."""

from __future__ import annotations

import math

import numpy as np

from esam_fast import _arrays, _check
from esam_fast._backend import run
from esam_fast.masks import Float, Int, PackedMasks, by_score, check_masks


def split_overlaps(
    masks: PackedMasks,
    scores: Float,
    point_pixels: Int,
    point_guides: Int,
    guides: PackedMasks,
    guide_scores: Float,
    delta: float,
    score_margin: float | None = None,
    *,
    backend: str | None = None,
) -> PackedMasks:
    """Make masks disjoint (Eqs. 5 and 6, Sec. 3.3).

    For every pair p before q by score descending, then index ascending, on their current state, let O be their
    overlap. If p's score exceeds q's by more than `score_margin`, q loses O. Else, if O is less than `delta` of the
    larger mask, or no point votes in it, the larger mask loses it (tie: q). Otherwise the guide with most votes among
    the points in O (ties: higher score, then lower index) decides: O goes to whichever of p and q has the higher IoU
    with that guide (tie: p).

    Args:
        masks: PackedMasks, N masks on one grid.
        scores: [N] float32, finite.
        point_pixels: [P] int64, flat grid index (row * w + column) of each point.
        point_guides: [P] int64, index of the guide that each point votes for; -1: no vote.
        guides: PackedMasks, G masks on the same grid.
        guide_scores: [G] float32, finite.
        delta: float in [0, 1].
        score_margin: float, at least 0; None: never.
        backend: "native", "cuda", "numba", "torch", or None for the best one for where the masks live.

    Returns:
        PackedMasks, N disjoint masks in the order of `masks`; some may be empty.

    Raises:
        TypeError: wrong dtype. ValueError: wrong shape or range; the message names the argument.
        BackendUnavailable: a backend asked for by name is not here.
    """
    n = len(check_masks("masks", masks))
    scores = _check.finite("scores", scores, (n,))
    order = by_score(scores)
    g = len(check_masks("guides", guides, masks))
    guide_scores = _check.finite("guide_scores", guide_scores, (g,))
    h, w = masks.shape
    point_pixels = _check.indices("point_pixels", point_pixels, 0, h * w, ("P",))
    point_guides = _check.indices("point_guides", point_guides, -1, g, point_pixels.shape)
    limit = _check.unit_interval("delta", delta)
    margin = math.inf if score_margin is None else _check.at_least("score_margin", score_margin, 0)
    words = _arrays.empty(masks.words, masks.words.shape, np.uint64)
    run(
        "overlap.split_overlaps", backend, masks.raw, order, point_pixels, point_guides, scores, guides.raw,
        guide_scores, limit, margin, out=(words,),
    )  # fmt: skip
    return PackedMasks._measured(words, masks.shape, backend)
