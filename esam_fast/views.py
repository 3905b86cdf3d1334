"""Large images and panoramas: overlapping views, each segmented alone, joined where two of them saw the same pixels.

A view is a window of the image. The columns of a panorama go round: a view may run past its sides, and what it sees
there are the columns on the other side. A pixel that several views see, or one view twice, belongs to the one whose
border is farthest away; the sides of the image itself are no borders, since nothing is cut off there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check
from esam_fast.entities import EntityMap
from esam_fast.images import as_rgb
from esam_fast.masks import Bool, Float, Int, Labels
from esam_fast.ops import measure_labels

MIN_IOU = 0.5  # of what two entities have of the pixels seen twice: above it they are the same
MIN_PART = 64  # pixels of that part, unless it is the whole entity
MARGIN = 8  # a panorama is widened on both sides by its width / MARGIN

_FAR = 1 << 40  # added where a side is the image's own
_BLOCK = 1 << 20  # pixels relabelled at a time


class View(NamedTuple):
    """A window, half-open, in image pixels. In a panorama column x is column x modulo the width."""

    top: int
    bottom: int
    left: int
    right: int


class Shared(NamedTuple):
    """What a view shares with another.

    Attributes:
        other: the other view's number. turn: columns of the other, plus `turn` times the width, are this view's.
        rows, columns: of the shared pixels, in this view.
    """

    other: int
    turn: int
    rows: slice
    columns: slice


@dataclass(frozen=True)
class Layout:
    """The views of one image, in order.

    Attributes:
        height, width: of the image. wrap: whether its columns go round. views: every pixel lies in at least one.
    """

    height: int
    width: int
    wrap: bool
    views: tuple[View, ...]

    def cut(self, image: Any, view: View) -> NDArray[Any]:
        """What a view sees: [h, w, ...], a slice of `image` unless it runs past a side."""
        runs = [image[view.top : view.bottom, there] for there, _ in self.runs(view)]
        return runs[0] if len(runs) == 1 else np.concatenate(runs, axis=1)

    def runs(self, view: View) -> Iterator[tuple[slice, slice]]:
        """The view's columns, in runs without a jump: slices of the image's columns and of the view's own."""
        left = view.left
        while left < view.right:
            there = left % self.width
            length = min(self.width - there, view.right - left)
            yield slice(there, there + length), slice(left - view.left, left - view.left + length)
            left += length

    def shared(self, i: int) -> list[Shared]:
        """Every other view, or other copy of the same, that sees pixels of view i, in order."""
        view, tops, bottoms, lefts, rights = self.views[i], *np.array(self.views).T
        top, bottom = np.maximum(tops, view.top), np.minimum(bottoms, view.bottom)
        found = []
        for turn in (-1, 0, 1) if self.wrap else (0,):
            left = np.maximum(lefts + turn * self.width, view.left)
            right = np.minimum(rights + turn * self.width, view.right)
            for other in np.flatnonzero((top < bottom) & (left < right)).tolist():
                if (other, turn) != (i, 0):
                    rows = slice(int(top[other]) - view.top, int(bottom[other]) - view.top)
                    columns = slice(int(left[other]) - view.left, int(right[other]) - view.left)
                    found.append(Shared(other, turn, rows, columns))
        return found

    def owned(self, i: int) -> Bool:
        """The pixels of view i whose label it decides: bool [h, w]. Each pixel of the image is owned once."""
        view = self.views[i]
        y, x = np.arange(view.top, view.bottom), np.arange(view.left, view.right)
        owned = np.ones((len(y), len(x)), np.bool_)
        for shared in self.shared(i):
            rows, columns = y[shared.rows], x[shared.columns]
            own = self._depth(view, rows, columns)
            other = self._depth(self.views[shared.other], rows, columns - shared.turn * self.width)
            owned[shared.rows, shared.columns] &= own > other if _is_earlier(shared, i) else own >= other
        return owned

    def _depth(self, view: View, y: Int, x: Int) -> Int:
        """Steps from pixels of a view, rows y [h] and columns x [w], to its nearest border: int64 [h, w]."""
        top, bottom = _FAR * (view.top == 0), _FAR * (view.bottom == self.height)
        left, right = _FAR * (not self.wrap and view.left == 0), _FAR * (not self.wrap and view.right == self.width)
        rows = np.minimum(y - view.top + top, view.bottom - 1 - y + bottom)
        columns = np.minimum(x - view.left + left, view.right - 1 - x + right)
        return np.minimum(rows[:, None], columns)


def _is_earlier(shared: Shared, i: int) -> bool:
    """Whether the other view, or the other copy, comes before view i's own."""
    return (shared.other, -shared.turn) < (i, 0)


