"""MMG + EMR + USR and drawing at the default 32 and 64 points, on a simulated SAM's masks, against the NumPy oracle.

pytest benchmarks/bench_stages.py

Prompting costs nothing here: answers are remembered. The paper's 3.95 s for MMG, EMR and USR hold the superpixels, so
both sums are told.
"""

from __future__ import annotations

import statistics

import numpy as np
import plain
import pytest
import workloads
from pytest_benchmark.fixture import BenchmarkFixture
from race import race
from scene import scene

from esam_fast import EntityMap, Esam, EsamConfig
from esam_fast.evaluate.caching import CachingSegmenter

GROUP = "Stages at 32 / 64 points, simulated SAM, without prompting"


def setting(height: int, width: int) -> tuple[Esam, np.ndarray]:
    return Esam(CachingSegmenter(workloads.segmenter(height, width))), scene(width, height)


@pytest.mark.parametrize(("height", "width"), [(800, 1200), (2000, 3000)])
def test_stages(benchmark: BenchmarkFixture, height: int, width: int) -> None:
    esam, image = setting(height, width)
    spent: list[dict[str, float]] = []

    def segment() -> EntityMap:
        entities = esam.segment(image, keep_stages=True)
        spent.append(entities.timings)
        return entities

    entities = race(benchmark, segment, group=GROUP, work=f"{width} x {height} pixels, all", rounds=9)
    stages = {name: statistics.median(run[name] for run in spent[1:]) for name in spent[0]}
    benchmark.extra_info |= {"stages": stages, "entities": len(entities)}
    assert len(entities) > 50


def test_against_the_oracle(benchmark: BenchmarkFixture) -> None:
    esam, image = setting(800, 1200)
    expected, oracle_spent = plain.stages(esam.segmenter, image, EsamConfig())
    spent: list[float] = []

    def segment() -> EntityMap:
        entities = esam.segment(image, keep_stages=True)
        spent.append(sum(entities.timings[stage] for stage in ("mmg", "emr", "usr")))
        return entities

    work = "1200 x 800 pixels, MMG + EMR + USR"
    entities = race(benchmark, segment, group=GROUP, work=work, rounds=9)
    benchmark.extra_info |= {"median": statistics.median(spent[1:]), "peers": {"NumPy oracle": oracle_spent}}
    assert entities.stages is not None
    np.testing.assert_array_equal(entities.stages["usr"].to_bool(), expected)
