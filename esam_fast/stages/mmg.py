"""Multi-level mask generation (Sec. 3.2, Eqs. 1-4): SAM's automatic masks, sorted by level."""

from __future__ import annotations

import numpy as np

from esam_fast.config import MmgConfig, Thresholds
from esam_fast.masks import Float, Int, PointMasks, ScoredMasks
from esam_fast.ops import mask_mean, max_iou, nms
from esam_fast.stages.handover import OBJECT, best_levels, sound
from esam_fast.superpixels import Superpixels


def object_masks(
    answer: PointMasks,
    points: Float,
    config: MmgConfig,
    thresholds: Thresholds,
    *,
    backend: str | None = None,
) -> ScoredMasks:
    """What EMR starts from: the object level, or AMG's own list where the stage is off; arguments as below."""
    if config.enabled:
        return object_level(answer, points, config, thresholds, backend=backend)
    every = sound(_all_levels(answer, points), thresholds)
    return every.take(nms(every.masks, every.scores, config.amg_nms, backend=backend))


def object_level(
    answer: PointMasks,
    points: Float,
    config: MmgConfig,
    thresholds: Thresholds,
    *,
    backend: str | None = None,
) -> ScoredMasks:
    """The distinct object masks that the best-level map confirms (Eqs. 1 and 2).

    Args:
        answer: three masks a point. points: float32 [N, 2], image pixels.
        config: of the stage.
        thresholds: masks below either, and empty ones, are dropped first.
        backend: of the operations.
    """
    best = sound(_level(answer, points, best_levels(answer.scores)), thresholds)
    objects = sound(_level(answer, points, OBJECT), thresholds)
    objects = objects.take(nms(objects.masks, objects.scores, config.theta_o, backend=backend))
    agreement, _ = max_iou(objects.masks, best.masks, backend=backend)
    return objects.take(agreement >= config.gamma_o)


def part_maps(
    answer: PointMasks,
    points: Float,
    superpixels: Superpixels,
    config: MmgConfig,
    thresholds: Thresholds,
    *,
    backend: str | None = None,
) -> tuple[ScoredMasks, ScoredMasks]:
    """The distinct part and subpart masks, more of them where the image is dense (Eqs. 3 and 4); none, stage off.

    Args:
        superpixels: for the density of Eq. 3. The others: see `object_level`.
    """
    if not config.enabled:
        none = ScoredMasks.empty(answer.masks.shape, answer.masks.device)
        return none, none
    parts, subparts = (
        _adaptive_nms(sound(_level(answer, points, k), thresholds), superpixels, config.n_t, backend) for k in (1, 0)
    )
    return parts, subparts


def _level(answer: PointMasks, points: Float, levels: int | Int) -> ScoredMasks:
    """One mask a point: of one level, or of the level named for each."""
    return ScoredMasks.of_levels(answer, points, np.broadcast_to(levels, len(answer)))


def _adaptive_nms(candidates: ScoredMasks, superpixels: Superpixels, least: float, backend: str | None) -> ScoredMasks:
    """NMS whose threshold is max(N_t, density of the kept mask): crowded regions keep more (Eq. 4)."""
    limits = np.maximum(least, mask_mean(candidates.masks, superpixels.density, backend=backend))
    return candidates.take(nms(candidates.masks, candidates.scores, limits, backend=backend))


def _all_levels(answer: PointMasks, points: Float) -> ScoredMasks:
    return ScoredMasks(
        answer.masks,
        answer.scores.ravel(),
        answer.stability.ravel(),
        np.repeat(points, 3, axis=0),
        answer.channels.ravel(),
    )
