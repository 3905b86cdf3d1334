"""The torch backend: every raw kernel in torch's own operations, for tensors on any device.

It serves CUDA tensors where the compiled kernels are missing. What is in NumPy is worked on as CPU tensors; outputs are
written where the caller allocated them.
"""

from __future__ import annotations

from esam_fast._torch.cover import greedy_cover
from esam_fast._torch.density import mask_mean
from esam_fast._torch.draw import draw_labels, measure_labels
from esam_fast._torch.nms import cluster_masks, nms
from esam_fast._torch.overlap import split_overlaps
from esam_fast._torch.packing import measure, pack_logits
from esam_fast._torch.pairwise import intersections, mask_iou, max_iou
from esam_fast._torch.topk import mask_similarity, top_k_similarity

__all__ = [
    "cluster_masks",
    "draw_labels",
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
    "split_overlaps",
    "top_k_similarity",
]
