"""Run-length codes of masks, as COCO and AMG write them: {"size": [H, W], "counts": runs of 0 and 1 in turn}.

Runs go down the columns, the first one of zeros. Counts are a list of int, or compressed into COCO's string.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

Code = dict[str, Any]


def encode(mask: NDArray[np.bool_]) -> Code:
    """The code of one mask bool [H, W]."""
    return from_changes(np.flatnonzero(np.diff(mask.T.reshape(-1), prepend=False)), mask.shape)


def from_changes(changes: NDArray[np.int64], shape: tuple[int, ...]) -> Code:
    """The code of the mask that is 0 at first and changes at these pixels, counted down the columns, ascending."""
    height, width = shape
    counts = np.diff(changes, prepend=0, append=height * width).tolist()
    return {"size": [height, width], "counts": counts if counts[-1] else counts[:-1]}


def of_labels(labels: NDArray[np.int32], count: int) -> list[Code]:
    """The codes of labels 1..count of a label map [H, W].

    All in one pass: a mask is a list of runs in column order, and so is the label map.
    """
    flat = np.ascontiguousarray(labels.T).reshape(-1)
    edges = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
    runs = np.stack([edges[:-1], edges[1:]], axis=1)
    owner = flat[runs[:, 0]]
    order = np.argsort(owner, kind="stable")
    splits = np.searchsorted(owner[order], np.arange(1, count + 2))
    return [
        from_changes(runs[order[first:last]].reshape(-1), labels.shape) for first, last in pairwise(splits.tolist())
    ]


def decode(code: Code) -> NDArray[np.bool_]:
    """The mask bool [H, W] of a code that is not compressed."""
    height, width = code["size"]
    ones = np.arange(len(code["counts"])) % 2 == 1
    return np.ascontiguousarray(np.repeat(ones, code["counts"]).reshape(width, height).T)


def compress(codes: list[Code]) -> list[Code]:
    """The codes of masks of one size with their counts as COCO's string."""
    packed = coco_mask.frPyObjects(codes, *codes[0]["size"]) if codes else []
    return [{"size": code["size"], "counts": code["counts"].decode()} for code in packed]
