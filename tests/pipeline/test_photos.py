"""The segmenter without weights on whole pictures: Esam.segment equals the oracle bit for bit.

ESAM_TEST_PHOTOS lists folders or files, separated by semicolons or os.pathsep; a synthetic scene serves without it.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import numpy as np
import oracle
import pytest
from synthetic import SyntheticSegmenter

from esam_fast import Esam, EsamConfig, MaskGrid, load_image, load_segmenter

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
SYNTHETIC = "synthetic scene"


def photos() -> list[str]:
    listed = [Path(p) for p in re.split(f"[;{re.escape(os.pathsep)}]", os.environ.get("ESAM_TEST_PHOTOS", "")) if p]
    found = []
    for path in listed:
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise FileNotFoundError(f"ESAM_TEST_PHOTOS names {path}, which holds no photograph")
        found += map(str, inside)
    return found or [SYNTHETIC]


@cache
def picture(name):
    if name == SYNTHETIC:
        return SyntheticSegmenter(MaskGrid(60, 80, 60.0, 80.0, 240, 320), 4, objects=30).image()
    return load_image(name)


@cache
def expected(name):
    return oracle.segment(picture(name), load_segmenter("regions"), EsamConfig())


@pytest.mark.parametrize("name", photos())
def test_equals_oracle(backend, name):
    result = Esam(load_segmenter("regions"), EsamConfig(), backend=backend).segment(picture(name))
    labels, scores = expected(name)
    np.testing.assert_array_equal(result.scores, scores)
    np.testing.assert_array_equal(result.labels, labels)
