"""The mask gallery: answers at the points of a dense grid, asked for only where they decide something (Sec. 3.2).

EMR needs an answer at each point of an object mask, and points under the same object masks mostly answer alike. So the
points of the grid are sorted into cells, a few points of each cell are asked, and the others take over an answer.
"""

from __future__ import annotations

import numpy as np

from esam_fast.config import EmrConfig
from esam_fast.masks import Bool, Int, PackedMasks

OVERLAP = 6  # times as many points are asked of a cell in several masks, whose points vote on the overlap


def choose(objects: PackedMasks, pixels: Int, config: EmrConfig) -> tuple[Int, Int]:
    """Which points of the dense grid to ask, and which of the answers stands for each point.

    Points in exactly the same set of object masks form a cell. Of a cell's n points, sorted along a Z-order curve
    (which keeps neighbours together), those of rank floor((2 i + 1) n / (2 m)) are asked, i = 0..m - 1; the others
    take over the answer of the asked point nearest in rank (ties: the earlier). m is `votes_per_cell` in a cell of one
    mask, OVERLAP times that in a cell of several, and n at most. Points in no object mask are left out.

    Args:
        objects: PackedMasks, N, those that EMR gets; without any, no point is asked.
        pixels: int64 [P], flat grid index of each point of the dense grid, row by row.
        config: of the stage. `votes_per_cell` 0: every point of the grid is asked (the paper's letter). With the stage
            off, none.

    Returns:
        asked: int64 [R], the points to ask, ascending; answer: int64 [P], the row in `asked` whose answer stands for
        each point, -1 where none does.
    """
    every = np.arange(len(pixels))
    if not config.enabled or len(objects) == 0:
        return every[:0], np.full(len(pixels), -1, np.int64)
    if config.votes_per_cell == 0:
        return every, every
    held = objects.at(pixels)
    points = np.flatnonzero(held.any(axis=0))
    cell = _numbered(held[:, points])
    points = points[np.lexsort((_z_order(points, config.points_per_side), cell))]  # cell after cell
    sizes = np.bincount(cell)
    first = points[np.cumsum(sizes) - sizes]
    most = np.where(held[:, first].sum(axis=0) > 1, OVERLAP, 1) * config.votes_per_cell
    asked, row = np.unique(points[_nearest(sizes, np.minimum(sizes, most))], return_inverse=True)
    answer = np.full(len(pixels), -1, np.int64)
    answer[points] = row
    return asked, answer


def _z_order(points: Int, side: int) -> Int:
    """Place of each point of a grid with `side` points a row along a Z-order curve (Morton 1966): int64 [P]."""
    row, col = np.divmod(points, side)
    place = np.zeros(len(points), np.int64)
    for bit in range(31):
        place |= (col >> bit & 1) << 2 * bit | (row >> bit & 1) << 2 * bit + 1
    return place


def _numbered(held: Bool) -> Int:
    """One number, 0.., for all points that lie in the same masks, held bool [N, P]: int64 [P]."""
    sets = np.ascontiguousarray(np.packbits(held, axis=0).T)
    return np.unique(sets.view(f"V{sets.shape[1]}").ravel(), return_inverse=True)[1]


def _nearest(sizes: Int, asked: Int) -> Int:
    """The place of the asked point that is nearest each place: int64 [sum of sizes].

    Cells of these sizes lie one after the other; so many of each one's points are asked, and a place's nearest asked
    point is in its own cell.
    """
    first = np.cumsum(asked) - asked  # of each cell's asked points
    i, n, m = np.arange(asked.sum()) - np.repeat(first, asked), np.repeat(sizes, asked), np.repeat(asked, asked)
    places = np.repeat(np.cumsum(sizes) - sizes, asked) + (2 * i + 1) * n // (2 * m)
    every, low = np.arange(sizes.sum()), np.repeat(first, sizes)
    high = low + np.repeat(asked, sizes) - 1
    after = np.clip(np.searchsorted(places, every), low, high)
    before = np.clip(after - 1, low, high)
    return np.where(every - places[before] <= places[after] - every, places[before], places[after])
