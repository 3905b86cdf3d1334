"""What became of the entities of one label map in another: kept, resized, split, merged, gone, new."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check

SAME = 0.5  # IoU from which an entity counts as kept


class Pair(NamedTuple):
    """An entity of `before` that is one of `after`, and their IoU."""

    before: int
    after: int
    iou: float


class Changes(NamedTuple):
    """The labels of two maps, each by what became of it.

    Two entities are related if they share more than half of the smaller one.

    Attributes:
        kept: pairs related to each other alone, of an IoU of at least `SAME`; the least alike first.
        resized: such pairs of a lower IoU.
        split: entities of `before` related to several of `after`: these.
        merged: entities of `after` related to several of `before`: these.
        went: entities of `before` related to none.
        came: entities of `after` related to none.
    """

    kept: tuple[Pair, ...]
    resized: tuple[Pair, ...]
    split: dict[int, tuple[int, ...]]
    merged: dict[int, tuple[int, ...]]
    went: tuple[int, ...]
    came: tuple[int, ...]


def changes(before: NDArray[np.int32], after: NDArray[np.int32]) -> Changes:
    """Compare two label maps int32 [H, W] of one image, 0 where there is no entity.

    An entity may stand in two places: one that was split, and of which a piece merged with another, is in both.

    Raises:
        TypeError, ValueError: not label maps, or of two shapes.
    """
    before = _check.array("before", before, np.int32, ("H", "W"))
    after = _check.array("after", after, np.int32, before.shape)
    area_before, area_after = _areas(before), _areas(after)
    forth: dict[int, list[int]] = {a: [] for a in area_before}
    back: dict[int, list[int]] = {b: [] for b in area_after}
    iou = {}
    for a, b, shared in overlaps(before, after).T.tolist():
        if a > 0 and b > 0 and 2 * shared > min(area_before[a], area_after[b]):
            forth[a].append(b)
            back[b].append(a)
            iou[a, b] = shared / (area_before[a] + area_after[b] - shared)
    alone = [Pair(a, b[0], iou[a, b[0]]) for a, b in forth.items() if len(b) == 1 and len(back[b[0]]) == 1]
    alone.sort(key=lambda pair: pair.iou)
    return Changes(
        tuple(pair for pair in alone if pair.iou >= SAME),
        tuple(pair for pair in alone if pair.iou < SAME),
        {a: tuple(found) for a, found in forth.items() if len(found) > 1},
        {b: tuple(found) for b, found in back.items() if len(found) > 1},
        tuple(a for a, found in forth.items() if not found),
        tuple(b for b, found in back.items() if not found),
    )


def overlaps(a: NDArray[np.int32], b: NDArray[np.int32]) -> NDArray[np.int64]:
    """Each pair of labels that meet in two maps of one shape: int64 [3, N], label in `a`, label in `b`, pixels."""
    key = a.ravel() * np.int64(b.max(initial=0) + 1) + b.ravel()
    begins = np.flatnonzero(np.diff(key, prepend=-1))  # runs are far fewer than pixels
    keys, run = np.unique(key[begins], return_inverse=True)
    pixels = np.bincount(run, weights=np.diff(begins, append=key.size)).astype(np.int64)
    return np.stack([*np.divmod(keys, np.int64(b.max(initial=0) + 1)), pixels])


def _areas(labels: NDArray[np.int32]) -> dict[int, int]:
    """Pixels of each label above 0, by label."""
    area = np.bincount(labels.ravel())
    return {int(label): int(area[label]) for label in np.flatnonzero(area) if label > 0}
