"""Run-length codes of masks, as COCO and AMG write them: {"size": [H, W], "counts": runs of 0 and 1 in turn}.

Runs go down the columns, the first one of zeros. Counts are a list of int, or compressed into COCO's string.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

from esam_fast import _check
from esam_fast._limits import MAX_DIVIDED_PIXELS, MAX_LABELS

Code = dict[str, Any]

_BLOCK = 1 << 22  # pixels of a label map at a time
_BATCH = 1000  # codes whose counts are held as lists at a time


def encode(mask: NDArray[np.bool_]) -> Code:
    """The code of one mask bool [H, W]."""
    mask = _check.array("mask", mask, np.bool_, ("H", "W"))
    return from_changes(np.flatnonzero(np.diff(mask.T.reshape(-1), prepend=False)), mask.shape)


def from_changes(changes: NDArray[np.int64], shape: tuple[int, ...]) -> Code:
    """The code of the mask that is 0 at first and changes at these pixels, counted down the columns, ascending."""
    height, width = shape
    counts = np.diff(changes, prepend=0, append=height * width).tolist()
    return {"size": [height, width], "counts": counts if counts[-1] else counts[:-1]}


def of_labels(labels: NDArray[np.int32], count: int) -> Iterator[Code]:
    """The codes of labels 1..count of a label map [H, W], one after the other.

    All in one pass: a mask is a list of runs in column order, and so is the label map.
    """
    labels = _check.array("labels", labels, np.int32, ("H", "W"))
    count = _check.integer("count", count, 0, MAX_LABELS)
    if 0 in labels.shape:
        raise ValueError(f"labels must have at least one pixel, got shape {list(labels.shape)}")
    height, width = labels.shape
    begins, owners = [], []
    step = max(1, _BLOCK // height)
    for left in range(0, width, step):
        flat = labels[:, left : left + step].T.ravel()
        edges = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
        begins.append(edges + left * height)
        owners.append(flat[edges])
    begin, owner = np.concatenate(begins), np.concatenate(owners)
    new = np.diff(owner, prepend=-1) != 0  # a run that goes on in the next block is one
    begin, owner = begin[new], owner[new]
    end = np.append(begin[1:], labels.size)
    order = np.argsort(owner, kind="stable")
    splits = np.searchsorted(owner[order], np.arange(1, count + 2))
    return (
        from_changes(np.stack([begin[runs], end[runs]], axis=1).ravel(), (height, width))
        for runs in (order[first:last] for first, last in pairwise(splits.tolist()))
    )


def decode(code: Code) -> NDArray[np.bool_]:
    """The mask bool [H, W] of a code that is not compressed.

    Raises:
        TypeError, ValueError: no such code, or runs that are not of all its pixels.
    """
    height, width, runs = _runs(code)
    ones = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(ones, runs).reshape(width, height).T)


def compress(codes: Iterable[Code]) -> list[Code]:
    """The codes of masks of one size with their counts as COCO's string.

    Raises:
        TypeError, ValueError: see `decode`; codes of several sizes.
    """
    codes, packed, sizes = iter(codes), [], set[tuple[int, int]]()
    while batch := list(islice(codes, _BATCH)):
        sizes.update(_runs(code)[:2] for code in batch)
        if len(sizes) > 1:
            raise ValueError(f"codes must be of one size, got {sorted(sizes)}")
        packed += coco_mask.frPyObjects(batch, *batch[0]["size"])
    return [{"size": code["size"], "counts": code["counts"].decode()} for code in packed]


def _runs(code: Code) -> tuple[int, int, NDArray[np.int64]]:
    """Height, width, and the runs of a code, which must be those of all its pixels."""
    if not (isinstance(code, dict) and {"size", "counts"} <= code.keys()):
        raise TypeError(f"a code must be a dict with size and counts, got {type(code).__name__}")
    height, width = _check.plane("size", code["size"], MAX_DIVIDED_PIXELS)
    runs = np.array(code["counts"]) if isinstance(code["counts"], list) else None
    if runs is None or runs.ndim != 1 or (runs.dtype.kind not in "iu" and runs.size):
        raise TypeError("counts must be a list of whole numbers that int64 holds")
    pixels = height * width
    if (runs.size and (runs.min() < 0 or runs.max() > pixels)) or runs.sum() != pixels:
        raise ValueError(f"counts must be runs of {height} x {width}, {pixels} pixels in all")
    return height, width, runs.astype(np.int64, copy=False)


def run_lengths(texts: Sequence[str | bytes]) -> list[NDArray[np.int64]]:
    """The run lengths that COCO's strings stand for, one array [R] for each; nothing is trusted.

    A string holds numbers in signed digits of 5 bits, lowest first, each a character from "0" (0) to "o" (63) whose bit
    32 says that another digit follows; from the fourth number on, the one two places before is to be added.

    Raises:
        Damaged: a string that is no such code, or that holds a run longer than MAX_RUN or a negative one.
    """
    data = [_ascii(i, text) for i, text in enumerate(texts)]
    symbols = np.frombuffer(b"".join(data), np.uint8) - np.uint8(48)
    begin = np.cumsum([0, *map(len, data)])
    if symbols.size and symbols.max() > 63:
        at = int(np.argmax(symbols > 63))
        raise Damaged(_owner(begin, at), f"holds the character {chr((int(symbols[at]) + 48) % 256)!r}")
    last = np.flatnonzero(symbols < 32)  # digits that end a number
    first = np.searchsorted(last, begin)  # numbers before each string
    for i in np.flatnonzero(begin[1:] > begin[:-1]):
        if symbols[begin[i + 1] - 1] >= 32:
            raise Damaged(int(i), "ends in the middle of a number")
    start = np.concatenate([[0], last[:-1] + 1]) if last.size else last
    digits = last - start + 1
    if digits.size and digits.max() > _MAX_DIGITS:
        raise Damaged(_owner(first, int(np.argmax(digits > _MAX_DIGITS))), f"holds a number over {MAX_RUN}")
    values = np.zeros(len(last), np.int64)
    for k in range(int(digits.max(initial=0))):
        there = np.flatnonzero(digits > k)
        values[there] += (symbols[start[there] + k] & np.uint8(31)).astype(np.int64) << (5 * k)
    values -= np.where(symbols[last] & np.uint8(16), np.int64(1) << (5 * digits), 0)
    place = np.arange(len(values)) - np.repeat(first[:-1], np.diff(first))
    for chain in (place % 2 == 1, (place % 2 == 0) & (place > 0)):  # sums of differences, string by string
        where = np.flatnonzero(chain)
        sums = np.cumsum(values[where])
        before = np.searchsorted(where, first)
        offset = np.concatenate([[0], sums])[before[:-1]]
        values[where] = sums - np.repeat(offset, np.diff(before))
    if values.size and (values.min() < 0 or values.max() > MAX_RUN):
        at = int(np.argmax((values < 0) | (values > MAX_RUN)))
        raise Damaged(_owner(first, at), f"holds a run of {values[at]} pixels")
    return [values[a:b] for a, b in pairwise(first.tolist())]


class Damaged(ValueError):
    """A string that is no run-length code. `index`: which of several; the message ends a sentence about it."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index


_MAX_DIGITS = 6
MAX_RUN = (1 << 29) - 1  # pixels; what six digits of 5 bits hold, and more than an image may have


def _ascii(index: int, text: str | bytes) -> bytes:
    try:
        return text.encode("ascii") if isinstance(text, str) else text
    except UnicodeEncodeError as error:
        raise Damaged(index, f"holds the character {error.object[error.start]!r}") from None


def _owner(begin: NDArray[np.int64], position: int) -> int:
    """Which of the pieces that begin here holds a position."""
    return int(np.searchsorted(begin, position, side="right")) - 1
