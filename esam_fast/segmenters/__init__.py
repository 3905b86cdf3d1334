"""Segmenters answer point prompts: SAM in torch, a small stand-in that runs anywhere, or a user's own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from esam_fast import weights
from esam_fast.segmenters.protocol import Embedding, Segmenter

__all__ = ["Embedding", "Segmenter", "load_segmenter"]

NAMES = ("auto", "regions", *weights.MODELS)
DTYPES = ("auto", "float32", "bfloat16", "float16")


def load_segmenter(
    name: str = "auto", checkpoint: str | Path | None = None, device: str = "auto", dtype: str = "auto"
) -> Segmenter:
    """A segmenter by name.

    Args:
        name: "vit_h", "vit_l" or "vit_b": SAM, from `checkpoint`, from where `esam-fast weights` keeps it, or from the
            cache of the Hugging Face hub (needs the extra "sam"). "regions" brings its own small network and runs
            anywhere: a stand-in, not SAM. "auto": the largest SAM whose weights are here and that fits the device, else
            "regions"; its `name` tells which.
        checkpoint: of SAM, .pth or .safetensors, or a folder that transformers saved a SamModel in; with "auto", its
            width tells the model.
        device: "auto", "cpu" or "cuda", for SAM; a device that is not here is refused with every segmenter.
        dtype: "auto", "float32", "bfloat16" or "float16", for SAM.

    Raises:
        ValueError: unknown name, device or dtype; a checkpoint for a segmenter that has none; a device or dtype where
            "auto" would take "regions"; weights that are missing or unusable (`esam_fast.weights.WeightsError`).
        ModuleNotFoundError: SAM was asked for and its packages are missing.
    """
    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, got {name!r}")
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    missing = [package for package in ("torch", "torchvision", "segment_anything") if find_spec(package) is None]
    if name == "regions":
        if checkpoint is not None:
            raise ValueError(f"checkpoint must be None for the segmenter 'regions', got {str(checkpoint)!r}")
        _check_device(device, missing)
        from esam_fast.segmenters.regions import RegionsSegmenter

        return RegionsSegmenter()
    if name == "auto" and checkpoint is None:
        if missing:
            return _stand_in(device, dtype, f"SAM needs {', '.join(missing)} (pip install 'esam-fast[sam]')")
        if not weights.available():
            return _stand_in(device, dtype, "no weights of SAM are here (`esam-fast weights download vit_b`)")
    if missing:
        raise ModuleNotFoundError(f"SAM needs {', '.join(missing)}: pip install 'esam-fast[sam]'")
    from esam_fast.segmenters import sam

    if name != "auto":
        return sam.load_sam(name, weights.path(name) if checkpoint is None else checkpoint, device, dtype)
    if checkpoint is not None:
        return sam.load_sam(None, checkpoint, device, dtype)
    fitting = sam.largest_fitting(weights.available(), device)
    if fitting is None:
        return _stand_in(device, dtype, "no SAM whose weights are here fits into the device's memory")
    return load_segmenter(fitting, None, device, dtype)


def _stand_in(device: str, dtype: str, why: str) -> Segmenter:
    """The segmenter "regions", unless something was asked for that it does not have."""
    asked = {"device": device if device != "cpu" else "auto", "dtype": dtype}
    for option, value in asked.items():
        if value != "auto":
            raise ValueError(
                f"{option} {value!r} was asked for, but {why}, and the stand-in 'regions', which 'auto' would take, "
                f"has none; name the segmenter 'regions' if it is meant"
            )
    return load_segmenter("regions")


def _check_device(name: str, missing: list[str]) -> None:
    """Refuse a device that is not here, also where nothing is to run on it."""
    if name in ("auto", "cpu"):
        return
    if missing:
        raise ValueError(f"device must be 'auto' or 'cpu' where {missing[0]} is missing, got {name!r}")
    from esam_fast.segmenters.sam.segmenter import resolve_device

    resolve_device(name)
