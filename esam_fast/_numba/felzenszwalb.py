"""Graph-based segmentation of Felzenszwalb and Huttenlocher (2004): two passes over sorted edges."""

from __future__ import annotations

import numpy as np

from esam_fast._arrays import Bytes, Floats, Int32s, Int64s, Words
from esam_fast._numba._jit import jit


@jit
def _accumulate(out: Floats, weight: np.float32, values: Floats) -> None:
    for i in range(out.size):
        out[i] += weight * values[i]


@jit
def _smooth(image: Bytes, kernel: Floats) -> Floats:
    """Gaussian smoothing along x, then along y, borders replicated: [H, 3 W], channels interleaved."""
    height, width = image.shape[0], image.shape[1]
    radius = kernel.size // 2
    padded = np.empty((width + 2 * radius, 3), np.float32)
    across = np.zeros((height, 3 * width), np.float32)
    for y in range(height):
        for x in range(width + 2 * radius):
            for c in range(3):
                padded[x, c] = np.float32(image[y, min(max(x - radius, 0), width - 1), c])
        flat = padded.reshape(-1)
        for t in range(kernel.size):
            _accumulate(across[y], kernel[t], flat[3 * t : 3 * (t + width)])
    down = np.zeros((height, 3 * width), np.float32)
    for y in range(height):
        for t in range(kernel.size):
            _accumulate(down[y], kernel[t], across[min(max(y + t - radius, 0), height - 1)])
    return down


@jit
def _row_edges(row: Floats, other: Floats, out: Floats) -> None:
    """Colour distance between the pixels of two stretches of the same length."""
    for x in range(out.size):
        red = row[3 * x] - other[3 * x]
        green = row[3 * x + 1] - other[3 * x + 1]
        blue = row[3 * x + 2] - other[3 * x + 2]
        out[x] = np.sqrt((red * red + green * green) + blue * blue)


@jit
def _edges(pixels: Floats) -> Words:
    """All edges by ascending index 4 * pixel + direction: bits of the float32 weight << 32 | index."""
    height, width = pixels.shape[0], pixels.shape[1] // 3
    edges = np.empty(height * (width - 1) + (height - 1) * (3 * width - 2), np.uint64)
    weights = np.empty((4, width), np.float32)
    bits = weights.view(np.uint32)
    count = 0
    for y in range(height):
        row = pixels[y]
        _row_edges(row, row[3:], weights[0, : width - 1])
        if y + 1 < height:
            below = pixels[y + 1]
            _row_edges(row, below, weights[1])
            _row_edges(row, below[3:], weights[2, : width - 1])
            _row_edges(row[3:], below, weights[3, 1:])
        for x in range(width):
            for direction in range(4 if y + 1 < height else 1):
                if (x + 1 < width or direction in (1, 3)) and (x > 0 or direction != 3):
                    index = np.uint64(4 * (y * width + x) + direction)
                    edges[count] = np.uint64(bits[direction, x]) << np.uint64(32) | index
                    count += 1
    return edges


@jit
def _sort(edges: Words) -> Words:
    """Stable radix sort by weight: the bits of floats that are not negative sort as they do."""
    digits = np.uint64(2047)
    starts = np.zeros((3, 2049), np.int64)
    for i in range(edges.size):
        edge = edges[i]
        for turn in range(3):
            starts[turn, 1 + np.int64((edge >> np.uint64(32 + 11 * turn)) & digits)] += 1
    buffer = np.empty_like(edges)
    for turn in range(3):
        start, shift = starts[turn], np.uint64(32 + 11 * turn)
        for digit in range(2048):
            start[digit + 1] += start[digit]
        for i in range(edges.size):
            edge = edges[i]
            at = np.int64((edge >> shift) & digits)
            buffer[start[at]] = edge
            start[at] += 1
        edges, buffer = buffer, edges
    return edges


@jit
def _find(parent: Int32s, pixel: int) -> int:
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]
        pixel = parent[pixel]
    return pixel


@jit
def _roots(parent: Int32s, edge: np.uint64, step: Int64s) -> tuple[int, int]:
    """The segments that an edge joins, as their roots."""
    index = np.int64(edge & np.uint64(0xFFFFFFFF))
    return _find(parent, int(index >> 2)), _find(parent, int((index >> 2) + step[index & 3]))


@jit
def _unite(parent: Int32s, size: Int32s, a: int, b: int) -> int:
    """Join two roots under the one with more pixels, which is returned."""
    if size[a] < size[b]:
        a, b = b, a
    parent[b] = a
    size[a] += size[b]
    return a


@jit
def _merge(edges: Words, width: int, scale: np.float32, min_size: int, parent: Int32s) -> None:
    """Unite along the sorted edges where the rule allows, then again where a segment is under min_size."""
    step = np.array([1, width, width + 1, width - 1])
    size = np.ones(parent.size, np.int32)
    limit = np.full(parent.size, scale, np.float32)  # Int + scale / size, at roots
    kept = 0
    for edge in edges:
        a, b = _roots(parent, edge, step)
        if a != b:
            weight = np.uint32(edge >> np.uint64(32)).view(np.float32)
            if weight <= limit[a] and weight <= limit[b]:
                root = _unite(parent, size, a, b)
                limit[root] = weight + scale / np.float32(size[root])
            else:
                edges[kept] = edge
                kept += 1
    for edge in edges[:kept]:
        a, b = _roots(parent, edge, step)
        if a != b and (size[a] < min_size or size[b] < min_size):
            _unite(parent, size, a, b)


@jit
def _number(parent: Int32s, labels: Int32s) -> int:
    """Labels 0..K-1 in raster order of first appearance; returns K."""
    of_root = np.full(parent.size, -1, np.int32)
    flat = labels.reshape(-1)
    count = 0
    for pixel in range(parent.size):
        root = _find(parent, pixel)
        if of_root[root] < 0:
            of_root[root] = count
            count += 1
        flat[pixel] = of_root[root]
    return count


def felzenszwalb(image: Bytes, scale: float, kernel: Floats, min_size: int, labels: Int32s) -> int:
    """Segments of an image uint8 [H, W, 3], written to int32 [H, W]; returns their number."""
    height, width = labels.shape
    edges = _sort(_edges(_smooth(image, kernel)))
    parent = np.arange(height * width, dtype=np.int32)
    _merge(edges, width, np.float32(scale), min_size, parent)
    return _number(parent, labels)
