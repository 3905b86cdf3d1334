"""Segmentations as files write them (polygons, run-length codes), brought to one form and painted apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

from esam_fast import rle
from esam_fast.masks import Bool, Float, Int, Labels, by_score


def compressed(segmentation: Any, height: int, width: int, name: str) -> rle.Code:
    """One compressed run-length code from polygons, or from a code of either kind.

    Args:
        segmentation: a list of polygons [x0, y0, x1, y1, ...], in pixels, or {"size": [H, W], "counts": ...} with
            counts a list of int, str or bytes.
        height, width: of the image, in pixels.
        name: what this is, for the message.

    Raises:
        ValueError: neither, damaged, or of another size; the message says what came and what was expected.
    """
    if isinstance(segmentation, list) and segmentation:
        if not all(isinstance(polygon, list) and len(polygon) >= 6 for polygon in segmentation):
            raise ValueError(f"{name}: a polygon must be a list of at least six numbers")
        code = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation, dict) and {"size", "counts"} <= set(segmentation):
        if list(segmentation["size"]) != [height, width]:
            got = " x ".join(str(side) for side in segmentation["size"])
            raise ValueError(f"{name}: expected a mask of {height} x {width} (height x width, as annotated), got {got}")
        code = segmentation
        if isinstance(code["counts"], list):
            if sum(code["counts"]) > height * width or min(code["counts"], default=0) < 0:
                raise ValueError(f"{name}: the counts do not fit {height} x {width} pixels")
            code = coco_mask.frPyObjects(code, height, width)
    else:
        raise ValueError(f"{name}: expected polygons or a run-length code, got {type(segmentation).__name__}")
    counts = code["counts"]
    return {"size": [height, width], "counts": counts.decode() if isinstance(counts, bytes) else counts}


def areas(codes: list[rle.Code]) -> Int:
    """Pixels of each code: int64 [N]."""
    return np.array([coco_mask.area(code) for code in codes], np.int64)


def decoded(code: rle.Code) -> Bool:
    """The mask bool [H, W] of a compressed code."""
    return coco_mask.decode(code).view(np.bool_)


def common(a: list[rle.Code], b: list[rle.Code]) -> Int:
    """Common pixels of every code of `a` with every code of `b`: int64 [N, M]."""
    if not (a and b):
        return np.zeros((len(a), len(b)), np.int64)
    shares = np.asarray(coco_mask.iou(a, b, [1] * len(b)))  # as a crowd: the share of a[i] that lies in b[j]
    return np.rint(shares.reshape(len(a), len(b)) * areas(a)[:, None]).astype(np.int64)


def union(codes: list[rle.Code]) -> list[rle.Code]:
    """One code with the pixels of all; none of none."""
    return [coco_mask.merge(codes)] if codes else []


def union_area(codes: list[rle.Code]) -> int:
    """Pixels in any of the codes."""
    return int(areas(union(codes)).sum())


def paint(codes: list[rle.Code], scores: Float | NDArray[np.float64]) -> tuple[list[rle.Code], Int]:
    """Let the higher score paint over the lower (ties: the earlier paints over the later).

    Args:
        codes: compressed, N of one size. scores: [N].

    Returns:
        What is left of the masks, by score descending, empty ones dropped, and the index of each: int64.
    """
    order = by_score(np.asarray(scores))
    if not codes:
        return [], order
    if union_area(codes) == areas(codes).sum():
        order = order[areas(codes)[order] > 0]
        return [codes[i] for i in order], order
    height, width = codes[0]["size"]
    labels: Labels = np.zeros((height, width), np.int32, order="F")  # as run-length codes go
    boxes = np.asarray(coco_mask.toBbox(codes)).astype(np.int64)
    for rank in range(len(order) - 1, -1, -1):
        x, y, w, h = boxes[order[rank]].tolist()
        labels[y : y + h, x : x + w][decoded(codes[order[rank]])[y : y + h, x : x + w]] = rank + 1
    left = rle.compress(rle.of_labels(labels, len(order)))
    seen = np.flatnonzero(np.bincount(labels.ravel(), minlength=len(order) + 1)[1:])
    return [left[i] for i in seen], order[seen]
