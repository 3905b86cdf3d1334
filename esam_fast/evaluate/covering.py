"""How well a partition covers another: covering, class-agnostic panoptic quality, pixels left uncovered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast.evaluate import codes
from esam_fast.evaluate.results import Predictions
from esam_fast.evaluate.truth import Truth


@dataclass
class Coverage:
    """Sums over images; `report` turns them into percent."""

    covering: list[float] = field(default_factory=list)
    uncovered: list[float] = field(default_factory=list)
    hits: int = 0
    misses: int = 0
    false: int = 0
    quality: float = 0.0

    def add(self, truth: Truth, found: Predictions) -> None:
        """Count one image. `found` holds disjoint masks of the image's size.

        Covering (Arbelaez et al. 2011): the mean over annotated pixels of the best IoU that their entity reaches.
        Panoptic quality (Kirillov et al. 2019) of one class: a hit has IoU > 0.5, pixels of crowds and without
        annotation leave the union, and a prediction that lies mostly there is no false one.
        """
        single = [i for i, a in enumerate(truth.annotations) if not a.crowd]
        entities = [truth.annotations[i].code for i in single]
        sizes, own = truth.pixels[single], found.pixels
        shared = found.common(truth)[:, single]
        union = own[:, None] + sizes[None] - shared
        self.uncovered.append(1 - own.sum() / (truth.height * truth.width))
        if sizes.any():
            best = (shared / np.maximum(union, 1)).max(axis=0, initial=0.0)
            self.covering.append(float((best * sizes).sum() / sizes.sum()))

        void = own - codes.common(found.codes, own, codes.union(entities)).sum(axis=1)
        iou = shared / np.maximum(union - void[:, None], 1)
        of_entity = iou.argmax(axis=0) if len(found) else np.zeros(0, np.int64)
        matched: dict[int, float] = {}  # annotations may overlap: a prediction is the hit of one of them
        for entity, prediction in enumerate(of_entity):
            if iou[prediction, entity] > 0.5:
                matched[int(prediction)] = max(matched.get(int(prediction), 0.0), float(iou[prediction, entity]))
        self.hits += len(matched)
        self.quality += sum(matched.values())
        self.misses += len(entities) - len(matched)
        ignored = void > 0.5 * own
        self.false += sum(not ignored[i] and i not in matched for i in range(len(found)))

    def report(self) -> dict[str, float]:
        """PQ SQ RQ covering uncovered, in percent; covering and uncovered are means over images."""
        sq = self.quality / self.hits if self.hits else 0.0
        counted = self.hits + (self.misses + self.false) / 2
        rq = self.hits / counted if counted else 0.0
        return {
            "PQ": 100 * sq * rq,
            "SQ": 100 * sq,
            "RQ": 100 * rq,
            "covering": 100 * float(np.mean(self.covering)) if self.covering else 0.0,
            "uncovered": 100 * float(np.mean(self.uncovered)) if self.uncovered else 0.0,
        }


def covering(labels: NDArray[np.integer[Any]], truths: list[NDArray[np.integer[Any]]]) -> float:
    """Covering of people's label maps (0: unlabelled) by one label map (0: uncovered) of the same size, in 0..1.

    Raises:
        ValueError: no truths, or one that labels no pixel.
    """
    if not truths or not all(truth.any() for truth in truths):
        raise ValueError(f"truths must label some pixel each, got {len(truths)} label maps")
    found, labels = np.unique(labels, return_inverse=True)
    total = 0.0
    for truth in truths:
        regions = truth.max() + 1
        both = np.bincount(labels.ravel() * regions + truth.ravel(), minlength=len(found) * regions)
        both = both.reshape(len(found), regions)[:, 1:].astype(np.float64)
        size = both.sum(axis=0)
        iou = both / np.maximum(both.sum(axis=1, keepdims=True) + size - both, 1)
        total += (iou[found > 0].max(axis=0, initial=0) * size).sum() / size.sum()
    return float(total / len(truths))
