"""The whole of E-SAM with the regions segmenter on one image of 1800 x 1200 pixels.

pytest benchmarks/bench_pipeline.py
"""

from __future__ import annotations

import statistics

from pytest_benchmark.fixture import BenchmarkFixture
from race import race

from esam_fast import EntityMap, Esam, load_segmenter
from esam_fast.evaluate.covering import covering
from esam_fast.scene import scene, scene_labels

WIDTH, HEIGHT = 1800, 1200


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
