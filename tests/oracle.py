"""The algorithm in plain NumPy on bool arrays [N, h, w]: what the tests compare every backend with.

Written for reading, not for speed, from docs/ALGORITHM.md alone: nothing here imports esam_fast, and
esam_fast never imports this. The ops are in `oracle_ops`; here are the stages and `segment`. A "piece" is one
of the model's masks together with the grid pixels it holds in the end; an entity is one or more of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from oracle_ops import (
    CHUNK,
    area,
    cluster_masks,
    content_size,
    draw_labels,
    felzenszwalb,
    greedy_cover,
    intersections,
    lerp_positions,
    mask_mean,
    mask_similarity,
    max_iou,
    nms,
    order_of,
    ratio,
    split_overlaps,
    top_k_similarity,
)


class Masks(NamedTuple):
    """N masks with their scores, and the prompt and channel that give their logits again."""

    bits: np.ndarray  # bool [N, h, w]
    scores: np.ndarray  # float32 [N]
    points: np.ndarray  # float32 [N, 2]
    channels: np.ndarray  # int8 [N]
    stability: np.ndarray  # float32 [N]

    def take(self, index: Any) -> Masks:
        return Masks(*(field[index] for field in self))


class Pieces(NamedTuple):
    """What the entities are made of."""

    masks: Masks  # as the model gave them
    kept: np.ndarray  # bool [N, h, w], disjoint: what each holds
    entity: np.ndarray  # int64 [N]: the entity each belongs to
    scores: np.ndarray  # float32 [E]: the entities' scores

    def entities(self) -> np.ndarray:
        masks = [self.kept[self.entity == e].any(axis=0) for e in range(len(self.scores))]
        return np.array(masks, bool).reshape(-1, *self.kept.shape[1:])


# Superpixels, points and features


def area_average(image: np.ndarray, max_side: int) -> np.ndarray:
    """Shrink to a longer side of max_side, by OpenCV's area averaging (its rounding is part of the result)."""
    scale = max_side / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, int(side * scale + 0.5)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def superpixels_on_grid(image: np.ndarray, grid: Any, config: Any) -> np.ndarray:
    """int64 [h, w]: superpixels present on the grid, 0..K-1 in label order; -1 outside the content."""
    assert config.method == "felzenszwalb"
    labels = felzenszwalb(area_average(image, config.max_side), config.scale, config.sigma, config.min_size)
    rows, cols = content_size(grid)
    y = np.floor((np.arange(rows) + 0.5) * labels.shape[0] / grid.content_height).astype(np.int64)
    x = np.floor((np.arange(cols) + 0.5) * labels.shape[1] / grid.content_width).astype(np.int64)
    on_grid = np.full((grid.height, grid.width), -1, np.int64)
    on_grid[:rows, :cols] = np.unique(labels[np.ix_(y, x)], return_inverse=True)[1].reshape(rows, cols)
    return on_grid


def centre(mask: np.ndarray) -> tuple[int, int]:
    """(y, x) of the mask's pixel nearest its centroid, in integers; the first in raster order."""
    y, x = np.nonzero(mask)
    best = np.argmin((len(y) * y - y.sum()) ** 2 + (len(x) * x - x.sum()) ** 2)
    return int(y[best]), int(x[best])


def density_map(superpixels: np.ndarray) -> np.ndarray:
    """Eq. 3 for each grid pixel, 0 outside the content: float64 [h, w]."""
    sizes = np.bincount(superpixels[superpixels >= 0])
    return np.append(np.exp(-sizes / sizes.mean()), 0.0)[superpixels]


def features_at(features: np.ndarray, centres: list[tuple[int, int]], grid: Any) -> np.ndarray:
    """Bilinear samples of features [C, fh, fw] at grid pixels -> int16 [K, C]: unit vectors in 12 bits."""
    y, x = np.array(centres).T
    one = np.float32(1)
    y0, y1, wy = lerp_positions((y + 0.5) / grid.content_height * features.shape[1] - 0.5, features.shape[1])
    x0, x1, wx = lerp_positions((x + 0.5) / grid.content_width * features.shape[2] - 0.5, features.shape[2])
    top = features[:, y0, x0] * (one - wx) + features[:, y0, x1] * wx
    bottom = features[:, y1, x0] * (one - wx) + features[:, y1, x1] * wx
    samples = (top * (one - wy) + bottom * wy).T.astype(np.float64)
    norms = np.sqrt((samples**2).sum(axis=1))[:, None]
    unit = np.divide(samples, norms, out=np.zeros_like(samples), where=norms > 0)
    return np.rint(unit * 2047).astype(np.int16)


