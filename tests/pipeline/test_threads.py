"""The same bytes from one thread and from two, and run after run; for the ops see tests/ops/conftest.py."""

from __future__ import annotations

import pytest
from synthetic import GRIDS, SyntheticSegmenter

import esam_fast
from esam_fast import Esam, EsamConfig


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
