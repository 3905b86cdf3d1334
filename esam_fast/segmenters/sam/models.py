"""SAM models from their checkpoints, by segment_anything's names or by transformers'."""

from __future__ import annotations

import pickle
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import segment_anything
import torch
from torch import Tensor, nn

from esam_fast import _check, weights
from esam_fast.segmenters.sam import huggingface
from esam_fast.segmenters.sam.devices import resolve_device
from esam_fast.segmenters.sam.recognise import misfits
from esam_fast.segmenters.sam.segmenter import SamSegmenter

MEMORY = Path("/proc/meminfo")
# Of a container, in bytes, by the newer and the older kind of control groups; "max", or more than there is: none.
CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_WORK = 2**30  # bytes that embedding and decoding take beside the weights, about
WIDTH = "image_encoder.patch_embed.proj.weight"  # [channels, 3, 16, 16]
WIDTH_OF_2 = "image_encoder.trunk.patch_embed.proj.weight"  # SAM 2's, [channels, 3, 7, 7]
_MARKS = (WIDTH, WIDTH_OF_2, weights.TRANSFORMERS_MARK, weights.TRANSFORMERS_MARK_OF_2)
_USUAL = ("model.", "state_dict.", "module.", "model_state_dict.")  # taken where a checkpoint holds several SAMs
_NESTED = 4  # dictionaries within each other


def load_sam(
    model: str | None,
    checkpoint: str | Path,
    device: str = "auto",
    dtype: str = "auto",
    *,
    backend: str | None = None,
) -> SamSegmenter:
    """The segmenter for an official model.

    Args:
        model: "vit_b", "vit_l" or "vit_h"; None: the checkpoint's own, told by the width of its encoder.
        checkpoint: its file, .pth or .safetensors, or a folder as transformers' `save_pretrained` writes it. Nothing
            that a .pth may hold is run. The tensors' names tell whose they are; of transformers', a config.json
            beside them says how many layers and heads there are.
        device, dtype, backend: see `SamSegmenter`.

    Raises:
        ValueError: unknown model, device or dtype; or (WeightsError) the file is not a whole checkpoint of the model.
    """
    if model is not None:
        _check_name(model)
    path = weights.file_of(checkpoint)
    state = read_checkpoint(path)
    if _family(state) != "sam":
        raise weights.WeightsError(f"{path} is not a checkpoint of {model or 'SAM'}: it is one of SAM 2")
    theirs = weights.TRANSFORMERS_MARK in state
    if theirs:
        state = huggingface.official_state(state, path)
    if model is None:
        model = weights.model_of_width(path, _width(state))
    config = weights.config_of(path, "sam") if theirs else None
    sam = build(model) if config is None else huggingface.build(config, path.with_name("config.json"))
    if theirs and config is None:
        huggingface.set_eps(sam)
    load_weights(sam, state, model, path)
    segmenter = SamSegmenter(sam, device, dtype, name=f"sam:{model}", owned=True, backend=backend)
    segmenter.checkpoint = path
    return segmenter


