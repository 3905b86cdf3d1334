"""SAM 2 on devices that torch can do less on: forced on the CPU, since none is here."""

from __future__ import annotations

import numpy as np
import pytest
from no_doubles import NoDoubles
from sam2_models import small_sam2
from sam_models import photo

from esam_fast.segmenters.sam import prompts
from esam_fast.segmenters.sam2 import Sam2Segmenter

POINTS = np.array([[10.0, 20.0], [100.0, 50.0], [60.5, 70.5]], np.float32)


def test_sam2_without_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = small_sam2(), photo(100, 150)
    plain = Sam2Segmenter(model)
    expected = plain.decode(plain.embed(image), POINTS)
    monkeypatch.setattr(prompts, "has_double", lambda device: False)
    segmenter = Sam2Segmenter(model)
    segmenter._decoder._at_once = True
    segmenter._decoder._chunks._in_threads = False
    with NoDoubles():
        embedding = segmenter.embed(image)
        segmenter.masks(embedding, POINTS)
        found = segmenter.decode(embedding, POINTS)
    for ours, other in zip(found, expected, strict=True):
        assert (ours - other).abs().max() < 1e-3
