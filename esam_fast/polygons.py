"""Outlines of masks along the edges of their pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast import _check

Ring = NDArray[np.float32]  # [N, 2] x y, its end not repeated
Outline = list[tuple[Ring, list[Ring]]]  # for each piece its outer ring and its holes

_STEPS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])  # east, south, west, north, as x y
_CHANGE = 0.03  # share of a piece's area that simplifying may move to the other side of its rings


def polygons(mask: NDArray[np.bool_], tolerance: float = 1.0) -> Outline:
    """The outlines of a mask bool [H, W]: for each piece its outer ring and its holes.

    Pixel (x, y) covers [x, x + 1) x [y, y + 1) and rings run along pixel edges: outer rings clockwise as the image is
    seen, holes the other way. Pixels that meet at a corner alone belong to different pieces; no ring touches itself.

    Args:
        mask: the pixels.
        tolerance: a ring may lie so many pixels from the pixels' edges (Douglas and Peucker 1973); half as many, and
            so on, where otherwise over 3 % of a piece's area would change sides. 0: exact.

    Returns:
        Pairs of the outer ring, float32 [N, 2] x y without a repeated end, and the holes; in raster order of the
        pieces' first pixels.

    Raises:
        TypeError: wrong dtype. ValueError: wrong shape or range.
    """
    mask = _check.array("mask", mask, np.bool_, ("H", "W"))
    tolerance = _check.at_least("tolerance", tolerance, 0)
    if mask.size == 0:
        return []
    while tolerance > sum(mask.shape):  # no ring keeps three corners, and OpenCV knows a largest number
        tolerance /= 2
    _, piece = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    found: dict[int, list[Ring]] = {}
    for ring, (x, y) in _rings(mask):
        found.setdefault(int(piece[y, x]), []).append(ring)
    outlines = []
    for _, rings in sorted(found.items()):
        outer, *holes = sorted(
            _simplified(rings, tolerance), key=_area, reverse=True
        )  # only the outer one's is positive
        outlines.append((outer, holes))
    return outlines


def keyhole(rings: list[Ring]) -> Ring:
    """One ring that goes around all of these (one or more), for formats without holes and pieces: float32 [N, 2].

    The rings are joined by slits of no width between their nearest corners, each passed there and back.
    """
    whole, *left = sorted(rings, key=lambda ring: -abs(_area(ring)))
    while left:
        gaps = [np.linalg.norm(whole[:, None] - ring[None], axis=2) for ring in left]
        nearest = min(range(len(left)), key=lambda i: gaps[i].min())
        at, start = np.unravel_index(gaps[nearest].argmin(), gaps[nearest].shape)
        ring = np.roll(left.pop(nearest), -start, axis=0)
        whole = np.concatenate([whole[: at + 1], ring, ring[:1], whole[at:]])
    return whole


def _rings(mask: NDArray[np.bool_]) -> list[tuple[Ring, tuple[int, int]]]:
    """The corners of each ring, and the x y of a pixel that it goes around, or that goes around it."""
    height, width = mask.shape
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    around = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])  # above, right, below, left
    # An edge goes around its pixel clockwise: it heads east above it, south to its right, and so on.
    edge_of = np.full(((height + 1) * (width + 1), 4), -1)  # by where it starts, and its heading
    starts, headings, pixels = [], [], []
    for towards, neighbour in enumerate(around):
        y, x = np.nonzero(inside & ~neighbour)
        starts.append(np.stack([x + (towards in (1, 2)), y + (towards in (2, 3))], axis=1))
        headings.append(np.full(len(x), towards))
        pixels.append(np.stack([x, y], axis=1))
    start, heading, pixel = np.concatenate(starts), np.concatenate(headings), np.concatenate(pixels)
    edge_of[start[:, 1] * (width + 1) + start[:, 0], heading] = np.arange(len(start))
    end = start + _STEPS[heading]
    leaving = edge_of[end[:, 1] * (width + 1) + end[:, 0]]
    # Where two edges leave a corner, the right turn stays with the pixel.
    turns = [leaving[np.arange(len(start)), (heading + turn) % 4] for turn in (1, 0, 3)]
    following = np.where(turns[0] >= 0, turns[0], np.where(turns[1] >= 0, turns[1], turns[2]))
    corner = heading != heading[np.argsort(following)]  # an edge that heads elsewhere than the one before it
    after, is_corner, at = following.tolist(), corner.tolist(), [(x, y) for x, y in start.tolist()]
    seen = bytearray(len(after))
    rings = []
    for first in range(len(after)):
        loop, edge = [], first
        while not seen[edge]:
            seen[edge] = 1
            if is_corner[edge]:
                loop.append(at[edge])
            edge = after[edge]
        rings += [(np.array(part, np.float32), tuple(pixel[first].tolist())) for part in _apart(loop)]
    return rings


def _apart(loop: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """A loop that meets itself at corners, as loops that do not."""
    parts: list[list[tuple[int, int]]] = []
    path: list[tuple[int, int]] = []
    place: dict[tuple[int, int], int] = {}
    for corner in loop:
        if corner in place:
            first = place[corner]
            parts.append(path[first:])
            for dropped in path[first:]:
                del place[dropped]
            del path[first:]
        place[corner] = len(path)
        path.append(corner)
    return [*parts, path] if path else parts


def _simplified(rings: list[Ring], tolerance: float) -> list[Ring]:
    """The rings of one piece with fewer corners."""
    most = _CHANGE * sum(_area(ring) for ring in rings)
    while tolerance > 0.5:  # pixels' corners lie no closer to a line between others
        fewer = [cv2.approxPolyDP(ring, tolerance, closed=True)[:, 0] for ring in rings]
        if min(map(len, fewer)) >= 3 and sum(map(_moved, rings, fewer)) <= most:
            return fewer
        tolerance /= 2
    return rings


def _moved(ring: Ring, fewer: Ring) -> float:
    """An upper bound of the area between a ring and the ring of some of its corners, pixels."""
    place = {tuple(corner): i for i, corner in enumerate(ring.tolist())}
    kept = np.sort([place[tuple(corner)] for corner in fewer.tolist()])
    ring = np.roll(ring, -kept[0], axis=0).astype(np.float64)
    kept -= kept[0]
    chord = np.repeat(np.arange(len(kept)), np.diff(np.append(kept, len(ring))))  # of each step of the ring
    start, end = ring[kept], ring[np.roll(kept, -1)]
    along = (end - start) / np.linalg.norm(end - start, axis=1)[:, None]
    step, begin = np.roll(ring, -1, axis=0) - ring, ring - start[chord]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)[chord]
    off, off_after = (np.abs((corner * across).sum(axis=1)) for corner in (begin, begin + step))
    return float(((off + off_after) / 2 * np.abs((step * along[chord]).sum(axis=1))).sum())


def _area(ring: Ring) -> float:
    """Signed: positive for a ring that goes clockwise as the image is seen (y down)."""
    x, y = ring.astype(np.float64).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
