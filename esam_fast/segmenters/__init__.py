"""Segmenters answer point prompts: SAM in torch, a small stand-in that runs anywhere, or a user's own."""

from __future__ import annotations

from pathlib import Path

from esam_fast import _check, weights
from esam_fast._backend import installed
from esam_fast.segmenters.protocol import Embedding, Segmenter

__all__ = ["Embedding", "Segmenter", "load_segmenter", "usable"]

NAMES = ("auto", "regions", *weights.MODELS)
PACKAGES = {"sam": ("torch", "torchvision", "segment_anything"), "sam2": ("sam2",)}  # SAM 2.1 needs SAM's too
TITLES = {"sam": "SAM", "sam2": "SAM 2.1"}
DTYPES = ("auto", "float32", "bfloat16", "float16")


def load_segmenter(
    name: str = "auto",
    checkpoint: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    *,
    backend: str | None = None,
) -> Segmenter:
    """A segmenter by name.

    Args:
        name: "vit_h", "vit_l" or "vit_b": SAM (needs the extra "sam"). "sam2.1_hiera_large", "sam2.1_hiera_base_plus",
            "sam2.1_hiera_small" or "sam2.1_hiera_tiny": SAM 2.1 (the extra "sam2"). Both from `checkpoint`, from where
            `esam-fast weights` keeps it, or from the cache of the Hugging Face hub. "regions" brings its own small
            network and runs anywhere: a stand-in, not SAM. "auto": the largest SAM whose weights are here and that
            fits the device, else the largest such SAM 2.1, else "regions"; its `name` tells which.
        checkpoint: of SAM or SAM 2.1, .pth, .pt or .safetensors, or a folder that transformers saved one in;
            with "auto", its tensors tell the model.
        device: "auto", "cpu", "cuda", "mps" or another of torch's, for SAM; a device that is not here is refused with
            every segmenter.
        dtype: "auto", "float32", "bfloat16" or "float16", for SAM.
        backend: of the operations that the segmenter itself uses, as `Esam` takes it for all others.

    Raises:
        ValueError: unknown name, device or dtype; a checkpoint for a segmenter that has none; a device or dtype where
            "auto" would take "regions"; an unknown backend; weights that are missing or unusable
            (`esam_fast.weights.WeightsError`).
        ModuleNotFoundError: SAM or SAM 2.1 was asked for and its packages are missing.
        BackendUnavailable: a backend asked for by name is not here.
    """
    _check.choice("name", name, NAMES)
    _check.choice("dtype", dtype, DTYPES)
    missing = _missing("sam")
    if name == "regions":
        if checkpoint is not None:
            raise ValueError(f"checkpoint must be None for the segmenter 'regions', got {str(checkpoint)!r}")
        _check_device(device, missing)
        from esam_fast.segmenters.regions import RegionsSegmenter

        return RegionsSegmenter(backend)
    if name == "auto" and checkpoint is None:
        if missing:
            return _stand_in(device, dtype, backend, f"SAM needs {', '.join(missing)} (pip install 'esam-fast[sam]')")
        found = usable()
        if not found:
            return _stand_in(device, dtype, backend, "no weights of SAM are here (`esam-fast weights download vit_b`)")
        from esam_fast.segmenters import sam

        fitting = sam.largest_fitting(found, device)
        if fitting is None:
            return _stand_in(device, dtype, backend, "no SAM whose weights are here fits into the device's memory")
        return load_segmenter(fitting, None, device, dtype, backend=backend)
    model = None if name == "auto" else name
    require("sam" if model is None else _family(model))
    path = weights.path(name) if checkpoint is None else checkpoint
    from esam_fast.segmenters import sam

    if (sam.family(path) if model is None else _family(model)) == "sam":
        return sam.load_sam(model, path, device, dtype, backend=backend)
    require("sam2")
    from esam_fast.segmenters import sam2

    return sam2.load_sam2(model, path, device, dtype, backend=backend)


def usable() -> dict[str, Path]:
    """The official models whose weights and packages are here, in the order of `weights.available`."""
    return {model: path for model, path in weights.available().items() if not _missing(_family(model))}


def _family(model: str) -> str:
    return weights.MODELS[model].family


def _missing(family: str) -> list[str]:
    """The packages that models of a family need and that are not here."""
    needed = dict.fromkeys((*PACKAGES["sam"], *PACKAGES[family]))
    return [package for package in needed if not installed(package)]


def require(family: str) -> None:
    """Raise a ModuleNotFoundError that tells how to install what "sam" or "sam2" needs, where it is missing."""
    missing = _missing(family)
    if missing:
        raise ModuleNotFoundError(f"{TITLES[family]} needs {', '.join(missing)}: pip install 'esam-fast[{family}]'")


def _stand_in(device: str, dtype: str, backend: str | None, why: str) -> Segmenter:
    """The segmenter "regions", unless something was asked for that it does not have."""
    asked = {"device": "auto" if str(device) == "cpu" else device, "dtype": dtype}
    for option, value in asked.items():
        if value != "auto":
            raise ValueError(
                f"{option} {value!r} was asked for, but {why}, and the stand-in 'regions', which 'auto' would take, "
                f"has none; name the segmenter 'regions' if it is meant"
            )
    return load_segmenter("regions", backend=backend)


def _check_device(name: str, missing: list[str]) -> None:
    """Refuse a device that is not here, also where nothing is to run on it."""
    if name in ("auto", "cpu"):
        return
    if missing:
        raise ValueError(f"device must be 'auto' or 'cpu' where {missing[0]} is missing, got {name!r}")
    from esam_fast.segmenters.sam.devices import resolve_device

    resolve_device(name)
