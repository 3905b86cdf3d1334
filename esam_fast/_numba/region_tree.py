"""A binary partition tree: neighbouring regions merge, the cheapest pair first, until one is left."""

from __future__ import annotations

import heapq
import math

import numpy as np

from esam_fast._arrays import Doubles, Floats, Int32s, Int64s
from esam_fast._numba._jit import jit


@jit
def _sides(labels: Int32s, boundary: Floats, regions: int) -> tuple[Int64s, Floats]:
    """Pixel sides between different labels in raster order: low * regions + high, and the strength there."""
    height, width = labels.shape
    pair = np.empty(2 * height * width, np.int64)
    strength = np.empty(2 * height * width, np.float32)
    count = 0
    for y in range(height):
        for x in range(width):
            for dy, dx in ((0, 1), (1, 0)):
                if y + dy == height or x + dx == width or labels[y, x] == labels[y + dy, x + dx]:
                    continue
                a, b = np.int64(labels[y, x]), np.int64(labels[y + dy, x + dx])
                pair[count] = min(a, b) * regions + max(a, b)
                strength[count] = max(boundary[y, x], boundary[y + dy, x + dx])
                count += 1
    return pair[:count], strength[:count]


@jit
def _borders(
    labels: Int32s, boundary: Floats, regions: int
) -> tuple[list[np.int64], list[np.int64], list[np.int64], list[float]]:
    """One border a pair of neighbours, by their labels: low and high label, length in pixel sides, summed strength."""
    side, strength = _sides(labels, boundary, regions)
    low = [np.int64(0) for _ in range(0)]
    high = [np.int64(0) for _ in range(0)]
    length = [np.int64(0) for _ in range(0)]
    summed = [0.0 for _ in range(0)]
    last = np.int64(-1)
    for i in np.argsort(side, kind="mergesort"):
        if side[i] != last:
            last = side[i]
            low.append(last // regions)
            high.append(last % regions)
            length.append(np.int64(0))
            summed.append(0.0)
        length[-1] += 1
        summed[-1] += np.float64(strength[i])
    return low, high, length, summed


@jit
def _leaf_sums(labels: Int32s, features: Floats, area: Int64s) -> Doubles:
    """Count the pixels of each label into area [nodes], and add up their features: [nodes, C]; 0 beyond the labels."""
    channels = features.shape[2]
    total = np.zeros((area.size, channels), np.float64)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            area[labels[y, x]] += 1
            for c in range(channels):
                total[labels[y, x], c] += features[y, x, c]
    return total


@jit
def _cost(length: np.int64, strength: float, n: float, m: float, of_low: Doubles, of_high: Doubles) -> float:
    squared = 0.0
    for c in range(of_low.size):
        difference = of_low[c] / n - of_high[c] / m
        squared += difference * difference
    return (strength / length + math.sqrt(squared)) * math.sqrt(math.sqrt(math.sqrt(n * m / (n + m))))


@jit
def region_tree(
    labels: Int32s,  # [h, w]
    boundary: Floats,  # [h, w]
    features: Floats,  # [h, w, C]
    regions: int,
    parent: Int32s,
    height: Doubles,
    area: Int64s,
    perimeter: Int64s,
    strength: Doubles,
) -> None:
    """The tree over `regions` labels; every output is [2 * regions - 1]."""
    nodes = 2 * regions - 1
    parent[:] = -1
    height[:] = 0.0
    area[:] = 0
    perimeter[:] = 0
    strength[:] = 0.0
    total = _leaf_sums(labels, features, area)
    low, high, length, summed = _borders(labels, boundary, regions)
    around = [[np.int64(0) for _ in range(0)] for _ in range(nodes)]  # borders; some are of nodes already merged
    queue = [(0.0, np.int64(0), np.int64(0), np.int64(0)) for _ in range(0)]  # cost, low, high, border
    for i in range(len(low)):
        for node in (low[i], high[i]):
            perimeter[node] += length[i]
            strength[node] += summed[i]

    to = np.full(nodes, -1, np.int64)  # the new node's border with each neighbour
    first = 0
    for new in range(regions, nodes + 1):
        for i in range(first, len(low)):
            a, b = low[i], high[i]
            cost = _cost(length[i], summed[i], float(area[a]), float(area[b]), total[a], total[b])
            heapq.heappush(queue, (cost, a, b, np.int64(i)))
            around[a].append(np.int64(i))
            around[b].append(np.int64(i))
        if new == nodes:
            break
        cost, a, b, shared = heapq.heappop(queue)
        while parent[a] >= 0 or parent[b] >= 0:
            cost, a, b, shared = heapq.heappop(queue)
        parent[a] = parent[b] = new
        height[new] = max(cost, height[a], height[b])
        area[new] = area[a] + area[b]
        perimeter[new] = perimeter[a] + perimeter[b] - 2 * length[shared]
        strength[new] = strength[a] + strength[b] - 2.0 * summed[shared]
        total[new] = total[a] + total[b]
        first = len(low)
        for node in (a, b):
            for old in around[node]:
                other = high[old] if low[old] == node else low[old]
                if parent[other] >= 0:
                    continue
                if to[other] < first:
                    to[other] = len(low)
                    low.append(other)
                    high.append(np.int64(new))
                    length.append(length[old])
                    summed.append(summed[old])
                else:
                    length[to[other]] += length[old]
                    summed[to[other]] += summed[old]
