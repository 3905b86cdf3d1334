"""Official SAM models from their checkpoints."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import segment_anything
import torch
from torch import Tensor, nn

from esam_fast import weights
from esam_fast.segmenters.sam.segmenter import SamSegmenter, resolve_device

_WORK = 2**30  # bytes that embedding and decoding take beside the weights, about
_WIDTH = "image_encoder.patch_embed.proj.weight"  # [channels, 3, 16, 16]


def load_sam(
    model: str | None, checkpoint: str | Path, device: str = "auto", dtype: str = "auto", *, compiled: bool = False
) -> SamSegmenter:
    """The segmenter for an official model.

    Args:
        model: "vit_b", "vit_l" or "vit_h"; None: the checkpoint's own, told by the width of its encoder.
        checkpoint: its file, .pth or .safetensors. A .pth is read without running anything that it may hold.
        device, dtype, compiled: see `SamSegmenter`.

    Raises:
        ValueError: unknown model, device or dtype; or (WeightsError) the file is not a whole checkpoint of the model.
    """
    if model is not None and model not in weights.MODELS:
        raise ValueError(f"model must be one of {', '.join(weights.MODELS)}, got {model!r}")
    state = read_checkpoint(checkpoint)
    if model is None:
        model = weights.model_of_width(checkpoint, len(state[_WIDTH]) if _WIDTH in state else 0)
    sam = build(model)
    load_weights(sam, state, model, checkpoint)
    return SamSegmenter(sam, device, dtype, name=f"sam:{model}", compiled=compiled)


def untrained(model: str, device: str = "auto", dtype: str = "auto") -> SamSegmenter:
    """An official model with random weights: as fast as with any others, and good for nothing else.

    Args:
        model: "vit_b", "vit_l" or "vit_h".
        device, dtype: see `SamSegmenter`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sam = segment_anything.sam_model_registry[model]().eval()
    return SamSegmenter(sam, device, dtype, name=f"sam:{model} with random weights")


def largest_fitting(found: dict[str, Path], device: str = "auto") -> str | None:
    """The largest of the models whose weights are here that the device has memory for; None: none of them.

    Args:
        found: see `weights.available`: largest first.
        device: see `SamSegmenter`.
    """
    memory = free_memory(resolve_device(device))
    return next((model for model, path in found.items() if 2 * path.stat().st_size + _WORK <= memory), None)


def free_memory(device: torch.device) -> int:
    """Free bytes on a device; on the host, of physical memory."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if not hasattr(os, "sysconf"):
        return sys.maxsize
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def build(model: str) -> nn.Module:
    """An official model without weights (on torch's meta device).

    Raises:
        ValueError: unknown model.
    """
    if model not in weights.MODELS:
        raise ValueError(f"model must be one of {', '.join(weights.MODELS)}, got {model!r}")
    with torch.device("meta"):
        return segment_anything.sam_model_registry[model]()


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, on the host.

    Raises:
        WeightsError: no such file, a web page, cut off, or holding more than tensors.
    """
    weights.check_file(path)
    with Path(path).open("rb") as file:
        is_pth = file.read(2) in (b"PK", b"\x80\x02")
    if not is_pth:
        from safetensors.torch import load_file

        return load_file(path)
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise weights.WeightsError(f"{path} holds more than tensors, and what else it holds is not run") from error
    except (RuntimeError, EOFError) as error:
        raise weights.WeightsError(f"{path} cannot be read: it is damaged, or not a checkpoint") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise weights.WeightsError(f"{path} is not a checkpoint: expected one dictionary of tensors")
    return state


def load_weights(sam: nn.Module, state: dict[str, Tensor], model: str, path: str | Path) -> None:
    """Give a model from `build` its tensors.

    Raises:
        WeightsError: they are another model's.
    """
    if _WIDTH in state:
        weights.check_width(path, model, len(state[_WIDTH]))
    expected = {name: tensor.shape for name, tensor in sam.state_dict().items()}
    wrong = [name for name, shape in expected.items() if name not in state or state[name].shape != shape]
    wrong += [name for name in state if name not in expected]
    if wrong:
        raise weights.WeightsError(
            f"{path} is not a checkpoint of {model}: {len(wrong)} tensors do not fit, {wrong[0]} for one"
        )
    sam.load_state_dict(state, assign=True)
