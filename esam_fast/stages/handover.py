"""What the stages hand to each other, and the rules that several of them share."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from esam_fast.config import Thresholds
from esam_fast.masks import Float, Int, PackedMasks, PointMasks, ScoredMasks

OBJECT = 2


@dataclass(frozen=True)
class Levels:
    """What MMG hands on: object masks, and the part and subpart maps, each in NMS order."""

    objects: ScoredMasks
    parts: ScoredMasks
    subparts: ScoredMasks


@dataclass(frozen=True)
class Gallery:
    """Guidance masks (Eq. 6) of the points of the dense grid that were asked, and what stands for each point.

    Attributes:
        pixels: int64 [P], flat grid index of each point of the grid.
        answer: int64 [P], the row of the mask that stands for each point; -1: none.
        masks: PackedMasks, R; an empty one has no vote.
        scores: float32 [R].
    """

    pixels: Int
    answer: Int
    masks: PackedMasks
    scores: Float


@dataclass(frozen=True)
class Entities:
    """K disjoint entities made of M member masks.

    Attributes:
        masks: PackedMasks, K. scores: float32 [K].
        members: the masks they came from, whole, M, with the scores they have now.
        kept: PackedMasks, M: the pixels that each member still holds; disjoint, and the entity is their union.
        owner: int64 [M], the entity of each member.
    """

    masks: PackedMasks
    scores: Float
    members: ScoredMasks
    kept: PackedMasks
    owner: Int

    def __len__(self) -> int:
        return len(self.scores)

    def scored(self) -> ScoredMasks:
        """The entities, K, each with what its highest-scored member (ties: the first) came from."""
        by_entity = np.lexsort((-self.members.scores, self.owner))
        _, first = np.unique(self.owner[by_entity], return_index=True)
        best = self.members.take(by_entity[first])
        return replace(best, masks=self.masks, scores=self.scores)


def best_levels(scores: Float) -> Int:
    """Level of the highest score of each point [N, 3]; ties go to the larger level: int64 [N] (Eq. 1)."""
    return 2 - np.argmax(scores[:, ::-1], axis=1)


def guided(answer: PointMasks, points: Float, tau: float) -> ScoredMasks:
    """One mask for each of the points [N, 2] that were asked, by Eq. 6."""
    return ScoredMasks.of_levels(answer, points, guided_levels(answer.scores, tau))


def guided_levels(scores: Float, tau: float) -> Int:
    """The object level where s_best - s_object < tau, else the best level: int64 [N] (Eq. 6)."""
    best = best_levels(scores)
    lead = scores[np.arange(len(scores)), best].astype(np.float64) - scores[:, OBJECT].astype(np.float64)
    return np.where(lead < tau, OBJECT, best)


def sound(candidates: ScoredMasks, thresholds: Thresholds) -> ScoredMasks:
    """Those that are not empty and reach the thresholds."""
    keep = candidates.masks.area > 0
    for values, least in zip((candidates.scores, candidates.stability), thresholds, strict=True):
        if least is not None:
            keep &= values.astype(np.float64) >= least
    return candidates.take(keep)


def rescore(scores: Float, now: Int, originally: Int) -> Float:
    """Score * |now| / |originally|: a mask that lost pixels is no longer the mask that was scored."""
    return (scores.astype(np.float64) * now / originally).astype(np.float32)
