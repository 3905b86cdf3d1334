"""`segment`, `segment_many` and `generate` take an image in any form, and find the same in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scene import scene

from esam_fast import Esam, EsamMaskGenerator, load_segmenter

IMAGE = scene(96, 64)


@pytest.fixture(scope="module")
def esam() -> Esam:
    return Esam(load_segmenter("regions"))


@pytest.fixture
def forms(tmp_path: Path) -> list[Any]:
    path = tmp_path / "a.png"
    Image.fromarray(IMAGE).save(path)
    return [path, str(path), IMAGE, IMAGE.transpose(2, 0, 1), Image.fromarray(IMAGE), IMAGE.tolist()]


@pytest.mark.parametrize("views", [{}, {"tile": 48, "overlap": 16}, {"wrap": True}])
def test_segment(esam: Esam, forms: list[Any], views: dict[str, Any]) -> None:
    expected = esam.segment(IMAGE, **views).labels
    for form in forms:
        np.testing.assert_array_equal(esam.segment(form, **views).labels, expected)


def test_segment_many(esam: Esam, forms: list[Any]) -> None:
    expected = esam.segment(IMAGE).labels
    found = list(esam.segment_many(forms))
    assert [key for key, _ in found] == [forms[0], forms[1], 2, 3, 4, 5]
    for _, result in found:
        np.testing.assert_array_equal(result.labels, expected)


def test_generate(esam: Esam, forms: list[Any]) -> None:
    generator = EsamMaskGenerator(esam.segmenter)
    expected = generator.generate(IMAGE)
    for form in forms:
        records = generator.generate(form)
        assert [record["area"] for record in records] == [record["area"] for record in expected]