def point_grid(n: int, grid: Any) -> np.ndarray:
    steps = (np.arange(n) + 0.5) / n
    x, y = np.meshgrid(steps * grid.image_width, steps * grid.image_height)
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def pixels_of(points: np.ndarray, grid: Any) -> np.ndarray:
    """Flat grid index of the pixel each image point falls in."""
    x, y = points.astype(np.float64).T
    row = np.floor(y * grid.content_height / grid.image_height).astype(np.int64)
    return row * grid.width + np.floor(x * grid.content_width / grid.image_width).astype(np.int64)


def image_points(pixels: list[tuple[int, int]], grid: Any) -> np.ndarray:
    """The image point over the centre of each grid pixel (y, x): float32 [N, 2], x y."""
    y, x = np.array(pixels).T + 0.5
    image_x, image_y = x * grid.image_width / grid.content_width, y * grid.image_height / grid.content_height
    return np.stack([image_x, image_y], axis=1).astype(np.float32)


# Stages


def prompt(segmenter: Any, embedding: Any, points: np.ndarray) -> tuple[np.ndarray, ...]:
    """Bits [N, 3, h, w], scores, stability, channels [N, 3] of the three levels at each point."""
    answers = [segmenter.masks(embedding, points[i : i + CHUNK]) for i in range(0, len(points), CHUNK)]
    bits = np.concatenate([answer.masks.to_bool() for answer in answers])
    rest = [np.concatenate([getattr(a, name) for a in answers]) for name in ("scores", "stability", "channels")]
    return bits.reshape(len(points), 3, *bits.shape[1:]), *rest


def best_level(scores: np.ndarray) -> np.ndarray:
    """The level with the highest score of each prompt; ties: the larger level."""
    return 2 - np.argmax(scores[:, ::-1], axis=1)


def ask_guidance(segmenter: Any, embedding: Any, points: np.ndarray, tau: float) -> Masks:
    """Eq. 6: at each point the object mask if its score is within tau of the best level's, else the best."""
    shape = (0, embedding.grid.height, embedding.grid.width)
    none = np.zeros(0, np.float32)
    found = [Masks(np.zeros(shape, bool), none, np.zeros((0, 2), np.float32), none.astype(np.int8), none)]
    for i in range(0, len(points), CHUNK):
        at = points[i : i + CHUNK]
        bits, scores, stability, channels = prompt(segmenter, embedding, at)
        every, best = np.arange(len(at)), best_level(scores)
        gap = scores[every, best].astype(np.float64) - scores[every, 2].astype(np.float64)
        level = np.where(gap < tau, 2, best)
        picked = [values[every, level] for values in (bits, scores, channels, stability)]
        found.append(Masks(*picked[:2], at, *picked[2:]))
    return Masks(*map(np.concatenate, zip(*found, strict=True)))


