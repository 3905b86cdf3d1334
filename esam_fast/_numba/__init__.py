"""The numba backend: every raw kernel by name, for machines without a compiler.

A kernel's file is imported when the kernel is first asked for: using one neither imports nor compiles
the rest.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_FILES = {
    "intersections": "pairwise",
    "mask_iou": "pairwise",
    "max_iou": "pairwise",
    "nms": "nms",
    "cluster_masks": "nms",
    "split_overlaps": "overlap",
    "top_k_similarity": "topk",
    "mask_similarity": "topk",
    "greedy_cover": "cover",
    "pack_logits": "packing",
    "measure": "packing",
    "mask_mean": "density",
    "draw_labels": "draw",
    "measure_labels": "draw",
    "felzenszwalb": "felzenszwalb",
    "region_tree": "region_tree",
    "watershed": "watershed",
}


class _Kernels(ModuleType):
    """Its attributes are kernels: importing the file `nms` must not hide the kernel `nms`."""

    def __getattr__(self, name: str) -> Any:
        if name not in _FILES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_FILES[name]}"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _FILES:
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *_FILES]


sys.modules[__name__].__class__ = _Kernels
