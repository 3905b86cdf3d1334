"""Centroid top-k similarity and the mask similarity of Eq. 7."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check
from esam_fast._backend import run
from esam_fast._limits import MAX_PAIRS


def unit_features(features: NDArray[np.float32]) -> NDArray[np.int16]:
    """Feature vectors [N, C] float32 scaled to length 2047 and rounded: int16 [N, C]; zero vectors stay zero.

    Raises:
        TypeError: wrong dtype. ValueError: not two-dimensional, or not finite.
    """
    features = _check.finite("features", features, ("N", "C")).astype(np.float64)
    norm = np.sqrt((features * features).sum(axis=1, keepdims=True))
    return np.rint(features / np.where(norm > 0, norm, 1.0) * 2047).astype(np.int16)


def top_k_similarity(
    features: NDArray[np.int16], k: int, *, backend: str | None = None
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The k most similar other vectors of each vector (the cosine similarity S_C of Sec. 3.3).

    Args:
        features: [N, C] int16 from `unit_features`; dot / 2047 ** 2 is the cosine. The squared length of every row
            is below 2 ** 31, so that every dot product, and every part of its sum, is an exact int32.
        k: neighbours, at least 1; N * k is at most 2 ** 28.
        backend: "native", "cuda", "numba", "torch", or None for the best one on the host.

    Returns:
        index [N, k] int32 and dot product [N, k] int32, by similarity descending, then index ascending; a vector is
        not its own neighbour. Where there are fewer than k others: -1 and 0.

    Raises:
        TypeError: wrong dtype. ValueError: wrong shape or range; the message names the argument.
        BackendUnavailable: a backend asked for by name is not here.
    """
    features = _check.array("features", features, np.int16, ("N", "C"))
    largest = max(int(features.max(initial=0)), -int(features.min(initial=0)))
    if largest**2 * features.shape[1] >= 2**31:  # only then is a row's own length worth its time
        longest = np.square(features, dtype=np.int64).sum(axis=1).max()
        if longest >= 2**31:
            raise ValueError(f"features must have rows of a squared length below 2 ** 31, got {longest}")
    k = _check.integer("k", k, 1, MAX_PAIRS // max(1, len(features)))
    index = np.empty((len(features), k), np.int32)
    value = np.empty((len(features), k), np.int32)
    run("topk.top_k_similarity", backend, features, k, out=(index, value))
    return index, value


def mask_similarity(
    neighbours: NDArray[np.int32], membership: NDArray[np.int32], n_masks: int, *, backend: str | None = None
) -> NDArray[np.float64]:
    """Similarity of disjoint masks through their centroids' neighbours (Eq. 7, Sec. 3.3).

    S_M(i, j) is the mean over the centroids in mask i of the share of their k neighbours that lie in mask j; the
    similarity of i and j is the larger of S_M(i, j) and S_M(j, i).

    Args:
        neighbours: [N, k] int32 from `top_k_similarity`; -1: none.
        membership: [N] int32, the mask that holds each centroid; -1: none.
        n_masks: number of masks M, at most 2 ** 14.
        backend: see `top_k_similarity`.

    Returns:
        [M, M] float64 in [0, 1], symmetric, 0 on the diagonal.

    Raises:
        TypeError, ValueError, BackendUnavailable: see `top_k_similarity`.
    """
    neighbours = _check.array("neighbours", neighbours, np.int32, ("N", "k"))
    n = len(neighbours)
    n_masks = _check.integer("n_masks", n_masks, 0, math.isqrt(MAX_PAIRS))
    membership = _check.array("membership", membership, np.int32, (n,))
    _within("neighbours", neighbours, n)
    _within("membership", membership, n_masks)
    out = np.empty((n_masks, n_masks), np.float64)
    run("topk.mask_similarity", backend, neighbours, membership, n_masks, out=(out,))
    return out


def _within(name: str, value: NDArray[Any], end: int) -> None:
    if value.size and (value.min() < -1 or value.max() >= end):
        raise ValueError(f"{name} must lie in [-1, {end}), got {value.min()} to {value.max()}")
