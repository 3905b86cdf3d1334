"""Every op in plain NumPy on bool arrays [N, h, w]; see `oracle`, which puts them together.

"The order" is score descending, then index ascending.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np

CHUNK = 256  # masks or prompts handled at a time, so that memory stays small


def order_of(scores: np.ndarray) -> np.ndarray:
    return np.argsort(-scores, kind="stable")


def area(masks: np.ndarray) -> np.ndarray:
    return np.count_nonzero(masks, axis=(1, 2)).astype(np.int64)


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole in float64, 0 where the whole is 0."""
    shape = np.broadcast_shapes(np.shape(part), np.shape(whole))
    return np.divide(part, whole, out=np.zeros(shape), where=np.asarray(whole) > 0)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b.T of whole numbers. Some BLAS kernels raise the flag for invalid values on lanes that they do not use."""
    with np.errstate(invalid="ignore"):
        return a @ b.T


def intersections(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Common pixels of every pair, int64 [N, M]: a matrix product, exact for counts under 2^24."""
    out = np.zeros((len(a), len(b)), np.int64)
    for i in range(0, len(a), CHUNK):
        rows, columns = np.nonzero(a[i : i + CHUNK].any(axis=0))
        if len(rows) == 0:
            continue
        window = np.s_[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        left = a[i : i + CHUNK][window]
        left = left.reshape(len(left), -1).astype(np.float32)
        for j in range(0, len(b), CHUNK):
            right = b[j : j + CHUNK][window]
            out[i : i + CHUNK, j : j + CHUNK] = product(left, right.reshape(len(right), -1).astype(np.float32))
    return out


def mask_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of every pair, float64 [N, M]; 0 where the union is empty."""
    common = intersections(a, b)
    return ratio(common, area(a)[:, None] + area(b)[None, :] - common)


def max_iou(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Highest IoU of each a with any b, and the first b that reaches it (0 and -1 when there is no b)."""
    if len(b) == 0:
        return np.zeros(len(a)), np.full(len(a), -1, np.int64)
    iou = mask_iou(a, b)
    return iou.max(axis=1), iou.argmax(axis=1)


def mask_mean(masks: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """Mean of a float64 plane over each mask, summed in pixel order; 0 for an empty mask."""
    sums = [np.cumsum(plane[mask])[-1] if mask.any() else 0.0 for mask in masks]  # cumsum adds one by one
    return ratio(np.array(sums, np.float64), area(masks))


def iou_with_all(masks: np.ndarray, areas: np.ndarray, p: int) -> np.ndarray:
    common = intersections(masks[p : p + 1], masks)[0]
    return ratio(common, areas[p] + areas - common)


def nms(masks: np.ndarray, scores: np.ndarray, thresholds: Any) -> np.ndarray:
    """In the order: a live mask p is kept and removes later ones whose IoU with it exceeds thresholds[p]."""
    limits = np.broadcast_to(np.asarray(thresholds, np.float64), len(masks))
    areas, live, kept = area(masks), np.ones(len(masks), bool), []
    for p in order_of(scores):
        if live[p]:
            kept.append(p)
            live &= iou_with_all(masks, areas, p) <= limits[p]
    return np.array(kept, np.int64)


def cluster_masks(masks: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """In the order: a mask joins the first earlier representative with IoU >= threshold, else becomes one."""
    areas, representative = area(masks), np.full(len(masks), -1, np.int64)
    for p in order_of(scores):
        if representative[p] < 0:
            representative[(representative < 0) & (iou_with_all(masks, areas, p) >= threshold)] = p
            representative[p] = p
    return representative


def split_overlaps(
    masks: np.ndarray,
    scores: np.ndarray,
    point_pixels: np.ndarray,
    point_guides: np.ndarray,
    guides: np.ndarray,
    guide_scores: np.ndarray,
    delta: float,
    score_margin: float | None = None,
) -> np.ndarray:
    """Make the masks disjoint, pair by pair in the order, by score, delta and the guidance votes (Eqs. 5 and 6)."""
    masks, order = masks.copy(), order_of(scores)
    met = intersections(masks, masks) > 0  # masks only shrink: who never met never will
    for i, p in enumerate(order):
        for q in order[i + 1 :][met[p, order[i + 1 :]]]:
            overlap = masks[p] & masks[q]
            common, p_area, q_area = (int(np.count_nonzero(m)) for m in (overlap, masks[p], masks[q]))
            if common == 0:
                continue
            voters = point_guides[overlap.ravel()[point_pixels] & (point_guides >= 0)]
            if score_margin is not None and float(scores[p]) - float(scores[q]) > score_margin:
                loser = q
            elif common / max(p_area, q_area) < delta or len(voters) == 0:
                loser = p if p_area > q_area else q
            else:
                voted, votes = np.unique(voters, return_counts=True)
                winner = voted[np.lexsort((voted, -guide_scores[voted], -votes))[0]]
                p_iou, q_iou = mask_iou(masks[[p, q]], guides[[winner]])[:, 0]
                loser = p if q_iou > p_iou else q
            masks[loser] &= ~overlap
    return masks


def top_k_similarity(features: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k others of highest dot product of each row (ties: lower index), int32 [K, k]; -1 and 0: none."""
    n = len(features)
    index, value = np.full((n, k), -1, np.int32), np.zeros((n, k), np.int32)
    dots = product(features.astype(np.float64), features.astype(np.float64))  # under 2^53: exact
    for i in range(n):
        others = np.delete(np.arange(n), i)
        best = others[np.argsort(-dots[i, others], kind="stable")][:k]
        index[i, : len(best)], value[i, : len(best)] = best, dots[i, best]
    return index, value


def mask_similarity(neighbours: np.ndarray, membership: np.ndarray, n_masks: int) -> np.ndarray:
    """Eq. 7: the share of neighbours of i's centres that lie in j, the higher of both ways; diagonal 0."""
    count, centres = np.zeros((n_masks, n_masks), np.int64), np.zeros(n_masks, np.int64)
    for c, i in enumerate(membership):
        if i >= 0:
            centres[i] += 1
            for other in neighbours[c]:
                if other >= 0 and membership[other] >= 0:
                    count[i, membership[other]] += 1
    share = ratio(count, np.broadcast_to(centres[:, None] * neighbours.shape[1], count.shape))
    similarity = np.maximum(share, share.T)
    np.fill_diagonal(similarity, 0)
    return similarity


def greedy_cover(
    masks: np.ndarray, scores: np.ndarray, covered: np.ndarray, min_gain: float
) -> tuple[np.ndarray, np.ndarray]:
    """Repeatedly the mask with most uncovered pixels (ties: the order), while that is >= min_gain and > 0."""
    order, covered = order_of(scores), covered.copy()
    picks, gains = [], []
    while len(masks):
        gain = intersections(~covered[None], masks)[0]
        best = order[np.argmax(gain[order])]
        if gain[best] == 0 or gain[best] < min_gain:
            break
        picks.append(best)
        gains.append(gain[best])
        covered |= masks[best]
    return np.array(picks, np.int64), np.array(gains, np.int64)


def pack_logits(
    logits: np.ndarray, rows: int | None = None, cols: int | None = None, offset: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Bits (logits > 0 inside the content) and stability (IoU of the masks cut at +offset and -offset)."""
    bits = np.zeros(logits.shape, bool)
    content = logits[:, :rows, :cols]
    bits[:, :rows, :cols] = content > 0
    offset = np.float32(offset)
    return bits, ratio(area(content > offset), area(content > -offset)).astype(np.float32)


def content_size(grid: Any) -> tuple[int, int]:
    """Grid rows and columns that show image: those whose centre lies inside the content."""
    rows = np.count_nonzero(np.arange(grid.height) + 0.5 < grid.content_height)
    return rows, np.count_nonzero(np.arange(grid.width) + 0.5 < grid.content_width)


def lerp_positions(positions: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Float64 positions clamped to [0, size - 1] -> lower index, upper index, float32 weight of the upper."""
    clamped = np.clip(positions, 0, size - 1)
    low = np.floor(clamped).astype(np.int64)
    return low, np.minimum(low + 1, size - 1), (clamped - low).astype(np.float32)


def draw_labels(planes: np.ndarray, grid: Any) -> np.ndarray:
    """1 + the plane with the largest positive bilinear sample at each image pixel, 0 if none."""
    height, width, one = grid.image_height, grid.image_width, np.float32(1)
    rows, cols = content_size(grid)
    y0, y1, wy = lerp_positions((np.arange(height) + 0.5) * grid.content_height / height - 0.5, rows)
    x0, x1, wx = lerp_positions((np.arange(width) + 0.5) * grid.content_width / width - 0.5, cols)
    wy = wy[:, None]
    labels, best = np.zeros((height, width), np.int32), np.zeros((height, width), np.float32)
    for k, plane in enumerate(planes):
        column = plane[y0] * (one - wy) + plane[y1] * wy  # vertical first
        value = column[:, x0] * (one - wx) + column[:, x1] * wx
        labels[value > best] = k + 1
        best = np.maximum(best, value)
    return labels


def smoothed(image: np.ndarray, sigma: float) -> np.ndarray:
    """Separable Gaussian in float32: along x, then along y, taps ascending, borders replicated."""
    radius = int(4 * sigma + 0.5)
    taps = np.arange(-radius, radius + 1, dtype=np.float64)
    weights = np.exp(-(taps**2) / (2 * sigma**2)) if radius else np.ones(1)
    kernel = (weights / weights.sum()).astype(np.float32)
    image = image.astype(np.float32)
    for axis in (1, 0):
        size = image.shape[axis]
        total = np.zeros_like(image)
        for tap, weight in zip(range(-radius, radius + 1), kernel, strict=True):
            total += weight * image.take(np.clip(np.arange(size) + tap, 0, size - 1), axis)
        image = total
    return image


def felzenszwalb(image: np.ndarray, scale: float = 100.0, sigma: float = 0.8, min_size: int = 50) -> np.ndarray:
    """Felzenszwalb and Huttenlocher 2004 -> int32 [H, W], labels in raster order of first appearance."""
    height, width = image.shape[:2]
    smooth = smoothed(image, sigma)

    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        d = (a - b) * (a - b)
        return np.sqrt((d[..., 0] + d[..., 1]) + d[..., 2])

    weight = np.full((height, width, 4), np.inf, np.float32)
    weight[:, :-1, 0] = distance(smooth[:, :-1], smooth[:, 1:])
    weight[:-1, :, 1] = distance(smooth[:-1], smooth[1:])
    weight[:-1, :-1, 2] = distance(smooth[:-1, :-1], smooth[1:, 1:])
    weight[:-1, 1:, 3] = distance(smooth[:-1, 1:], smooth[1:, :-1])
    edges = np.argsort(weight.ravel(), kind="stable")[: np.count_nonzero(np.isfinite(weight))]
    sources = edges // 4
    targets = sources + np.array([1, width, width + 1, width - 1])[edges % 4]
    edge_list = list(zip(weight.ravel()[edges].tolist(), sources.tolist(), targets.tolist(), strict=True))

    n = height * width
    parent, size = list(range(n)), [1] * n
    allowance = [0.0, *(np.float32(scale) / np.arange(1, n + 1, dtype=np.float32)).tolist()]  # k / |a|
    limit = [allowance[1]] * n  # Int(a) + k / |a| of each root; Int is the last edge that merged

    def find(a: int) -> int:
        while parent[a] != a:
            parent[a] = a = parent[parent[a]]
        return a

    def unite(a: int, b: int) -> int:
        a, b = (a, b) if size[a] >= size[b] else (b, a)
        parent[b] = a
        size[a] += size[b]
        return a

    for w, a, b in edge_list:
        a, b = find(a), find(b)
        if a != b and w <= limit[a] and w <= limit[b]:
            root = unite(a, b)
            limit[root] = float(np.float32(w + allowance[size[root]]))  # one float32 addition
    for _, a, b in edge_list:
        a, b = find(a), find(b)
        if a != b and (size[a] < min_size or size[b] < min_size):
            unite(a, b)
    _, first, inverse = np.unique([find(i) for i in range(n)], return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first)).astype(np.int32)[inverse.reshape(height, width)]


def watershed(relief: np.ndarray) -> np.ndarray:
    """Meyer's flooding, 4-neighbourhood -> int32 [h, w], labels in raster order of the minima's first pixels."""
    height, width = relief.shape
    level = relief.astype(int).tolist()

    def around(y: int, x: int) -> list[tuple[int, int]]:
        near = [(y - 1, x), (y, x - 1), (y, x + 1), (y + 1, x)]
        return [(v, u) for v, u in near if 0 <= v < height and 0 <= u < width]

    labels = np.full(relief.shape, -1, np.int32)
    seen: set[tuple[int, int]] = set()
    queue: list[tuple[int, int, tuple[int, int]]] = []  # level, arrival, pixel
    basins = 0
    for start in np.ndindex(relief.shape):
        if start in seen:
            continue
        plateau = [start]
        seen.add(start)
        for pixel in plateau:
            for other in around(*pixel):
                if relief[other] == relief[start] and other not in seen:
                    seen.add(other)
                    plateau.append(other)
        if all(relief[other] >= relief[start] for pixel in plateau for other in around(*pixel)):
            for pixel in plateau:
                labels[pixel] = basins
                queue.append((level[pixel[0]][pixel[1]], len(queue), pixel))
            basins += 1
    arrivals = len(queue)
    heapq.heapify(queue)
    while queue:
        height_here, _, pixel = heapq.heappop(queue)
        for other in around(*pixel):
            if labels[other] < 0:
                labels[other] = labels[pixel]
                heapq.heappush(queue, (max(height_here, level[other[0]][other[1]]), arrivals, other))
                arrivals += 1
    return labels