def untrained(model: str, device: str = "auto", dtype: str = "auto", *, backend: str | None = None) -> SamSegmenter:
    """An official model with random weights: as fast as with any others, and good for nothing else.

    Args:
        model: "vit_b", "vit_l" or "vit_h".
        device, dtype, backend: see `SamSegmenter`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sam = segment_anything.sam_model_registry[model]().eval()
    return SamSegmenter(sam, device, dtype, name=f"sam:{model} with random weights", owned=True, backend=backend)


def largest_fitting(found: dict[str, Path], device: str = "auto") -> str | None:
    """The largest of the models whose weights are here that the device has memory for; None: none of them.

    Args:
        found: see `weights.available`: largest first.
        device: see `SamSegmenter`.
    """
    memory = free_memory(resolve_device(device))
    return next((model for model, path in found.items() if 2 * path.stat().st_size + _WORK <= memory), None)


def free_memory(device: torch.device) -> int:
    """Bytes that can be had on a device; on the host, with what Linux frees of its file caches when asked."""
    ask = getattr(getattr(torch, device.type, None), "mem_get_info", None)  # of CUDA, and of newer torch's XPU
    if ask is not None:
        return int(ask(device)[0])
    found = [sys.maxsize]  # of a system that tells nothing
    with suppress(OSError):
        told = re.search(rb"^MemAvailable: *([0-9]{1,18}) kB$", MEMORY.read_bytes(), re.MULTILINE)
        found += [int(told[1]) * 1024] if told else []
    for limit in CONTAINER_LIMITS:
        with suppress(OSError, ValueError):
            found.append(int(limit.read_text("ascii")))
    return min(found)


def build(model: str) -> nn.Module:
    """An official model without weights (on torch's meta device).

    Raises:
        ValueError: unknown model.
    """
    _check_name(model)
    with torch.device("meta"):
        return segment_anything.sam_model_registry[model]()


def _check_name(model: str) -> None:
    _check.choice("model", model, (name for name, entry in weights.MODELS.items() if entry.family == "sam"))


def family(checkpoint: str | Path) -> str:
    """Whose tensors a checkpoint holds, as `read_checkpoint` finds them: "sam2", else "sam"."""
    return _family(read_checkpoint(weights.file_of(checkpoint)))


def _family(state: dict[str, Tensor]) -> str:
    return "sam2" if state.keys() & {WIDTH_OF_2, weights.TRANSFORMERS_MARK_OF_2} else "sam"


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a SAM or SAM 2 in a checkpoint, on the host, by their official names or SAM's in transformers.

    They may be one dictionary, or wrapped as training leaves them: under a key such as "model" or "state_dict", their
    names behind a prefix such as "module.". They may be views of the file: copy what is to stay.

    Raises:
        WeightsError: no such file, a web page, cut off, larger than a SAM can be, or holding more than tensors.
        ModuleNotFoundError: it is .safetensors, and the package of this name is missing.
    """
    kind = weights.check_file(path)
    try:
        if kind == "safetensors":
            from safetensors.torch import load_file

            loaded: Any = load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=kind == "zip")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{path} needs {error.name}: pip install 'esam-fast[sam]'", name=error.name
        ) from error
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]{1,60})", str(error))
        what = f" ({named[1]})" if named else ""
        raise weights.WeightsError(
            f"{path} holds more than tensors{what}, which are not run: save the model's state_dict alone"
        ) from error
    except Exception as error:  # readers of damaged files raise whatever they trip over
        raise weights.WeightsError(
            f"{path} cannot be read: it is damaged, or not a checkpoint ({type(error).__name__})"
        ) from error
    return _unwrapped(path, loaded)


def _unwrapped(path: str | Path, loaded: Any) -> dict[str, Tensor]:
    """The dictionary of SAM's tensors in what a checkpoint holds; where there is no SAM, the outermost dictionary."""
    found = dict(_places(loaded, "", set()))
    place = next((place for place in ("", *_USUAL) if place in found), None)
    if place is None and len(found) > 1:
        raise weights.WeightsError(f"{path} holds several SAMs: {', '.join(sorted(found)[:4])}; save one of them alone")
    state = found[place] if place is not None else next(iter(found.values()), loaded)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise weights.WeightsError(f"{path} is not a checkpoint: expected one dictionary of tensors")
    return state


def _places(value: Any, place: str, seen: set[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where SAMs are in nested dictionaries, as "key.prefix", and their values by names without that."""
    if not isinstance(value, dict) or id(value) in seen or place.count(".") > _NESTED:
        return
    seen.add(id(value))
    for key, inner in value.items():
        mark = next((mark for mark in _MARKS if isinstance(key, str) and key.endswith(mark)), None)
        if mark is not None:
            prefix = key.removesuffix(mark)
            names = [name for name in value if isinstance(name, str) and name.startswith(prefix)]
            yield place + prefix, {name.removeprefix(prefix): value[name] for name in names}
        elif isinstance(inner, dict):
            yield from _places(inner, f"{place}{key}.", seen)


def load_weights(sam: nn.Module, state: dict[str, Tensor], model: str, path: str | Path) -> None:
    """Give a model (from `build`, or SAM 2's) copies of its tensors.

    Raises:
        WeightsError: they are another model's.
    """
    if WIDTH in state and weights.MODELS[model].family == "sam":
        weights.check_width(path, model, _width(state))
    expected = sam.state_dict()
    if wrong := misfits(state, expected):
        raise weights.WeightsError(
            f"{path} is not a checkpoint of {model}: {len(wrong)} tensors do not fit, {wrong[0][:80]} for one"
        )
    sam.load_state_dict({name: state[name].clone() for name in expected}, assign=True)


def _width(state: dict[str, Tensor]) -> int:
    """Channels of the image encoder; 0: not told."""
    return state[WIDTH].shape[0] if WIDTH in state and state[WIDTH].dim() else 0
