"""Inputs that the tests of several ops share."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from esam_fast import PackedMasks
from esam_fast._backend import BACKENDS, BackendUnavailable, available, device_for

COUNTS = (0, 1, 63, 64, 65, 300)
SHAPES = ((9, 7), (13, 21), (8, 16), (33, 40))  # 63 pixels; 273; two whole words; 1320
LARGE = pytest.param(30, (260, 263), id="large")  # more words than a GPU's block has threads
SIZES = (
    *(pytest.param(n, shape, marks=pytest.mark.long if n == 300 else ()) for n, shape in product(COUNTS, SHAPES)),
    LARGE,
)


def blobs(rng: np.random.Generator, n: int, shape: tuple[int, int]) -> np.ndarray:
    """Bool [n, h, w]: ellipses, boxes, speckles and empties, many equal or nearly so."""
    h, w = shape
    y, x = np.mgrid[:h, :w]
    masks = np.zeros((n, h, w), bool)
    for i in range(n):
        kind = rng.integers(8)
        if kind == 0 and i:
            masks[i] = masks[rng.integers(i)]
        elif kind == 1 and i:
            masks[i] = masks[rng.integers(i)] ^ (rng.random(shape) < 0.04)
        elif kind == 2:
            masks[i] = rng.random(shape) < rng.random()
        elif kind == 3 and i % 3 == 0:
            continue
        else:
            cy, cx, ry, rx = rng.random(4) * (h, w, h / 2, w / 2) + (0, 0, 1, 1)
            dy, dx = abs(y - cy) / ry, abs(x - cx) / rx
            masks[i] = (dy * dy + dx * dx < 1) if kind < 6 else (np.maximum(dy, dx) < 1)
    return masks


def tied_scores(rng: np.random.Generator, n: int) -> np.ndarray:
    """Float32 [n] in steps of 1/8: many ties."""
    return (rng.integers(0, 9, n) / 8).astype(np.float32)


def pack(masks: Any) -> PackedMasks:
    return PackedMasks.from_bool(np.asarray(masks, bool))


def rows(*pictures: str) -> np.ndarray:
    """Masks of one grid row each from pictures such as "##..": bool [N, 1, w]."""
    return np.array([[[c == "#" for c in picture]] for picture in pictures])


def strided(array: np.ndarray) -> np.ndarray:
    """The same values, read-only and not contiguous."""
    room = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    view = room[..., ::2]
    view[:] = array
    view.flags.writeable = False
    return view


def read_only(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def frozen(masks: PackedMasks) -> PackedMasks:
    """The same masks in read-only arrays."""
    return PackedMasks(read_only(masks.words), read_only(masks.area), read_only(masks.box), masks.shape)


def refuses_unknown_backends(call: Callable[[str], Any]) -> None:
    """`call(backend)` raises for a name that is no backend, and for one that is not here."""
    with pytest.raises(ValueError, match="backend"):
        call("abacus")
    for missing in set(BACKENDS) - set(available()):
        with pytest.raises(BackendUnavailable, match=missing):
            call(missing)


def is_emulated(backend: str) -> bool:
    """Whether the CUDA kernels are run by the emulation, thread by thread."""
    return backend == "cuda" and device_for(backend) is None


@st.composite
def mask_stacks(draw: st.DrawFn, max_masks: int = 8) -> np.ndarray:
    """Bool [N, h, w], small grids of any shape."""
    n, h, w = draw(st.integers(0, max_masks)), draw(st.integers(1, 9)), draw(st.integers(1, 17))
    density = draw(st.sampled_from((0.1, 0.5, 0.95)))
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random((n, h, w)) < density


def scores_for(masks: np.ndarray) -> st.SearchStrategy[np.ndarray]:
    """Float32 scores for these masks, with ties."""
    one = st.sampled_from((0.0, 0.25, 0.5, 0.75, 1.0))
    return st.lists(one, min_size=len(masks), max_size=len(masks)).map(lambda s: np.array(s, np.float32))
