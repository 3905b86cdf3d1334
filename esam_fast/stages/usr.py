"""Under-segmentation refinement (Sec. 3.4, Eqs. 9-10): prompts for what is uncovered, and its completion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from esam_fast._arrays import host
from esam_fast.config import Thresholds, UsrConfig
from esam_fast.masks import Int, MaskGrid, PackedMasks, ScoredMasks
from esam_fast.ops import greedy_cover, intersections
from esam_fast.stages.handover import Entities, Levels, rescore, sound
from esam_fast.superpixels import Superpixels, label_centres, mask_centre


def propose(
    entities: PackedMasks,
    levels: Levels,
    superpixels: Superpixels,
    min_area: int,
    *,
    backend: str | None = None,
) -> Int:
    """Grid pixels to prompt for the uncovered parts of superpixels: int64 [N], distinct, in superpixel order.

    A superpixel's uncovered pixels S_R (at least `min_area`) are prompted at the centre of the highest-scored
    part or subpart mask that contains all of them, else at their own centre (Eq. 9).
    """
    uncovered = np.where(entities.to_labels() >= 0, -1, superpixels.labels)
    sizes = np.bincount(uncovered[uncovered >= 0], minlength=len(superpixels))
    regions = np.flatnonzero(sizes >= max(min_area, 1))
    if len(regions) == 0:
        return np.zeros(0, np.int64)
    pixels = label_centres(uncovered, len(superpixels))[regions]
    parts = ScoredMasks.concatenate([levels.subparts, levels.parts])
    if len(parts):
        number = np.full(len(superpixels) + 1, -1, np.int32)  # of each region; the last one is for label -1
        number[regions] = np.arange(len(regions))
        packed = PackedMasks.from_labels(number[uncovered], len(regions), backend=backend).to(parts.masks.device)
        within = host(intersections(packed, parts.masks, backend=backend)) == sizes[regions][:, None]
        best = np.argmax(np.where(within, parts.scores, -np.inf), axis=1)
        rows = np.flatnonzero(within.any(axis=1))
        around, which = np.unique(best[rows], return_inverse=True)
        chosen = parts.masks.take(around).to(None)
        centres = np.array([mask_centre(chosen, i) for i in range(len(chosen))], np.int64)
        pixels[rows] = centres[which]
    _, first = np.unique(pixels, return_index=True)
    return pixels[np.sort(first)]


def complete(
    entities: Entities,
    extra: ScoredMasks,
    grid: MaskGrid,
    config: UsrConfig,
    *,
    backend: str | None = None,
) -> Entities:
    """Cover what is uncovered with as few of the additional masks as it takes (Eq. 10).

    Args:
        entities: from EMR.
        extra: the guidance mask (Eq. 6) of each point that `propose` names.
        grid: of all masks.
        config: of the stage.
        backend: of the operations.
    """
    extra = sound(extra, Thresholds(config.score_threshold, config.stability_threshold))
    covered = entities.masks.united(np.zeros(len(entities), np.int64), 1, backend=backend)
    picks, gains = greedy_cover(
        extra.masks, extra.scores, covered, config.min_gain * grid.rows * grid.cols, backend=backend
    )
    if len(picks) == 0:
        return entities
    extra = extra.take(picks)
    additions = rescore(extra.scores, gains, extra.masks.area)
    kept = extra.masks.painted(covered, backend=backend)
    owner = _joined(entities.masks, extra.masks, kept, config.rho, backend)
    joined, first = np.unique(owner, return_index=True)
    scores = np.concatenate([entities.scores, additions[first[joined >= len(entities)]]])  # a new one's is its first's
    together = np.concatenate([np.arange(len(entities)), owner])
    return Entities(
        PackedMasks.concatenate([entities.masks, kept]).united(together, len(scores), backend=backend),
        scores,
        ScoredMasks.concatenate([entities.members, replace(extra, scores=additions)]),
        PackedMasks.concatenate([entities.kept, kept]),
        np.concatenate([entities.owner, owner]),
    )


def _joined(entities: PackedMasks, extra: PackedMasks, kept: PackedMasks, rho: float, backend: str | None) -> Int:
    """The entity that each additional mask's pixels `kept` join, in order; beyond the last: a new one. int64 [P].

    An additional mask, whole, is compared with the entities as they stand then. These are made of parts that do not
    overlap, what they were and what they were given, so that areas and intersections are sums over the parts.
    """
    count, picks = len(entities), len(extra)
    common = np.zeros((picks, count + picks), np.int64)  # of each mask with each entity as it stands
    common[:, :count] = host(intersections(extra, entities, backend=backend))
    given = host(intersections(extra, kept, backend=backend))
    area = np.concatenate([entities.area, np.zeros(picks, np.int64)])
    owner = np.zeros(picks, np.int64)
    for i in range(picks):
        best = 0.0
        if count:
            iou = common[i, :count] / (extra.area[i] + area[:count] - common[i, :count])
            owner[i] = np.argmax(iou)
            best = iou[owner[i]]
        if not best > rho:
            owner[i] = count
            count += 1
        common[:, owner[i]] += given[:, i]
        area[owner[i]] += kept.area[i]
    return owner
