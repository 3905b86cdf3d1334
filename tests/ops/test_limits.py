"""Sizes and numbers beyond what kernels count are refused by name, on every backend; large ones are counted right."""

from __future__ import annotations

import numpy as np
import pytest
from cases import is_emulated, pack

from esam_fast import PackedMasks, _arrays
from esam_fast._backend import device_for
from esam_fast.ops import (
    felzenszwalb,
    intersections,
    mask_iou,
    mask_similarity,
    max_iou,
    measure,
    measure_labels,
    pack_logits,
    top_k_similarity,
    watershed,
)

NONE = np.zeros((0, 0), np.uint64)


def wide(dtype: type, *shape: int) -> np.ndarray:
    """An array whose shape is all there is of it."""
    return np.broadcast_to(np.zeros((), dtype), shape)


REFUSED = {
    "shape must have at most 536870911 pixels, got 20000 x 30000": lambda b: measure(NONE, (20000, 30000), backend=b),
    "shape must have at most 536870911 pixels, got 65536 x 65536": lambda b: measure(
        np.zeros((1, 0), np.uint64), (np.int32(65536), np.int32(65536)), backend=b
    ),
    "logits must have at most 536870911 pixels": lambda b: pack_logits(wide(np.float32, 1, 2**15, 2**15), backend=b),
    "offset must be at most 3.4e": lambda b: pack_logits(np.zeros((1, 2, 2), np.float32), offset=1e39, backend=b),
    "labels must have at most 2000000000 pixels": lambda b: measure_labels(wide(np.int32, 1, 2**31), 1, backend=b),
    "n must be at most 67108864, got 2147483647": lambda b: measure_labels(
        np.zeros((1, 1), np.int32), 2**31 - 1, backend=b
    ),
    "image must have at most 536870911 pixels": lambda b: felzenszwalb(wide(np.uint8, 2**15, 2**15, 3)),
    "sigma must be at most 100, got 10000000.0": lambda b: felzenszwalb(np.zeros((4, 4, 3), np.uint8), sigma=1e7),
    "scale must be at most 3.4e": lambda b: felzenszwalb(np.zeros((4, 4, 3), np.uint8), scale=1e39),
    "min_size must be at most 536870911": lambda b: felzenszwalb(np.zeros((4, 4, 3), np.uint8), min_size=2**64),
    "relief must have at most 536870911 pixels": lambda b: watershed(wide(np.uint8, 2**31 - 1, 1)),
    "k must be at most 134217728, got": lambda b: top_k_similarity(np.zeros((2, 1), np.int16), 10**9, backend=b),
    "n_masks must be at most 16384": lambda b: mask_similarity(
        np.zeros((0, 1), np.int32), np.zeros(0, np.int32), 10**6, backend=b
    ),
    "a and b must make at most 268435456 pairs, got 20000 x 20000": lambda b: mask_iou(many(), many(), backend=b),
}  # fmt: skip


def many() -> PackedMasks:
    return PackedMasks.from_words(np.zeros((20000, 1), np.uint64), (1, 1))


@pytest.mark.parametrize("message", REFUSED)
def test_refused(message: str, backend: str) -> None:
    with pytest.raises(ValueError, match=message):
        REFUSED[message](backend)


def test_more_pixels_than_float32_counts(backend: str) -> None:
    side = 101 if is_emulated(backend) else 5001  # 25,010,001 pixels: odd, and above 2 ** 24
    bits = np.ones((2, side, side), np.bool_)
    bits[1, 0, :2] = False
    masks = pack(bits)
    pixels = side * side
    assert masks.area.tolist() == [pixels, pixels - 2]
    assert np.asarray(intersections(masks, masks, backend=backend)).tolist() == [
        [pixels, pixels - 2],
        [pixels - 2, pixels - 2],
    ]
    best, _ = max_iou(masks.take(np.array([1])), masks.take(np.array([0])), backend=backend)
    assert best.tolist() == [(pixels - 2) / pixels]


def test_pad_bits_and_wrong_areas_are_seen_wherever_masks_live(backend: str) -> None:
    words = _arrays.move(np.array([[0b11], [1 << 6]], np.uint64), device_for(backend))
    with pytest.raises(ValueError, match=r"words\[1\] must have no bit set beyond its 6 pixels"):
        PackedMasks.from_words(words, (2, 3), backend=backend)
    with pytest.raises(ValueError, match=r"words\[1\] must have no bit set beyond its 6 pixels"):
        measure(words, (2, 3), backend=backend)
    area, box = np.array([2, 1]), np.array([[0, 0, 2, 1], [0, 2, 1, 3]], np.int32)
    assert PackedMasks(words, area, box, (3, 3)).to_bool().sum() == 3
    with pytest.raises(ValueError, match=r"area\[1\] must be 1, as words\[1\], got 2"):
        PackedMasks(words, area + np.array([0, 1]), box, (3, 3))


def test_exactly_as_wide_as_words(backend: str) -> None:
    """Rows of whole words, with pixels in the corners only, in the first word and in the last."""
    bits = np.zeros((4, 3, 192), np.bool_)
    bits[0, 0, 0] = bits[0, 2, 191] = bits[1, 1, 63] = bits[1, 1, 64] = bits[2, 2, 128] = True
    masks = pack(bits)
    area, box = measure(masks.words, masks.shape, backend=backend)
    assert area.tolist() == [2, 2, 1, 0]
    assert box.tolist() == [[0, 0, 192, 3], [63, 1, 65, 2], [128, 2, 129, 3], [0, 0, 0, 0]]
