"""Segment every entity of an image without training: E-SAM (Zhang et al., ICCV 2025) as a fast library.

The public names are imported on first use, so that ``import esam_fast`` stays light and never loads torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from esam_fast._version import __version__ as __version__

_MODULES = {
    "EsamConfig": "config",
    "MmgConfig": "config",
    "EmrConfig": "config",
    "UsrConfig": "config",
    "SuperpixelConfig": "config",
    "MaskGrid": "grid",
    "PackedMasks": "masks",
    "PointMasks": "masks",
    "EntityMap": "entities",
    "BackendUnavailable": "_backend",
    "build_info": "_backend",
    "get_num_threads": "_backend",
    "set_num_threads": "_backend",
    "Segmenter": "segmenters",
    "load_segmenter": "segmenters",
    "Esam": "pipeline",
    "EsamMaskGenerator": "amg",
    "load_image": "images",
}

__all__ = [*sorted(_MODULES), "__version__"]

if TYPE_CHECKING:
    from esam_fast._backend import BackendUnavailable as BackendUnavailable
    from esam_fast._backend import build_info as build_info
    from esam_fast._backend import get_num_threads as get_num_threads
    from esam_fast._backend import set_num_threads as set_num_threads
    from esam_fast.amg import EsamMaskGenerator as EsamMaskGenerator
    from esam_fast.config import EmrConfig as EmrConfig
    from esam_fast.config import EsamConfig as EsamConfig
    from esam_fast.config import MmgConfig as MmgConfig
    from esam_fast.config import SuperpixelConfig as SuperpixelConfig
    from esam_fast.config import UsrConfig as UsrConfig
    from esam_fast.entities import EntityMap as EntityMap
    from esam_fast.grid import MaskGrid as MaskGrid
    from esam_fast.images import load_image as load_image
    from esam_fast.masks import PackedMasks as PackedMasks
    from esam_fast.masks import PointMasks as PointMasks
    from esam_fast.pipeline import Esam as Esam
    from esam_fast.segmenters import Segmenter as Segmenter
    from esam_fast.segmenters import load_segmenter as load_segmenter


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'esam_fast' has no attribute {name!r}")
    value = getattr(import_module(f"esam_fast.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
