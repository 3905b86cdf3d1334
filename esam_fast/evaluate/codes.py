"""Segmentations as files write them (polygons, run-length codes), brought to one form and painted apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

from esam_fast import rle
from esam_fast.evaluate.fields import brief
from esam_fast.evaluate.limits import MAX_OUTLINE
from esam_fast.masks import Bool, Float, Int, by_score


def compressed(segmentation: Any, height: int, width: int, name: str) -> rle.Code:
    """One compressed run-length code from polygons, or from a code of either kind; see `all_compressed`."""
    return all_compressed([segmentation], height, width, [name])[0][0]


def all_compressed(
    segmentations: Sequence[Any], height: int, width: int, names: Sequence[str]
) -> tuple[list[rle.Code], Int]:
    """Compressed run-length codes of one image's N masks, every run checked, so that any library can read them.

    Args:
        segmentations: each a list of polygons [x0, y0, x1, y1, ...], in pixels, or {"size": [H, W], "counts": ...}
            with counts a list of whole numbers, str or bytes.
        height, width: of the image, in pixels.
        names: what each is, for the message.

    Returns:
        The codes, and the pixels of each: int64 [N].

    Raises:
        ValueError: neither, damaged, of another size, polygons far from the image, or in all over MAX_OUTLINE; the
            message says which, what came and what was expected.
    """
    texts = []
    outline = 0.0
    for one, name in zip(segmentations, names, strict=True):
        if isinstance(one, list) and one:
            outline += _check_polygons(one, height, width, name)
            if outline > MAX_OUTLINE:
                raise ValueError(
                    f"{name}: expected polygons of at most {MAX_OUTLINE} pixels round in one image, got {outline:.0f}"
                )
            texts.append(coco_mask.merge(coco_mask.frPyObjects(one, height, width))["counts"])
        else:
            texts.append(_counts(one, height, width, name))
    try:
        runs = rle.run_lengths(texts)
    except rle.Damaged as error:
        raise ValueError(f"{names[error.index]}: expected COCO's compressed counts, but the text {error}") from None
    found = []
    for text, run, name in zip(texts, runs, names, strict=True):
        _check_sum(int(run.sum()), height, width, name)
        if not run[1:].all():  # runs of no pixels: other libraries stop there
            text = _without_empty_runs(run, height, width)
        found.append({"size": [height, width], "counts": _as_text(text)})
    return found, _pixels(runs)


def _counts(segmentation: Any, height: int, width: int, name: str) -> str | bytes:
    """The counts of a run-length code as COCO's string, not yet checked if they came as one."""
    if not (isinstance(segmentation, dict) and {"size", "counts"} <= set(segmentation)):
        came = "an empty list" if segmentation == [] else f"{type(segmentation).__name__} {brief(segmentation)}"
        raise ValueError(f"{name}: expected polygons or a run-length code, got {came}")
    size, counts = segmentation["size"], segmentation["counts"]
    if not isinstance(size, (list, tuple)) or list(size) != [height, width]:
        got = " x ".join(map(brief, size)) if isinstance(size, (list, tuple)) and len(size) == 2 else brief(size)
        raise ValueError(f"{name}: expected a mask of {height} x {width} (height x width, as annotated), got {got}")
    if isinstance(counts, (str, bytes)):
        return counts
    run = _numbers(counts)
    if run is None or not (run == np.floor(run)).all():
        raise ValueError(f"{name}: expected counts as a text or a list of whole numbers, got {brief(counts)}")
    if ((run < 0) | (run > height * width)).any():
        raise ValueError(f"{name}: the counts do not fit {height} x {width} pixels")
    _check_sum(int(run.sum()), height, width, name)
    return _without_empty_runs(run.astype(np.int64), height, width)


def _check_polygons(polygons: list[Any], height: int, width: int, name: str) -> float:
    """Refuse what is no polygon near the image; the pixels that all go round."""
    outline = 0.0
    for polygon in polygons:
        ring = _numbers(polygon)
        if ring is None or ring.size < 6 or ring.size % 2:
            came = brief(polygon) if ring is None or ring.size < 6 else f"{ring.size} numbers"
            raise ValueError(
                f"{name}: a polygon must be a list of at least six numbers, x0, y0, x1, y1 and so on, got {came}"
            )
        points = ring.reshape(-1, 2)
        # An image's size away is more than any rounding or crop explains. NaN is not inside either.
        inside = (points >= (-width, -height)) & (points <= (2 * width, 2 * height))
        if not inside.all():
            x, y = points[~inside.all(axis=1)][0]
            raise ValueError(
                f"{name}: expected a polygon near the {height} x {width} image, got a point at {x:g}, {y:g}"
            )
        outline += float(np.abs(np.diff(points, axis=0, append=points[:1])).max(axis=1).sum())
    return outline


