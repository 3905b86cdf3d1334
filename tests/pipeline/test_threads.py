"""The same bytes from one thread and from two, and run after run; for the ops see tests/ops/conftest.py."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from synthetic import GRIDS, SyntheticSegmenter

import esam_fast
from esam_fast import Esam, EsamConfig, load_segmenter


@pytest.fixture(autouse=True)
def _restore_threads():
    before = esam_fast.get_num_threads()
    yield
    esam_fast.set_num_threads(before)


def test_pipeline(backend):
    segmenter = SyntheticSegmenter(GRIDS["odd"], 3)
    image, model = segmenter.image(), Esam(segmenter, EsamConfig(), backend=backend)
    seen = set()
    for threads in (1, 2, 2, 1, 2):
        esam_fast.set_num_threads(threads)
        result = model.segment(image)
        seen.add((result.labels.tobytes(), result.scores.tobytes(), result.areas.tobytes(), result.boxes.tobytes()))
    assert len(seen) == 1


def test_setting():
    esam_fast.set_num_threads(2)
    assert esam_fast.get_num_threads() == 2
    with pytest.raises(ValueError, match=r"^n must"):
        esam_fast.set_num_threads(0)
    with pytest.raises(TypeError, match=r"^n must"):
        esam_fast.set_num_threads(1.5)
    assert esam_fast.get_num_threads() == 2


@pytest.mark.parametrize("name", ["regions", "synthetic"])
def test_one_pipeline_for_several_threads(name):
    synthetic = SyntheticSegmenter(GRIDS["odd"], 3)
    image = synthetic.image()
    esam = Esam(load_segmenter("regions") if name == "regions" else synthetic)
    images = [np.ascontiguousarray(np.roll(image, 7 * k, axis=1)) for k in range(4)]
    alone = [esam.segment(one).labels for one in images]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda one: esam.segment(one).labels, images * 2))
    for found, expected in zip(together, alone * 2, strict=True):
        np.testing.assert_array_equal(found, expected)
