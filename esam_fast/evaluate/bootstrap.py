"""How far AP would move with other images: resampled images, matched once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esam_fast.evaluate import codes
from esam_fast.evaluate.datasets import Dataset, Truth
from esam_fast.evaluate.metric import MAX_DETECTIONS
from esam_fast.evaluate.results import Predictions
from esam_fast.masks import Bool, Int

IOUS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)


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
            hit, miss = _match(truth, [found.codes[i] for i in order])
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
        each = weight[self.image]
        hits = np.cumsum(self.hit * each, axis=1)
        seen = hits + np.cumsum(self.miss * each, axis=1)
        precision = hits / np.maximum(seen, 1)
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        precision = np.pad(precision, ((0, 0), (0, 1)))  # beyond the last prediction: 0
        mean = [precision[t, np.searchsorted(hits[t] / total, RECALLS, side="left")].mean() for t in range(len(IOUS))]
        return 100 * np.array([np.mean(mean), mean[0], mean[5]])


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


def _match(truth: Truth, found: list[dict[str, object]]) -> tuple[Bool, Bool]:
    """COCO's matching of one image's predictions, best first: hit and miss, bool [10, N]."""
    crowd = np.array([a.crowd for a in truth.annotations], np.bool_)
    entities = [a.code for a in truth.annotations]
    shared = codes.common(found, entities)
    own = codes.areas(found)[:, None]
    iou = shared / np.maximum(np.where(crowd, own, own + codes.areas(entities)[None] - shared), 1)
    taken = np.zeros((len(IOUS), len(entities)), np.bool_)
    hit = np.zeros((len(IOUS), len(found)), np.bool_)
    in_crowd = np.zeros_like(hit)
    enough = np.minimum(IOUS, 1 - 1e-10)
    for i in range(len(found) if entities else 0):
        free = np.where(taken | crowd, -1.0, iou[i])  # [10, N]
        best = free.shape[1] - 1 - np.argmax(free[:, ::-1], axis=1)  # of equals, the last
        hit[:, i] = free[np.arange(len(IOUS)), best] >= enough
        taken[np.flatnonzero(hit[:, i]), best[hit[:, i]]] = True
        in_crowd[:, i] = ~hit[:, i] & (np.where(crowd, iou[i], -1.0).max() >= enough)
    return hit, ~(hit | in_crowd)
