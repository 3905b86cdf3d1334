"""The operations of E-SAM on bit-packed masks: each one checks, allocates and dispatches; all backends agree."""

from __future__ import annotations

from esam_fast.ops.cover import greedy_cover
from esam_fast.ops.density import mask_mean
from esam_fast.ops.draw import draw_labels, measure_labels
from esam_fast.ops.felzenszwalb import felzenszwalb
from esam_fast.ops.nms import cluster_masks, nms
from esam_fast.ops.overlap import split_overlaps
from esam_fast.ops.packing import measure, pack_logits
from esam_fast.ops.pairwise import intersections, mask_iou, max_iou
from esam_fast.ops.planes import entity_planes
from esam_fast.ops.region_tree import region_tree
from esam_fast.ops.topk import mask_similarity, top_k_similarity
from esam_fast.ops.watershed import watershed

__all__ = [
    "cluster_masks",
    "draw_labels",
    "entity_planes",
    "felzenszwalb",
    "greedy_cover",
    "intersections",
    "mask_iou",
    "mask_mean",
    "mask_similarity",
    "max_iou",
    "measure",
    "measure_labels",
    "nms",
    "pack_logits",
    "region_tree",
    "split_overlaps",
    "top_k_similarity",
    "watershed",
]
