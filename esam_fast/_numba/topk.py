"""Similarity of superpixels by their features, and of masks by the superpixels they hold (Eq. 7)."""

from __future__ import annotations

import numpy as np
from numba import prange

from esam_fast._arrays import Doubles, Int16s, Int32s
from esam_fast._numba._jit import jit, parallel_jit


@jit
def _dot(a: Int16s, b: Int16s) -> np.int32:
    total = np.int32(0)
    for c in range(a.size):
        total = np.int32(total + np.int32(a[c]) * np.int32(b[c]))  # the casts let it stay in 32 bits
    return total


@parallel_jit
def top_k_similarity(features: Int16s, k: int, index: Int32s, value: Int32s) -> None:
    """For each of [K, C] features the k others of highest dot product, ties to the lower index."""
    for i in prange(features.shape[0]):
        index[i, :], value[i, :] = -1, 0
        count = 0
        for j in range(features.shape[0] if k > 0 else 0):
            if j == i:
                continue
            dot = _dot(features[i], features[j])
            if count < k:
                count += 1
            elif dot <= value[i, k - 1]:
                continue
            at = count - 1
            while at > 0 and dot > value[i, at - 1]:
                index[i, at], value[i, at] = index[i, at - 1], value[i, at - 1]
                at -= 1
            index[i, at], value[i, at] = j, dot


@jit
def mask_similarity(neighbours: Int32s, membership: Int32s, n_masks: int, out: Doubles) -> None:
    """The larger of S_M(i, j) and S_M(j, i), Eq. 7 divided by k, so in [0, 1]; 0 on the diagonal."""
    k = neighbours.shape[1]
    size = np.zeros(n_masks, np.int64)
    votes = np.zeros((n_masks, n_masks), np.int64)
    for c in range(membership.size):
        i = membership[c]
        if i >= 0:
            size[i] += 1
            for other in neighbours[c]:
                if other >= 0 and membership[other] >= 0:
                    votes[i, membership[other]] += 1
    for i in range(n_masks):
        out[i, i] = 0.0
        for j in range(i):
            there = votes[i, j] / (size[i] * k) if size[i] * k > 0 else 0.0
            back = votes[j, i] / (size[j] * k) if size[j] * k > 0 else 0.0
            out[i, j] = out[j, i] = max(there, back)
