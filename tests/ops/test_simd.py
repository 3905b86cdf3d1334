"""Every SIMD variant that this processor runs gives the oracle's bits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import oracle_ops
import pytest

from esam_fast import MaskGrid, PackedMasks, build_info
from esam_fast.ops import draw_labels, mask_iou, nms, pack_logits, top_k_similarity


@pytest.fixture(params=build_info()["simd_available"] or [])
def variant(request: pytest.FixtureRequest) -> Iterator[str]:
    from esam_fast import _core

    assert _core.choose_simd(request.param)
    yield request.param
    _core.choose_simd(_core.simd_levels()[-1])


@pytest.mark.parametrize("shape", [(1, 1), (5, 13), (16, 64), (37, 45), (64, 128)])
def test_every_variant_equals_the_oracle(variant: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    masks = rng.random((70, *shape)) < rng.random((70, 1, 1))
    packed = PackedMasks.from_bool(masks)
    assert np.array_equal(mask_iou(packed, packed, backend="native"), oracle_ops.mask_iou(masks, masks))

    logits = rng.normal(0, 2, (20, *shape)).astype(np.float32)
    rows, cols = max(1, shape[0] - 1), max(1, shape[1] - 3)
    bits, stability = pack_logits(logits, rows, cols, backend="native")
    expected = oracle_ops.pack_logits(logits, rows, cols, 1.0)
    assert np.array_equal(bits.to_bool(), expected[0])
    assert np.array_equal(stability, expected[-1])

    features = rng.integers(-2047, 2048, (30, shape[0] * 5)).astype(np.int16) // 8
    index, value = top_k_similarity(features, 4, backend="native")
    expected_index, expected_value = oracle_ops.top_k_similarity(features, 4)
    assert np.array_equal(index, expected_index)
    assert np.array_equal(value, expected_value)

    grid = MaskGrid(*shape, float(rows), float(cols), 3 * rows + 1, 2 * cols + 5)
    assert np.array_equal(draw_labels(logits, grid, backend="native"), oracle_ops.draw_labels(logits, grid))

    scores = rng.random(70).astype(np.float32)
    assert np.array_equal(nms(packed, scores, 0.5, backend="native"), oracle_ops.nms(masks, scores, 0.5))


def test_an_unknown_variant_is_refused() -> None:
    _core = pytest.importorskip("esam_fast._core", reason="no native module: numba serves")
    level = _core.simd_level()
    assert not _core.choose_simd("mmx")
    assert _core.simd_level() == level
