"""Multi-level mask generation (Sec. 3.2, Eqs. 1-4): SAM's automatic masks, sorted by level."""

from __future__ import annotations

import numpy as np

from esam_fast.config import MmgConfig
from esam_fast.masks import Float, Int, PointMasks, ScoredMasks
from esam_fast.ops import mask_mean, max_iou, nms
from esam_fast.stages.handover import OBJECT, Gallery, Levels, best_levels, guided_levels
from esam_fast.superpixels import Superpixels


def gallery(answer: PointMasks, points: Float, pixels: Int, tau: float) -> Gallery:
    """The guidance masks of the dense point grid; nothing is dropped (Sec. 3.2, step 6)."""
    guided = ScoredMasks.of_levels(answer, points, guided_levels(answer.scores, tau))
    return Gallery(pixels, guided.masks, guided.scores)


def generate(
    answer: PointMasks,
    points: Float,
    superpixels: Superpixels,
    config: MmgConfig,
    score_threshold: float,
    stability_threshold: float,
    *,
    backend: str | None = None,
) -> Levels:
    """Sort the masks of a point grid [N points] into levels and remove the redundant ones.

    Args:
        answer: three masks a point. points: float32 [N, 2], image pixels.
        superpixels: for the density of Eq. 3.
        config: thresholds.
        score_threshold, stability_threshold: masks below either, and empty ones, are dropped first.
        backend: of the operations.
    """
    floors = score_threshold, stability_threshold
    if not config.enabled:
        return _amg_list(_sound(_all_levels(answer, points), *floors), config.amg_nms, backend)
    objects = object_level(answer, points, config, *floors, backend=backend)
    parts, subparts = (
        _adaptive_nms(_sound(_level(answer, points, k), *floors), superpixels, config.n_t, backend) for k in (1, 0)
    )
    return Levels(objects, parts, subparts)


def object_level(
    answer: PointMasks,
    points: Float,
    config: MmgConfig,
    score_threshold: float,
    stability_threshold: float,
    *,
    backend: str | None = None,
) -> ScoredMasks:
    """The distinct object masks that the best-level map confirms (Eqs. 1 and 2); arguments as in `generate`."""
    floors = score_threshold, stability_threshold
    best = _sound(_level(answer, points, best_levels(answer.scores)), *floors)
    objects = _sound(_level(answer, points, OBJECT), *floors)
    objects = objects.take(nms(objects.masks, objects.scores, config.theta_o, backend=backend))
    agreement, _ = max_iou(objects.masks, best.masks, backend=backend)
    return objects.take(agreement >= config.gamma_o)


def _level(answer: PointMasks, points: Float, levels: int | Int) -> ScoredMasks:
    """One mask a point: of one level, or of the level named for each."""
    return ScoredMasks.of_levels(answer, points, np.broadcast_to(levels, len(answer)))


def _sound(candidates: ScoredMasks, score_threshold: float, stability_threshold: float) -> ScoredMasks:
    return candidates.take(
        (candidates.masks.area > 0)
        & (candidates.scores.astype(np.float64) >= score_threshold)
        & (candidates.stability.astype(np.float64) >= stability_threshold)
    )


def _adaptive_nms(candidates: ScoredMasks, superpixels: Superpixels, least: float, backend: str | None) -> ScoredMasks:
    """NMS whose threshold is max(N_t, density of the kept mask): crowded regions keep more (Eq. 4)."""
    thresholds = np.maximum(least, mask_mean(candidates.masks, superpixels.density, backend=backend))
    return candidates.take(nms(candidates.masks, candidates.scores, thresholds, backend=backend))


def _all_levels(answer: PointMasks, points: Float) -> ScoredMasks:
    return ScoredMasks(
        answer.masks,
        answer.scores.ravel(),
        answer.stability.ravel(),
        np.repeat(points, 3, axis=0),
        answer.channels.ravel(),
    )


def _amg_list(candidates: ScoredMasks, threshold: float, backend: str | None) -> Levels:
    none = ScoredMasks.empty(candidates.masks.shape, candidates.masks.device)
    return Levels(candidates.take(nms(candidates.masks, candidates.scores, threshold, backend=backend)), none, none)
