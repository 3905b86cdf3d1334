"""What training/mask_statistics.py counts, on masks whose statistics can be told by looking."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from libraries import library

from esam_fast.masks import MaskGrid, PackedMasks, PointMasks

library("torch", "ESAM_EXPECT_SAM")
library("segment_anything", "ESAM_EXPECT_SAM")
sys.path.insert(0, str(Path(__file__).parents[2] / "training"))
from mask_statistics import of_image, summary  # noqa: E402

LABELS = np.repeat([[1] * 32 + [2] * 32], 64, axis=0)  # two halves, 64 x 64
IMAGE = np.zeros((64, 64, 3), np.uint8)


class Halves:
    """Answers a point with an eighth of its half, a quarter of it and the half: on the right, everything if `wide`."""

    name, score_threshold, stability_threshold = "halves", 0.5, 0.5

    def __init__(self, wide: bool) -> None:
        self.wide = wide

    def embed(self, image: np.ndarray) -> Any:
        return SimpleNamespace(grid=MaskGrid(16, 16, 16.0, 16.0, 64, 64))

    def masks(self, embedding: Any, points: np.ndarray, *, min_score: float | None = None) -> PointMasks:
        masks = np.zeros((len(points), 3, 16, 16), np.bool_)
        right = points[:, 0] >= 32
        for level, rows in enumerate((2, 4, 16)):
            masks[~right, level, :rows, :8] = masks[right, level, :rows, 8:] = True
        masks[right, 2, :, :8] = self.wide
        scores = np.tile(np.array([0.4, 0.6, 0.9], np.float32), (len(points), 1))
        return PointMasks(
            PackedMasks.from_bool(masks.reshape(-1, 16, 16)), scores, np.ones_like(scores),
            np.tile(np.arange(3, dtype=np.int8), (len(points), 1)),
        )  # fmt: skip


def test_halves_that_lie_apart() -> None:
    found = of_image(Halves(wide=False), IMAGE, LABELS)
    assert np.allclose(found["iou"].mean(axis=0), (1 / 8, 1 / 4, 1))
    assert found["nested"].all()
    assert not found["disagree"].any()
    assert found["passing"].mean() == pytest.approx(2 / 3)
    assert found["objects length"] == 2
    assert found["objects covered"].all()
    assert not found["objects twice"].any()
    assert found["objects pairs"].tolist() == [[True, False, False]]
    assert found["list length"] == 4  # halves and quarters; eighths score too low
    assert found["list pairs"].sum(axis=0).tolist() == [4, 2, 0]


def test_a_mask_of_everything_nests_the_half() -> None:
    found = of_image(Halves(wide=True), IMAGE, LABELS)
    assert found["iou"][:, 2].mean() == pytest.approx(0.75)  # half of the points answer with twice their region
    assert found["objects twice"].mean() == pytest.approx(0.5)
    assert found["objects pairs"].tolist() == [[False, True, False]]
    assert summary([found])["MMG's object masks: pairs disjoint / nested / otherwise touching, %"] == "0 / 100 / 0"


def test_neighbours_that_answer_differently_disagree() -> None:
    segmenter = Halves(wide=True)
    one_region = np.ones_like(LABELS)  # now the points on both sides of the middle lie in one region
    found = of_image(segmenter, IMAGE, one_region)
    assert found["disagree"].sum() == 32  # a pair in each row of points; their masks' IoU is a half
