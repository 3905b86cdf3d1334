"""Large images and panoramas are seen in overlapping views: which windows those are, and which pixels each owns.

A view is a window of the image. The columns of a panorama go round: a view may run past its sides, and what it sees
there are the columns on the other side. A pixel that several views see, or one view twice, belongs to the one whose
border is farthest away; the sides of the image itself are no borders, since nothing is cut off there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check
from esam_fast._limits import MAX_VIEWS
from esam_fast.images import TiffWindows, as_rgb
from esam_fast.masks import Bool, Int

MARGIN = 8  # a panorama is widened on both sides by its width / MARGIN

_FAR = 1 << 40  # added where a side is the image's own
_BLOCK = 1 << 20  # pixels compared at a time


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

    def before(self, i: int) -> bool:
        """Whether the other view, or the other copy of view i itself, comes before view i."""
        return (self.other, -self.turn) < (i, 0)


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
        view, (tops, bottoms, lefts, rights) = self.views[i], self._spans
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
            owned[shared.rows, shared.columns] &= own > other if shared.before(i) else own >= other
        return owned

    def _depth(self, view: View, y: Int, x: Int) -> Int:
        """Steps from pixels of a view, rows y [h] and columns x [w], to its nearest border: int64 [h, w]."""
        top, bottom = _FAR * (view.top == 0), _FAR * (view.bottom == self.height)
        left, right = _FAR * (not self.wrap and view.left == 0), _FAR * (not self.wrap and view.right == self.width)
        rows = np.minimum(y - view.top + top, view.bottom - 1 - y + bottom)
        columns = np.minimum(x - view.left + left, view.right - 1 - x + right)
        return np.minimum(rows[:, None], columns)

    @cached_property
    def _spans(self) -> Int:
        """Tops, bottoms, lefts and rights of all views: int64 [4, V]."""
        return np.array(self.views, np.int64).reshape(-1, 4).T


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

        Raises:
            ValueError: there would be more than MAX_VIEWS.
        """
        margin = width // MARGIN if self.wrap else 0
        side = self.tile if self.tile is not None and width > self.tile else None
        begin = seam - margin if margin else 0
        columns, rows = self._firsts(begin, begin + width + 2 * margin, side), self._firsts(0, height, self.tile)
        if len(columns) * len(rows) > MAX_VIEWS:
            raise ValueError(
                f"tile {self.tile} with overlap {self.overlap} divides {width} x {height} pixels into more than "
                f"{MAX_VIEWS} tiles"
            )
        right, bottom = side or width + 2 * margin, min(self.tile or height, height)
        views = (View(top, top + bottom, left, left + right) for top in rows for left in columns)
        return Layout(height, width, self.wrap, tuple(views))

    def _firsts(self, start: int, end: int, tile: int | None) -> range | list[int]:
        """Where tiles begin that cover [start, end)."""
        if tile is None or end - start <= tile:
            return [start]
        firsts = range(start, end - tile, tile - self.overlap)
        return [*firsts, end - tile] if len(firsts) < MAX_VIEWS else firsts


def calmest_column(image: NDArray[np.uint8] | TiffWindows) -> int:
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
