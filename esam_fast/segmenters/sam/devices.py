"""What a device of torch's can do: which there are, which number formats serve on them, and autocast."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from esam_fast import _arrays

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_device(name: Any) -> torch.device:
    """The device of this name; "auto": a GPU if there is one.

    Raises:
        TypeError, ValueError: see `_arrays.named`.
    """
    if isinstance(name, str) and name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return _arrays.named(name)


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """The number format of this name; "auto": bfloat16 where the hardware multiplies in it, else float32.

    Raises:
        ValueError: there is no such format, or not on this device.
    """
    if name == "auto":
        name = "bfloat16" if _multiplies_bfloat16(device) else "float32"
    if name not in _DTYPES:
        raise ValueError(f"dtype must be 'auto' or one of {', '.join(_DTYPES)}, got {name!r}")
    if name == "float16" and device.type == "cpu":
        raise ValueError("dtype 'float16' needs a GPU; on a CPU, 'bfloat16' and 'float32' serve")
    return _DTYPES[name]


def works_on_masks(device: torch.device) -> bool:
    """Whether masks stay on a device. Apple's has no float64 and Intel's may have none, which their decisions need."""
    return device.type == "cuda"


def has_double(device: torch.device) -> bool:
    """Whether float64 is sure to be there."""
    return device.type in ("cpu", "cuda")


def autocast(device: torch.device, dtype: torch.dtype | None = None) -> AbstractContextManager[Any]:
    """torch's autocast to a number format; to none: whatever the caller has switched on is off.

    Raises:
        ValueError: torch has no autocast for this device.
    """
    try:
        return torch.autocast(device.type, dtype, enabled=dtype is not None)
    except RuntimeError as error:
        if dtype is None:
            return nullcontext()
        raise ValueError(f"dtype must be 'float32' on {device.type!r}, for which torch has no autocast") from error


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the hardware does, rather than torch on its behalf."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and supported is not None and bool(supported())
