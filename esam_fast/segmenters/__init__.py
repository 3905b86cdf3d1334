"""Segmenters answer point prompts: SAM in torch, a small stand-in that runs anywhere, or a user's own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from esam_fast import weights
from esam_fast.segmenters.protocol import Embedding, Segmenter

__all__ = ["Embedding", "Segmenter", "load_segmenter"]

NAMES = ("auto", "regions", *weights.MODELS)


def load_segmenter(
    name: str = "auto", checkpoint: str | Path | None = None, device: str = "auto", dtype: str = "auto"
) -> Segmenter:
    """A segmenter by name.

    Args:
        name: "vit_h", "vit_l" or "vit_b": SAM, from `checkpoint` or from where `esam-fast weights` keeps it (needs the
            extra "sam"). "regions" brings its own small network and runs anywhere: a stand-in, not SAM. "auto": the
            largest SAM whose weights are here and that fits the device, else "regions"; its `name` tells which.
        checkpoint: of SAM, .pth or .safetensors; with "auto", its width tells the model.
        device: "auto", "cpu" or "cuda", for SAM.
        dtype: "auto", "float32", "bfloat16" or "float16", for SAM.

    Raises:
        ValueError: unknown name, or a checkpoint for a segmenter that has none; weights that are missing or unusable
            (`esam_fast.weights.WeightsError`). ModuleNotFoundError: SAM was asked for and its packages are missing.
    """
    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, got {name!r}")
    if name == "regions":
        if checkpoint is not None:
            raise ValueError(f"checkpoint must be None for the segmenter 'regions', got {str(checkpoint)!r}")
        from esam_fast.segmenters.regions import RegionsSegmenter

        return RegionsSegmenter()
    missing = [package for package in ("torch", "torchvision", "segment_anything") if find_spec(package) is None]
    if name == "auto" and checkpoint is None and (missing or not weights.available()):
        return load_segmenter("regions")
    if missing:
        raise ModuleNotFoundError(f"SAM needs {', '.join(missing)}: pip install 'esam-fast[sam]'")
    from esam_fast.segmenters import sam

    if name != "auto":
        return sam.load_sam(name, weights.path(name) if checkpoint is None else checkpoint, device, dtype)
    if checkpoint is not None:
        return sam.load_sam(None, checkpoint, device, dtype)
    fitting = sam.largest_fitting(weights.available(), device)
    return load_segmenter(fitting or "regions", None, device, dtype)
