"""Mask IoU for all pairs, and each mask's best match."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esam_fast import _arrays
from esam_fast._arrays import Array
from esam_fast._backend import run
from esam_fast._limits import MAX_PAIRS
from esam_fast.masks import PackedMasks, check_masks


def mask_iou(a: PackedMasks, b: PackedMasks, *, backend: str | None = None) -> Array:
    """IoU of every mask of `a` with every mask of `b`; 0 where the union is empty.

    Args:
        a: PackedMasks, N masks.
        b: PackedMasks, M masks on the same grid.
        backend: "native", "cuda", "numba", "torch", or None for the best one for where the masks live.

    Returns:
        [N, M] float64: double(intersection) / double(union), identical on every backend; it lives where `a` does.

    Raises:
        TypeError: not PackedMasks. ValueError: different grids, or over 2 ** 28 pairs.
        BackendUnavailable: a backend asked for by name is not here.
    """
    return _pairs("mask_iou", a, b, np.float64, backend)


def intersections(a: PackedMasks, b: PackedMasks, *, backend: str | None = None) -> Array:
    """Common pixels of every mask of `a` with every mask of `b`.

    Args:
        a: PackedMasks, N masks.
        b: PackedMasks, M masks on the same grid.
        backend: see `mask_iou`.

    Returns:
        [N, M] int32; it lives where `a` does.

    Raises:
        TypeError, ValueError, BackendUnavailable: see `mask_iou`.
    """
    return _pairs("intersections", a, b, np.int32, backend)


def max_iou(
    a: PackedMasks, b: PackedMasks, *, backend: str | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Best match: the highest IoU of each mask of `a` with any mask of `b` (Eqs. 2 and 10).

    Args:
        a: PackedMasks, N masks.
        b: PackedMasks, M masks on the same grid.
        backend: see `mask_iou`.

    Returns:
        best [N] float64, and index [N] int64 of the first mask of `b` that reaches it; 0.0 and -1 if M is 0.

    Raises:
        TypeError, ValueError, BackendUnavailable: see `mask_iou`.
    """
    _check_pair(a, b)
    best, index = np.empty(len(a), np.float64), np.empty(len(a), np.int64)
    run("pairwise.max_iou", backend, a.raw, b.raw, out=(best, index))
    return best, index


def _check_pair(a: PackedMasks, b: PackedMasks) -> None:
    check_masks("b", b, check_masks("a", a))


def _pairs(name: str, a: PackedMasks, b: PackedMasks, dtype: type, backend: str | None) -> Array:
    _check_pair(a, b)
    if len(a) * len(b) > MAX_PAIRS:
        raise ValueError(f"a and b must make at most {MAX_PAIRS} pairs, got {len(a)} x {len(b)}")
    out = _arrays.empty(a.words, (len(a), len(b)), dtype)
    run(f"pairwise.{name}", backend, a.raw, b.raw, out=(out,))
    return out
