"""Centroid top-k similarity and the mask similarity of Eq. 7."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from esam_fast._arrays import Doubles, Int32s
from esam_fast._torch.bits import put, tensor

_ROWS = 1024


def top_k_similarity(features: NDArray[np.int16], k: int, index: Int32s, value: Int32s) -> None:
    """The k others with the highest dot product, ties to the lower index: index, value [N, k]; -1 and 0: none."""
    vectors = tensor(features).double()  # whole numbers below 2 ** 31: exact
    n = len(vectors)
    index[:], value[:] = -1, 0
    found = min(k, n - 1)
    if found <= 0:
        return
    others = torch.arange(n)
    for start in range(0, n, _ROWS):
        rows = torch.arange(start, min(n, start + _ROWS))
        keys = (vectors[rows] @ vectors.T).to(torch.int64) * n + (n - 1 - others)
        keys[rows - start, rows] = torch.iinfo(torch.int64).min
        top = keys.topk(found).values
        put(index[start : start + _ROWS, :found], (n - 1 - top % n).to(torch.int32))
        put(value[start : start + _ROWS, :found], top.div(n, rounding_mode="floor").to(torch.int32))


def mask_similarity(neighbours: Int32s, membership: Int32s, n_masks: int, out: Doubles) -> None:
    """The larger share of one mask's centres' neighbours that lie in the other: out [M, M]."""
    near, member = tensor(neighbours).long(), tensor(membership).long()
    inside = member >= 0
    at = member[inside]
    if n_masks == 0:
        return
    centres = torch.bincount(at, minlength=n_masks)
    theirs = torch.where(near[inside] >= 0, member[near[inside].clamp(min=0)], -1)
    pairs = (at[:, None] * n_masks + theirs)[theirs >= 0]
    count = torch.bincount(pairs, minlength=n_masks**2).view(n_masks, n_masks)
    whole = (centres * neighbours.shape[1])[:, None].expand_as(count)
    share = torch.where(whole > 0, count.double() / whole.double(), 0.0)
    put(out, torch.maximum(share, share.T).fill_diagonal_(0.0))