def mmg(segmenter: Any, embedding: Any, density: np.ndarray, config: Any) -> tuple[Masks, Masks]:
    """Sec. 3.2: object masks, and the subpart and part masks one after the other, each in the order."""
    points = point_grid(config.points_per_side, embedding.grid)
    bits, scores, stability, channels = prompt(segmenter, embedding, points)
    good = bits.any(axis=(2, 3))
    for values, name in ((scores, "score_threshold"), (stability, "stability_threshold")):
        limit = getattr(config, name) if getattr(config, name) is not None else getattr(segmenter, name)
        good &= values.astype(np.float64) >= limit

    def level(chosen: Any) -> Masks:
        index = np.arange(len(points))
        picked = [values[index, chosen] for values in (bits, scores, channels, stability)]
        at = Masks(*picked[:2], points, *picked[2:])
        return at.take(good[index, chosen])

    if not config.enabled:
        prompts = np.repeat(points, 3, axis=0)
        masks = Masks(bits.reshape(-1, *bits.shape[2:]), scores.ravel(), prompts, channels.ravel(), stability.ravel())
        masks = masks.take(good.ravel())
        kept = nms(masks.bits, masks.scores, config.amg_nms)
        return masks.take(kept), masks.take(kept[:0])

    objects, best = level(2), level(best_level(scores))
    objects = objects.take(nms(objects.bits, objects.scores, config.theta_o))
    objects = objects.take(max_iou(objects.bits, best.bits)[0] >= config.gamma_o)  # Eq. 2
    parts = []
    for masks in (level(0), level(1)):
        limits = np.maximum(config.n_t, mask_mean(masks.bits, density))
        parts.append(masks.take(nms(masks.bits, masks.scores, limits)))  # Eq. 4
    return objects, Masks(*map(np.concatenate, zip(*parts, strict=True)))


