"""The maps of an image's views made into one: entities are joined where two views saw the same pixels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esam_fast._limits import MAX_LABELS
from esam_fast.entities import EntityMap
from esam_fast.masks import Float, Int, Labels
from esam_fast.ops import measure_labels
from esam_fast.views.windows import Layout

MIN_IOU = 0.5  # of what two entities have of the pixels seen twice: above it they are the same
MIN_PART = 64  # pixels of that part, unless it is the whole entity

_BLOCK = 1 << 20  # pixels relabelled at a time


class Canvas:
    """The map of an image, put together from those of its views, which are added in order.

    It holds the one label map, and of the views what a later one sees too.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._labels = np.zeros((layout.height, layout.width), np.int32)
        self._members: list[Members] = []  # one a view
        self._waiting: dict[tuple[int, int, int], Labels] = {}
        self._pairs: list[Int] = [np.zeros((0, 2), np.int64)]

    def add(self, found: EntityMap) -> None:
        """Put the entities of the next view on the map.

        Raises:
            ValueError: the views have more than MAX_LABELS entities.
        """
        i, layout = len(self._members), self._layout
        view, shared = layout.views[i], layout.shared(i)
        first = self._members[-1].end if self._members else 0
        if first + len(found) > MAX_LABELS:
            raise ValueError(
                f"the tiles must have at most {MAX_LABELS} entities in all, got more after {i + 1} of "
                f"{len(layout.views)}; larger tiles or a larger min_region_area give fewer"
            )
        points = np.add(found.points, [view.left, view.top], dtype=np.float64)
        self._members.append(Members(first, found.areas, found.scores, points, found.stability))

        for part in shared:
            if not part.before(i):
                self._waiting[i, part.other, part.turn] = found.labels[part.rows, part.columns].copy()
        for part in shared:
            if part.before(i):
                other = self._members[part.other]
                seen = self._waiting.pop((part.other, i, -part.turn))
                pairs = same_entities(seen, found.labels[part.rows, part.columns], other.areas, found.areas)
                self._pairs.append(pairs + np.array([other.first, first]))

        numbered = np.where(found.labels > 0, found.labels + np.int32(first), np.int32(0))
        owned = layout.owned(i)
        for there, here in layout.runs(view):
            np.copyto(self._labels[view.top : view.bottom, there], numbered[:, here], where=owned[:, here])

    def finish(self, *, backend: str | None = None) -> dict[str, Any]:
        """The fields of EntityMap that describe the entities, once every view is there."""
        scores = np.concatenate([m.scores for m in self._members])
        points = np.concatenate([m.points for m in self._members])
        stability = np.concatenate([m.stability for m in self._members])
        groups = connected(len(scores), np.concatenate(self._pairs))
        return unite(self._labels, groups, scores, points, stability, backend=backend)


class Members(NamedTuple):
    """The entities of one view.

    Attributes:
        first: number of entities in the views before it. areas: int64 [K], in the view. scores, stability: float32 [K].
        points: float64 [K, 2], x y in the image, x perhaps past its sides.
    """

    first: int
    areas: Int
    scores: Float
    points: NDArray[np.float64]
    stability: Float

    @property
    def end(self) -> int:
        return self.first + len(self.areas)


def same_entities(a: Labels, b: Labels, areas_a: Int, areas_b: Int) -> Int:
    """Which entities of two views are the same, by the pixels that both saw.

    Two are when the IoU of their parts there exceeds 0.5, and each part has at least 64 pixels or is the whole entity.

    Args:
        a, b: int32 [h, w], what each view labelled the same pixels; 0: nothing.
        areas_a, areas_b: int64 [K], pixels of each entity in the whole of its view.

    Returns:
        int64 [M, 2], label of a - 1, label of b - 1; neither occurs twice.
    """
    part_a, part_b = (np.bincount(x.ravel(), minlength=len(n) + 1)[1:] for x, n in ((a, areas_a), (b, areas_b)))
    both = (a > 0) & (b > 0)
    codes, common = np.unique((a[both] - np.int64(1)) * len(areas_b) + (b[both] - 1), return_counts=True)
    pairs = np.stack(np.divmod(codes, max(1, len(areas_b))), axis=1)
    in_a, in_b = part_a[pairs[:, 0]], part_b[pairs[:, 1]]
    large_a, large_b = ((part >= MIN_PART) | (part == n) for part, n in ((part_a, areas_a), (part_b, areas_b)))
    same = common / (in_a + in_b - common) > MIN_IOU
    return pairs[same & large_a[pairs[:, 0]] & large_b[pairs[:, 1]]]


def connected(n: int, pairs: Int) -> Int:
    """For each of n things the first of those that pairs int64 [M, 2] connect it with: int64 [n]."""
    first = np.arange(n)
    while True:
        lower = first.copy()
        least = first[pairs].min(axis=1)
        for side in pairs.T:
            np.minimum.at(lower, side, least)
            np.minimum.at(lower, first[side], least)
        lower = lower[lower]
        if np.array_equal(lower, first):
            return first
        first = lower


def unite(
    labels: Labels,
    groups: Int,
    scores: Float,
    points: NDArray[np.float64],
    stability: Float,
    *,
    backend: str | None = None,
) -> dict[str, Any]:
    """Join members of a label map to entities, labelled 1..K by score (ties: the first pixel in raster order).

    An entity's score is the mean of its members', weighted by their pixels; point and stability are those of the
    member that has most. Members and entities without pixels are dropped.

    Args:
        labels: int32 [H, W], 0 or member + 1; overwritten with the entities.
        groups: int64 [N], equal for members of one entity. scores, stability: float32 [N].
        points: float64 [N, 2], x y; x is taken modulo the width.

    Returns:
        The fields of EntityMap that describe the entities.
    """
    height, width = labels.shape
    areas, boxes = measure_labels(labels, len(groups), backend=backend)
    rows = np.flatnonzero(areas)
    areas, boxes = areas[rows], boxes[rows]
    _, entity = np.unique(groups[rows], return_inverse=True)
    n = int(entity.max(initial=-1)) + 1

    area = np.bincount(entity, areas, n)
    score = (np.bincount(entity, areas * scores[rows].astype(np.float64), n) / area).astype(np.float32)
    box = np.tile(np.array([width, height, 0, 0], np.int32), (n, 1))
    np.minimum.at(box[:, :2], entity, boxes[:, :2])
    np.maximum.at(box[:, 2:], entity, boxes[:, 2:])
    raster = np.array([y * width + x + np.argmax(labels[y, x:right] == row + 1) for row, (x, y, right, _) in
                       zip(rows.tolist(), boxes.tolist(), strict=True)], np.int64)  # fmt: skip
    begin = np.full(n, height * width, np.int64)
    np.minimum.at(begin, entity, raster)
    by_size = np.lexsort((-areas, entity))
    largest = rows[by_size[np.searchsorted(entity[by_size], np.arange(n))]]
    point = points[largest]
    point[:, 0] %= width
    point = point.astype(np.float32)
    point[point[:, 0] >= width, 0] = 0  # what was just left of column 0, and rounded

    order = np.lexsort((begin, -score))
    number = np.zeros(len(groups) + 1, np.int32)
    number[rows + 1] = np.argsort(order)[entity] + 1
    step = max(1, _BLOCK // width)
    for top in range(0, height, step):
        labels[top : top + step] = number[labels[top : top + step]]
    return {
        "labels": labels,
        "scores": score[order],
        "areas": area[order].astype(np.int64),
        "boxes": box[order],
        "points": point[order],
        "stability": stability[largest][order],
    }
