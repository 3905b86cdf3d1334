"""Under-segmentation refinement (Sec. 3.4, Eqs. 9-10): prompts for what is uncovered, and its completion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from esam_fast.config import UsrConfig
from esam_fast.masks import Float, Int, MaskGrid, PackedMasks, PointMasks, ScoredMasks
from esam_fast.ops import greedy_cover, intersections, max_iou, measure
from esam_fast.stages.handover import Entities, Levels, guided_levels, rescore
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
        packed = PackedMasks.from_labels(uncovered, len(superpixels)).take(regions)
        within = intersections(packed, parts.masks, backend=backend) == sizes[regions][:, None]
        best = np.argmax(np.where(within, parts.scores, -np.inf), axis=1)
        centre_of: dict[int, int] = {}
        for row in np.flatnonzero(within.any(axis=1)):
            part = int(best[row])
            if part not in centre_of:
                centre_of[part] = mask_centre(parts.masks, part)
            pixels[row] = centre_of[part]
    _, first = np.unique(pixels, return_index=True)
    return pixels[np.sort(first)]


def complete(
    entities: Entities,
    answer: PointMasks,
    points: Float,
    grid: MaskGrid,
    tau: float,
    config: UsrConfig,
    *,
    backend: str | None = None,
) -> Entities:
    """Cover what is uncovered with as few of the additional masks as it takes (Eq. 10).

    Args:
        entities: from EMR.
        answer: three masks for each of the points [N, 2] that `propose` asked for, in image pixels.
        grid: of all masks.
        tau: of Eq. 6, which picks one mask a point.
        config: thresholds.
        backend: of the operations.
    """
    extra = ScoredMasks.of_levels(answer, points, guided_levels(answer.scores, tau))
    covered = np.bitwise_or.reduce(entities.masks.words, axis=0, keepdims=True)
    picks, gains = greedy_cover(
        extra.masks,
        extra.scores,
        PackedMasks.from_words(covered, grid.shape),
        config.min_gain * grid.rows * grid.cols,
        backend=backend,
    )
    if len(picks) == 0:
        return entities
    extra = extra.take(picks)
    additions = rescore(extra.scores, gains, extra.masks.area)

    # Entities as they stand, with room for one more a pick.
    count, room = len(entities), len(entities) + len(picks)
    words = np.zeros((room, covered.shape[1]), np.uint64)
    area, box, scores = np.zeros(room, np.int64), np.zeros((room, 4), np.int32), np.zeros(room, np.float32)
    words[:count], area[:count], box[:count] = entities.masks.words, entities.masks.area, entities.masks.box
    scores[:count] = entities.scores
    kept = extra.masks.words.copy()
    owner = np.zeros(len(picks), np.int64)
    for i in range(len(picks)):
        kept[i] &= ~covered[0]
        covered[0] |= kept[i]
        now = PackedMasks(words[:count], area[:count], box[:count], grid.shape)
        iou, joins = max_iou(extra.masks.take(np.array([i])), now, backend=backend)
        owner[i] = joins[0] if iou[0] > config.rho else count
        if owner[i] == count:
            scores[count] = additions[i]
            count += 1
        one = slice(owner[i], owner[i] + 1)
        words[one] |= kept[i]
        area[one], box[one] = measure(words[one], grid.shape, backend=backend)
    return Entities(
        PackedMasks(words[:count], area[:count], box[:count], grid.shape),
        scores[:count],
        ScoredMasks.concatenate([entities.members, replace(extra, scores=additions)]),
        PackedMasks.concatenate([entities.kept, PackedMasks.from_words(kept, grid.shape)]),
        np.concatenate([entities.owner, owner]),
    )
