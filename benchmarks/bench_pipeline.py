"""The whole of E-SAM with the regions segmenter on one image of 1800 x 1200 pixels, and that segmenter's own parts.

pytest benchmarks/bench_pipeline.py
"""

from __future__ import annotations

import statistics

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture
from race import race
from scene import scene, scene_labels

from esam_fast import EntityMap, Esam, load_segmenter
from esam_fast.evaluate.covering import covering
from esam_fast.segmenters.regions.calibration import predict_iou, properties
from esam_fast.segmenters.regions.contours import find_contours
from esam_fast.segmenters.regions.hierarchy import hierarchy

WIDTH, HEIGHT = 1800, 1200
WORK_WIDTH, WORK_HEIGHT = 1024, 683  # what the segmenter makes of it
PARTS = f"The regions segmenter at {WORK_WIDTH} x {WORK_HEIGHT} pixels"


def test_segment_1800_x_1200(benchmark: BenchmarkFixture) -> None:
    image, truth = scene(WIDTH, HEIGHT), scene_labels(WIDTH, HEIGHT)
    esam = Esam(load_segmenter("regions"))
    spent: list[dict[str, float]] = []

    def segment() -> EntityMap:
        entities = esam.segment(image)
        spent.append(entities.timings)
        return entities

    entities = race(benchmark, segment, group="The whole, regions segmenter", work=f"{WIDTH} x {HEIGHT} pixels")
    stages = {stage: statistics.median(run[stage] for run in spent[1:]) for stage in spent[0]}
    benchmark.extra_info |= {"stages": stages, "entities": len(entities)}
    assert covering(entities.labels, [truth + 1]) > 0.5


def test_contours(benchmark: BenchmarkFixture) -> None:
    image, truth = scene(WORK_WIDTH, WORK_HEIGHT), scene_labels(WORK_WIDTH, WORK_HEIGHT)
    strength = race(benchmark, lambda: find_contours(image), group=PARTS, work="contours").strength
    assert strength[:, 1:][truth[:, 1:] != truth[:, :-1]].mean() > 2 * strength.mean()


def test_contours_and_tree(benchmark: BenchmarkFixture) -> None:
    image = scene(WORK_WIDTH, WORK_HEIGHT)
    h = race(benchmark, lambda: hierarchy(image), group=PARTS, work="contours and tree")
    assert (np.bincount(h.leaf.ravel()) == h.tree.area[: h.tree.leaves]).all()


def test_predicted_iou(benchmark: BenchmarkFixture) -> None:
    h = hierarchy(scene(WORK_WIDTH, WORK_HEIGHT))
    work = f"predicted IoU, {h.tree.leaves:,} leaves"
    scores = race(benchmark, lambda: predict_iou(properties(h)), group=PARTS, work=work)
    assert scores.shape == h.tree.parent.shape
    assert 0 <= scores.min() < scores.max() <= 1