def paint(masks: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Disjoint masks: every pixel to the first mask in the order that has it."""
    painted, free = np.zeros_like(masks), np.ones(masks.shape[1:], bool)
    for p in order_of(scores):
        painted[p] = masks[p] & free
        free &= ~masks[p]
    return painted


def disjoint_pieces(masks: Masks, kept: np.ndarray, min_area: int) -> Pieces:
    """Rescore by what is left of each mask, drop the small ones; every piece an entity of its own."""
    now, before = area(kept), area(masks.bits)
    scores = ratio(masks.scores.astype(np.float64) * now, before).astype(np.float32)
    large = now >= min_area
    return Pieces(masks.take(large), kept[large], np.arange(np.count_nonzero(large)), scores[large])


def owner_of(kept: np.ndarray) -> np.ndarray:
    """int64 [h, w]: the index of the mask that holds each pixel, -1 where none does."""
    return np.where(kept.any(axis=0), kept.argmax(axis=0), -1) if len(kept) else np.full(kept.shape[1:], -1)


def touching(owner: np.ndarray, n: int) -> np.ndarray:
    """bool [n, n]: neighbours in the 4-neighbourhood, or across one pixel that nobody holds."""
    padded = np.pad(owner, 1, constant_values=-1)
    around = [padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]
    touch, free = np.zeros((n + 1, n + 1), bool), owner < 0  # index -1, nobody, is the last row and column
    for one in around:
        touch[owner, one] = True
        for other in around:
            touch[one[free], other[free]] = True
    return touch[:n, :n]


def gallery_points(objects: np.ndarray, pixels: np.ndarray, side: int, per_cell: int) -> tuple[np.ndarray, np.ndarray]:
    """The points of the dense grid to ask, and for each point the number of the one that answers it, -1 if none does.

    Points in the same object masks are a cell, of which the points of a few ranks along a Z-order curve are asked, six
    times as many in a cell of several masks; 0: all, everywhere.
    """
    every = np.arange(len(pixels))
    if len(objects) == 0:
        return every[:0], np.full(len(pixels), -1)
    if per_cell == 0:
        return every, every

    def z_order(p: int) -> str:
        row, col = divmod(p, side)
        return "".join(a + b for a, b in zip(f"{row:020b}", f"{col:020b}", strict=True))

    cells: dict[bytes, list[int]] = {}
    for p, inside in enumerate(objects.reshape(len(objects), -1)[:, pixels].T):
        if inside.any():
            cells.setdefault(inside.tobytes(), []).append(p)
    answered_by = {}
    for masks, members in cells.items():
        cell = sorted(members, key=z_order)
        n, m = len(cell), min(len(cell), per_cell * (6 if sum(masks) > 1 else 1))
        ranks = [(2 * i + 1) * n // (2 * m) for i in range(m)]
        for rank, p in enumerate(cell):
            answered_by[p] = cell[min(ranks, key=lambda r: (abs(r - rank), r))]
    asked = sorted(set(answered_by.values()))
    return np.array(asked), np.array([asked.index(answered_by[p]) if p in answered_by else -1 for p in every])


def merge(
    pieces: Pieces, guidance: Masks, pixels: np.ndarray, answer: np.ndarray, superpixels: np.ndarray,
    embedding: Any, config: Any,
) -> Pieces:  # fmt: skip
    """Eqs. 7 and 8: unite touching, similar masks that the guidance at their points sees as one.

    Point i of the 64-grid lies at pixels[i], and its guidance is guidance[answer[i]] (-1: it has none).
    """
    n, grid = len(pieces.scores), embedding.grid
    owner = owner_of(pieces.kept)
    centres = [centre(superpixels == k) for k in range(superpixels.max() + 1)]
    neighbours, _ = top_k_similarity(features_at(embedding.features, centres, grid), config.top_k)
    similarity = mask_similarity(neighbours, np.array([owner[c] for c in centres]), n)

    common, whole = intersections(guidance.bits, pieces.kept), area(guidance.bits)
    covers = ratio(common, area(pieces.kept)) >= config.cover  # [P, n]
    at = owner.ravel()[pixels]
    group = np.arange(n)
    for a, b in np.argwhere(np.triu(touching(owner, n) & (similarity >= config.min_similarity), 1)):
        inside = (at == a) | (at == b)
        both = (whole > 0) & covers[:, a] & covers[:, b]
        both &= ratio(common[:, a] + common[:, b], whole) >= config.concentration
        hits = inside & np.append(both, False)[answer]
        if hits.any() and np.count_nonzero(hits) / np.count_nonzero(inside) >= config.merge_support:
            first, second = sorted((group[a], group[b]))
            group[group == second] = first
    entity = np.unique(group, return_inverse=True)[1]
    scores = np.array([pieces.scores[entity == e].max() for e in range(len(set(group)))], np.float32)
    return pieces._replace(entity=entity, scores=scores)


def emr(segmenter: Any, embedding: Any, objects: Masks, superpixels: np.ndarray, config: Any) -> Pieces:
    """Sec. 3.3 on overlapping masks: split, rescore, merge (switched off: paint by score and rescore)."""
    if not config.emr.enabled:
        return disjoint_pieces(objects, paint(objects.bits, objects.scores), config.min_area)
    points = point_grid(config.emr.points_per_side, embedding.grid)
    at = pixels_of(points, embedding.grid)
    asked, answer = gallery_points(objects.bits, at, config.emr.points_per_side, config.emr.votes_per_cell)
    seen = ask_guidance(segmenter, embedding, points[asked], config.emr.tau)
    representative = cluster_masks(seen.bits, seen.scores, config.emr.cluster_iou)
    votes = np.append(np.where(seen.bits.any(axis=(1, 2)), representative, -1), -1)[answer]
    rules = config.emr.delta, config.emr.score_margin
    kept = split_overlaps(objects.bits, objects.scores, at, votes, seen.bits, seen.scores, *rules)
    pieces = disjoint_pieces(objects, kept, config.min_area)
    return merge(pieces, seen, at, answer, superpixels, embedding, config.emr)


def usr_pixels(entities: np.ndarray, parts: Masks, superpixels: np.ndarray, min_area: int) -> list[tuple[int, int]]:
    """Sec. 3.4: the grid pixels (y, x) to prompt at, one for each superpixel's uncovered rest."""
    uncovered, prompts = ~entities.any(axis=0), []
    for k in range(superpixels.max() + 1):
        rest = (superpixels == k) & uncovered
        if np.count_nonzero(rest) < max(1, min_area):
            continue
        around = np.flatnonzero(parts.bits[:, rest].all(axis=1))
        around = around[order_of(parts.scores[around])]
        prompts.append(centre(parts.bits[around[0]] if len(around) else rest))
    return list(dict.fromkeys(prompts))


def usr(segmenter: Any, embedding: Any, pieces: Pieces, parts: Masks, superpixels: np.ndarray, config: Any) -> Pieces:
    """Sec. 3.4: prompt where nothing is covered; what covers most joins an entity or becomes one (Eq. 10)."""
    entities = pieces.entities()
    pixels = usr_pixels(entities, parts, superpixels, config.min_area) if config.usr.enabled else []
    if not pixels:
        return pieces
    grid = embedding.grid
    extra = ask_guidance(segmenter, embedding, image_points(pixels, grid), config.emr.tau)
    if config.usr.score_threshold is not None:
        extra = extra.take(extra.scores.astype(np.float64) >= config.usr.score_threshold)
    if config.usr.stability_threshold is not None:
        extra = extra.take(extra.stability.astype(np.float64) >= config.usr.stability_threshold)
    rows, cols = content_size(grid)
    covered = pieces.kept.any(axis=0)
    picks, gains = greedy_cover(extra.bits, extra.scores, covered, config.usr.min_gain * rows * cols)

    kept, entity, scores = [], [], list(pieces.scores)
    for pick, gain in zip(picks, gains, strict=True):
        mask = extra.bits[pick]
        new = mask & ~covered
        covered = covered | mask
        iou, nearest = max_iou(mask[None], entities)
        if iou[0] > config.usr.rho:
            home = int(nearest[0])
            entities[home] |= new
        else:
            home = len(entities)
            entities = np.concatenate([entities, new[None]])
            scores.append(np.float32(np.float64(extra.scores[pick]) * gain / np.count_nonzero(mask)))
        kept.append(new)
        entity.append(home)
    return Pieces(
        Masks(*map(np.concatenate, zip(pieces.masks, extra.take(picks), strict=True))),
        np.concatenate([pieces.kept, np.array(kept, bool).reshape(-1, *covered.shape)]),
        np.concatenate([pieces.entity, np.array(entity, np.int64)]),
        np.array(scores, np.float32),
    )


def draw(segmenter: Any, embedding: Any, pieces: Pieces) -> tuple[np.ndarray, np.ndarray]:
    """Drawing at full resolution (docs/ALGORITHM.md): labels int32 [H, W] 1..K by score, scores float32 [K]."""
    grid = embedding.grid
    if len(pieces.scores) == 0:
        return np.zeros((grid.image_height, grid.image_width), np.int32), np.zeros(0, np.float32)
    logits = segmenter.logits(embedding, pieces.masks.points, pieces.masks.channels)
    owner = owner_of(pieces.kept)
    owner_logit = np.take_along_axis(logits, np.maximum(owner, 0)[None], axis=0)[0]
    lost = np.where(owner >= 0, np.minimum(logits, -owner_logit), -np.abs(logits))
    logits = np.where(pieces.masks.bits & ~pieces.kept, lost, logits)

    planes, order = [], order_of(pieces.scores)
    entities = pieces.entities()
    for e in order:
        plane = logits[pieces.entity == e].max(axis=0)
        plane = np.where(entities[e] & (plane <= 0), np.maximum(-plane, np.float32(1e-6)), plane)
        planes.append(np.where(~entities[e] & (plane > 0), -plane, plane))
    labels = draw_labels(np.array(planes), grid)
    present = np.unique(labels[labels > 0])
    return np.searchsorted(present, labels, side="right").astype(np.int32), pieces.scores[order][present - 1]


class Stages(NamedTuple):
    """What each stage hands on."""

    embedding: Any
    objects: Masks
    parts: Masks  # subparts, then parts
    refined: Pieces
    completed: Pieces


def run_stages(image: np.ndarray, segmenter: Any, config: Any) -> Stages:
    embedding = segmenter.embed(image)
    superpixels = superpixels_on_grid(image, embedding.grid, config.superpixels)
    objects, parts = mmg(segmenter, embedding, density_map(superpixels), config.mmg)
    refined = emr(segmenter, embedding, objects, superpixels, config)
    completed = usr(segmenter, embedding, refined, parts, superpixels, config)
    return Stages(embedding, objects, parts, refined, completed)


def segment(image: np.ndarray, segmenter: Any, config: Any) -> tuple[np.ndarray, np.ndarray]:
    """The whole algorithm -> labels int32 [H, W] (0 none, 1..K by score), scores float32 [K]."""
    assert config.min_region_area == 0
    done = run_stages(image, segmenter, config)
    return draw(segmenter, done.embedding, done.completed)
