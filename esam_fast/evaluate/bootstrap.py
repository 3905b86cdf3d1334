"""How far AP would move with other images: resampled images, matched once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from esam_fast.evaluate.metric import MAX_DETECTIONS
from esam_fast.evaluate.results import Predictions
from esam_fast.evaluate.truth import Dataset, Truth
from esam_fast.masks import Bool, Int

IOUS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
DRAWS = 1000


@dataclass(frozen=True)
class Matches:
    """Which of D predictions, by score descending over all images, hit an annotation at each IoU threshold.

    Attributes:
        hit, miss: bool [10, D]; neither where a crowd takes the prediction.
        image: int64 [D], the index of its image.
        annotated: int64 [images], annotations of each image, crowds apart.
    """

    hit: Bool
    miss: Bool
    image: Int
    annotated: Int

    @classmethod
    def of(cls, dataset: Dataset, predictions: Sequence[Predictions]) -> Matches:
        """COCO's greedy matching of predictions, one for each image, as they are."""
        hits, misses, scores, images = [], [], [], []
        for number, (truth, found) in enumerate(zip(dataset, predictions, strict=True)):
            order = np.argsort(-found.scores, kind="stable")[:MAX_DETECTIONS]
            hit, miss = _match(truth, found.take(order))
            hits.append(hit)
            misses.append(miss)
            scores.append(found.scores[order])
            images.append(np.full(len(order), number))
        ranking = np.argsort(-np.concatenate(scores), kind="stable")
        return cls(
            np.concatenate(hits, axis=1)[:, ranking],
            np.concatenate(misses, axis=1)[:, ranking],
            np.concatenate(images)[ranking],
            np.array([sum(not a.crowd for a in truth.annotations) for truth in dataset], np.int64),
        )

    def average_precision(self, weight: Int | None = None) -> NDArray[np.float64]:
        """AP, AP50 and AP75 in percent, each image counted `weight` [images] times (once for None)."""
        weight = np.ones(len(self.annotated), np.int64) if weight is None else weight
        total = int(weight @ self.annotated)
        if total == 0:
            return np.full(3, -1.0)
        wanted = np.floor(RECALLS * total)
        wanted += wanted / total < RECALLS  # hits at which each recall is reached
        each = weight.astype(np.float64)[self.image]
        all_seen = np.cumsum(each)
        mean = np.zeros(len(IOUS))
        for t, (where, counted) in enumerate(zip(self._where_hit, self._counted, strict=True)):
            if not len(where):
                continue
            hits = np.cumsum(each[where])
            seen = (all_seen if counted is None else np.cumsum(each * counted))[where]
            precision = hits / np.maximum(seen, 1)  # elsewhere it only falls
            reached = np.searchsorted(hits, wanted, side="left")
            reached = reached[reached < len(hits)]
            best = np.maximum.reduceat(precision, reached) if len(reached) else np.zeros(0)
            mean[t] = np.maximum.accumulate(best[::-1]).sum() / len(RECALLS)
        return 100 * np.array([np.mean(mean), mean[0], mean[5]])

    @cached_property
    def _where_hit(self) -> list[Int]:
        return [np.flatnonzero(hit) for hit in self.hit]

    @cached_property
    def _counted(self) -> list[Bool | None]:
        """Which predictions are a hit or a miss; None for all."""
        counted = self.hit | self.miss
        return [None if row.all() else row for row in counted]


def draw(dataset: Dataset, predictions: Sequence[Predictions], *, repeats: int = 1) -> NDArray[np.float64]:
    """AP, AP50 and AP75 of predictions painted apart, of DRAWS draws of images; see `resample`."""
    return resample(Matches.of(dataset, [one.painted() for one in predictions]), DRAWS, seed=0, repeats=repeats)


def interval(draws: NDArray[np.float64]) -> list[list[float]]:
    """The 95 % interval of each column of draws [N, C]: C times [low, high]."""
    return np.percentile(draws, [2.5, 97.5], axis=0).T.tolist()


def resample(matches: Matches, times: int, seed: int, repeats: int = 1) -> NDArray[np.float64]:
    """AP, AP50 and AP75 of `times` draws of images with replacement: float64 [times, 3].

    The same seed draws the same images, so that two methods' draws can be compared one by one.

    Args:
        matches: of a dataset whose images come in `repeats` blocks of the same images (one for each seed of a
            simulation), which are drawn together.
        times: number of draws. seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    count = len(matches.annotated) // repeats
    draws = [np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(times)]
    return np.stack([matches.average_precision(np.tile(draw, repeats)) for draw in draws])


def _match(truth: Truth, found: Predictions) -> tuple[Bool, Bool]:
    """COCO's matching of one image's predictions, best first: hit and miss, bool [10, N]."""
    crowd = np.array([a.crowd for a in truth.annotations], np.bool_)
    shared, own = found.common(truth), found.pixels[:, None]
    iou = shared / np.maximum(np.where(crowd, own, own + truth.pixels[None] - shared), 1)
    enough = np.minimum(IOUS, 1 - 1e-10)
    near = iou >= enough[0]
    hit = np.zeros((len(IOUS), len(found)), np.bool_)
    in_crowd = np.zeros_like(hit)
    # Where masks do not overlap, at most one of either side is near: nobody competes.
    alone, its = np.nonzero(near & ~crowd & (near.sum(axis=0) == 1) & (near.sum(axis=1) == 1)[:, None])
    hit[:, alone] = iou[alone, its] >= enough[:, None]
    near[alone] = False
    taken = np.zeros((len(IOUS), len(crowd)), np.bool_)
    for i in np.flatnonzero(near.any(axis=1)):
        others = np.flatnonzero(near[i])
        free = np.where(taken[:, others] | crowd[others], -1.0, iou[i, others])  # [10, n]
        best = free.shape[1] - 1 - np.argmax(free[:, ::-1], axis=1)  # of equals, the last
        hit[:, i] = free[np.arange(len(IOUS)), best] >= enough
        taken[np.flatnonzero(hit[:, i]), others[best[hit[:, i]]]] = True
        in_crowd[:, i] = ~hit[:, i] & (np.where(crowd[others], iou[i, others], -1.0).max() >= enough)
    return hit, ~(hit | in_crowd)