@dataclass(frozen=True)
class Views:
    """How an image is to be divided.

    Attributes:
        tile: height and width of a tile, image pixels; None: the image is not divided.
        overlap: pixels that neighbouring tiles share, less than `tile`. With 0 nothing is seen twice, or joined.
        wrap: whether the image is a panorama, its left side beside its right one.
    """

    tile: int | None = None
    overlap: int = 256
    wrap: bool = False

    def __post_init__(self) -> None:
        _check.integer("overlap", self.overlap, 0)
        _check.flag("wrap", self.wrap)
        if self.tile is not None and _check.integer("tile", self.tile, 1) <= self.overlap:
            raise ValueError(f"overlap must be less than tile, {self.tile}, got {self.overlap}")

    @property
    def whole(self) -> bool:
        """Whether any image is one view, as it is."""
        return self.tile is None and not self.wrap

    def layout(self, height: int, width: int, seam: int = 0) -> Layout:
        """The views of an image: tiles row by row, the last ones flush with the border.

        A panorama begins at column `seam`, and is widened on both sides by an eighth of its width (under 8 pixels: not
        at all). It has tiles side by side only where it is wider than a tile before that.
        """
        margin = width // MARGIN if self.wrap else 0
        side = self.tile if self.tile is not None and width > self.tile else None
        begin = seam - margin if margin else 0
        columns = self._spans(begin, begin + width + 2 * margin, side)
        views = [View(*rows, *span) for rows in self._spans(0, height, self.tile) for span in columns]
        return Layout(height, width, self.wrap, tuple(views))

    def _spans(self, start: int, end: int, tile: int | None) -> list[tuple[int, int]]:
        if tile is None or end - start <= tile:
            return [(start, end)]
        firsts = [*range(start, end - tile, tile - self.overlap), end - tile]
        return [(first, first + tile) for first in firsts]


def calmest_column(image: NDArray[np.uint8]) -> int:
    """Where to begin a panorama, uint8 [H, W, ...], so that it does not matter where its file begins.

    The column in the middle of the quarter of the width, seen twice then, in which neighbouring columns differ least in
    sum. Among equals, as in a mirrored image, the differences behind each decide, one after the other.
    """
    width = image.shape[1]
    margin = width // MARGIN
    change = np.zeros(width, np.int64)  # from the column before
    step = max(1, _BLOCK // width)
    for top in range(0, len(image), step):
        rows = as_rgb(image[top : top + step]).astype(np.int16)
        change += np.abs(rows - np.roll(rows, 1, axis=1)).sum(axis=(0, 2))
    before = np.concatenate([[0], np.cumsum(np.pad(change, margin, mode="wrap"))])
    around = before[2 * margin + 1 :] - before[:width]
    equals = np.flatnonzero(around == around.min())
    for behind in range(width):
        if len(equals) == 1:
            break
        next_change = change[(equals + behind) % width]
        equals = equals[next_change == next_change.min()]
    return int(equals[0])


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
        """Put the entities of the next view on the map."""
        i, layout = len(self._members), self._layout
        view, shared = layout.views[i], layout.shared(i)
        first = sum(len(m.areas) for m in self._members)
        corner = np.array([view.left, view.top], np.float64)
        self._members.append(Members(first, found.areas, found.scores, found.points + corner, found.stability))

        for part in shared:
            if not _is_earlier(part, i):
                self._waiting[i, part.other, part.turn] = found.labels[part.rows, part.columns].copy()
        for part in shared:
            if _is_earlier(part, i):
                other = self._members[part.other]
                seen = self._waiting.pop((part.other, i, -part.turn))
                pairs = same_entities(seen, found.labels[part.rows, part.columns], other.areas, found.areas)
                self._pairs.append(pairs + np.array([other.first, first]))

        numbered = np.where(found.labels > 0, found.labels + np.int32(first), np.int32(0))
        owned = layout.owned(i)
        for there, here in layout.runs(view):
            np.copyto(self._labels[view.top : view.bottom, there], numbered[:, here], where=owned[:, here])

    def finish(self) -> dict[str, Any]:
        """The fields of EntityMap that describe the entities, once every view is there."""
        scores = np.concatenate([m.scores for m in self._members])
        points = np.concatenate([m.points for m in self._members])
        stability = np.concatenate([m.stability for m in self._members])
        groups = connected(len(scores), np.concatenate(self._pairs))
        return unite(self._labels, groups, scores, points, stability)


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


def unite(labels: Labels, groups: Int, scores: Float, points: NDArray[np.float64], stability: Float) -> dict[str, Any]:
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
    areas, boxes = measure_labels(labels, len(groups))
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