def _numbers(values: Any) -> NDArray[np.float64] | None:
    """A list of numbers as an array; None for anything else."""
    if not isinstance(values, list):
        return None
    try:
        numbers = np.array(values)
    except (ValueError, OverflowError):  # of uneven lists, or of numbers beyond all bounds
        return None
    good = numbers.ndim == 1 and numbers.dtype.kind in "iuf" and bool(np.isfinite(numbers).all())
    return numbers.astype(np.float64) if good or not values else None


def _check_sum(total: int, height: int, width: int, name: str) -> None:
    if total != height * width:
        raise ValueError(
            f"{name}: expected counts of {height * width} pixels in all, which is {height} x {width}, got {total}"
        )


def _without_empty_runs(run: Int, height: int, width: int) -> str:
    """The compressed counts of the same mask with no run of 0 pixels, but for the first."""
    place, times = np.unique(np.cumsum(run)[:-1], return_counts=True)
    changes = place[(times % 2 == 1) & (place < height * width)]
    return str(rle.compress([rle.from_changes(changes, (height, width))])[0]["counts"])


def areas(codes: list[rle.Code]) -> Int:
    """Pixels of each compressed code: int64 [N]."""
    return _pixels(rle.run_lengths([code["counts"] for code in codes]))


def _pixels(runs: list[Int]) -> Int:
    return np.array([run[1::2].sum() for run in runs], np.int64)


def decoded(code: rle.Code) -> Bool:
    """The mask bool [H, W] of a compressed code."""
    return coco_mask.decode(code).view(np.bool_)


def common(a: list[rle.Code], pixels: Int, b: list[rle.Code]) -> Int:
    """Common pixels of every code of `a`, which have these pixels [N], with every code of `b`: int64 [N, M]."""
    if not (a and b):
        return np.zeros((len(a), len(b)), np.int64)
    shares = np.asarray(coco_mask.iou(a, b, [1] * len(b)))  # as a crowd: the share of a[i] that lies in b[j]
    return np.rint(shares.reshape(len(a), len(b)) * pixels[:, None]).astype(np.int64)


def union(codes: list[rle.Code]) -> list[rle.Code]:
    """One code with the pixels of all; none of none."""
    return [coco_mask.merge(codes)] if codes else []


def paint(codes: list[rle.Code], scores: Float | NDArray[np.float64]) -> tuple[list[rle.Code], Int]:
    """Let the higher score paint over the lower (ties: the earlier paints over the later).

    Args:
        codes: compressed, N of one size. scores: [N].

    Returns:
        What is left of the masks, by score descending, empty ones dropped, and the index of each: int64.
    """
    order = by_score(np.asarray(scores))
    left: list[rle.Code] = []
    kept: list[int] = []
    free: rle.Code | None = None  # what no mask covers yet
    others = _complements(codes)
    for i in order.tolist():
        rest = codes[i] if free is None else coco_mask.merge([codes[i], free], intersect=1)
        if coco_mask.area(rest):
            left.append({"size": codes[i]["size"], "counts": _as_text(rest["counts"])})
            kept.append(i)
            free = others[i] if free is None else coco_mask.merge([free, others[i]], intersect=1)
    return left, np.array(kept, np.int64)


def _complements(codes: list[rle.Code]) -> list[rle.Code]:
    """The codes of what each of the masks, all of one size, leaves out."""
    runs = rle.run_lengths([code["counts"] for code in codes])
    turned = [run[1:] if run[0] == 0 else np.concatenate([[0], run]) for run in runs]
    return rle.compress(
        [{"size": code["size"], "counts": run.tolist()} for code, run in zip(codes, turned, strict=True)]
    )


def _as_text(counts: str | bytes) -> str:
    return counts.decode() if isinstance(counts, bytes) else counts
