"""Entity-level mask refinement (Sec. 3.3, Eqs. 5-8): overlaps are split, fragments of one entity merged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from esam_fast._arrays import host
from esam_fast._backend import resolve
from esam_fast.config import EmrConfig
from esam_fast.masks import Bool, Float, Labels, MaskGrid, PackedMasks, ScoredMasks, by_score
from esam_fast.ops import cluster_masks, intersections, mask_similarity, split_overlaps, top_k_similarity
from esam_fast.ops.topk import unit_features
from esam_fast.stages.handover import Entities, Gallery, rescore
from esam_fast.superpixels import Superpixels, features_at


def refine(
    objects: ScoredMasks,
    gallery: Gallery,
    superpixels: Superpixels,
    features: Float,
    grid: MaskGrid,
    config: EmrConfig,
    min_area: int,
    *,
    backend: str | None = None,
) -> Entities:
    """Turn overlapping object masks into disjoint entities.

    Args:
        objects: from MMG, N.
        gallery: guidance masks of the dense point grid; not looked at where the stage is off.
        superpixels: on the grid. features: float32 [C, fh, fw], the image embedding, content only.
        grid: of all masks.
        config: of the stage.
        min_area: masks that keep fewer grid pixels are dropped.
        backend: of the operations.
    """
    objects = objects.take(by_score(objects.scores))
    if not config.enabled:
        return _settle(objects, objects.masks.painted(backend=backend), min_area)
    votes = cluster_masks(gallery.masks, gallery.scores, config.cluster_iou, backend=backend)
    votes = np.where(gallery.masks.area > 0, votes, -1)
    votes = np.append(votes, -1)[gallery.answer]  # [P], of each point; row -1: no answer stands for it
    disjoint = split_overlaps(
        objects.masks, objects.scores, gallery.pixels, votes, gallery.masks, gallery.scores, config.delta,
        config.score_margin, backend=backend,
    )  # fmt: skip
    entities = _settle(objects, disjoint, min_area)
    labels = entities.masks.to_labels()
    similar = _similarity(entities.masks, labels, superpixels, features, grid, config.top_k, backend)
    candidates = (similar >= config.min_similarity) & _touching(labels, len(entities))
    pairs = _encompassed(entities.masks, labels, gallery, candidates, config, backend)
    return _unite(entities, pairs, backend)


def _settle(objects: ScoredMasks, disjoint: PackedMasks, min_area: int) -> Entities:
    """Rescore what the masks kept, and drop what is too small."""
    keep = disjoint.area >= max(min_area, 1)
    members, kept = objects.take(keep), disjoint.take(keep)
    scores = rescore(members.scores, kept.area, members.masks.area)
    return Entities(kept, scores, replace(members, scores=scores), kept, np.arange(len(kept)))


def _similarity(
    masks: PackedMasks,
    labels: Labels,
    superpixels: Superpixels,
    features: Float,
    grid: MaskGrid,
    k: int,
    backend: str | None,
) -> NDArray[np.float64]:
    """Eq. 7 between all masks, labelled 0..N-1: float64 [N, N]."""
    backend = resolve(backend, masks.words)  # the features go where the masks are
    sampled = unit_features(features_at(features, superpixels.centres, grid))
    neighbours, _ = top_k_similarity(sampled, k, backend=backend)
    return mask_similarity(neighbours, labels.ravel()[superpixels.centres], len(masks), backend=backend)


def _touching(labels: Labels, n: int) -> Bool:
    """Pairs of masks that share a border, or reach the same free pixel, 4-neighbourhood: bool [n, n]."""
    label = np.pad(labels, 1, constant_values=-1)
    touching = np.zeros((n, n), np.bool_)

    def touch(a: Labels, b: Labels) -> None:
        both = (a >= 0) & (b >= 0) & (a != b)
        touching[a[both], b[both]] = touching[b[both], a[both]] = True

    touch(label[:, :-1], label[:, 1:])
    touch(label[:-1], label[1:])
    free = label[1:-1, 1:-1] < 0
    sides = [label[:-2, 1:-1][free], label[2:, 1:-1][free], label[1:-1, :-2][free], label[1:-1, 2:][free]]
    for i, one in enumerate(sides):
        for other in sides[i + 1 :]:
            touch(one, other)
    return touching


def _encompassed(
    masks: PackedMasks, labels: Labels, gallery: Gallery, candidates: Bool, config: EmrConfig, backend: str | None
) -> list[tuple[int, int]]:
    """The candidate pairs that enough of their points' guidance masks encompass (Eq. 8)."""
    at = labels.ravel()[gallery.pixels]  # [P], the mask that each point lies in
    answered = (at >= 0) & (gallery.answer >= 0)
    points = np.zeros((len(masks), len(gallery.scores)), np.int64)  # of each mask that each answer stands for
    np.add.at(points, (at[answered], gallery.answer[answered]), 1)
    total = np.bincount(at[at >= 0], minlength=len(masks))
    used = np.flatnonzero(candidates.any(axis=1)) if len(masks) else np.zeros(0, np.int64)
    common = np.zeros(points.shape, np.int64)
    common[used] = host(intersections(masks.take(used), gallery.masks, backend=backend))
    covered = (common / np.maximum(masks.area, 1)[:, None] >= config.cover) & (gallery.masks.area > 0)
    size = np.maximum(gallery.masks.area, 1)
    pairs = []
    for a, b in zip(*np.nonzero(np.triu(candidates)), strict=True):
        both = covered[a] & covered[b] & ((common[a] + common[b]) / size >= config.concentration)
        hits = (points[a] + points[b])[both].sum()
        if hits > 0 and hits / (total[a] + total[b]) >= config.merge_support:
            pairs.append((int(a), int(b)))
    return pairs


def _unite(entities: Entities, pairs: list[tuple[int, int]], backend: str | None) -> Entities:
    """Join pairs transitively; a group takes the place of its first member and the highest score."""
    root = list(range(len(entities)))

    def find(i: int) -> int:
        while root[i] != i:
            i = root[i]
        return i

    for a, b in pairs:
        low, high = sorted((find(a), find(b)))
        root[high] = low
    firsts, owner = np.unique([find(i) for i in range(len(root))], return_inverse=True)
    owner = owner.astype(np.int64, copy=False)
    scores = entities.scores[firsts.astype(np.int64)]
    np.maximum.at(scores, owner, entities.scores)
    masks = entities.masks.united(owner, len(firsts), backend=backend)
    return replace(entities, masks=masks, scores=scores, owner=owner)
