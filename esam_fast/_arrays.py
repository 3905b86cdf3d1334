"""NumPy arrays on the host, torch tensors on a device: the few things that are done with either.

A mask's words are uint64 in NumPy and int64 in torch, whose uint64 supports few operations; the bits are the same.
torch is imported only where a tensor has been handed in or a device named.
"""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array: TypeAlias = Any  # a NumPy array, or a torch tensor on any device; torch's own type may not be here
Words: TypeAlias = NDArray[np.uint64]
Int16s: TypeAlias = NDArray[np.int16]
Int32s: TypeAlias = NDArray[np.int32]
Int64s: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Bytes: TypeAlias = NDArray[np.uint8]
Masks: TypeAlias = tuple[Array, Int64s, Int32s, int, int]  # `PackedMasks.raw`: words [N, W], area [N], box [N, 4], h, w
KernelArguments: TypeAlias = tuple[Any, ...]  # each an array, a number, or masks as `PackedMasks.raw`
Device: TypeAlias = Any  # where arrays live: None for NumPy, else a torch.device, or its name


def is_tensor(value: object) -> bool:
    """Whether a value is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def device_of(value: Array) -> Device:
    """Where an array lives: None for NumPy, else the tensor's device."""
    return value.device if is_tensor(value) else None


def host(value: Array) -> NDArray[Any]:
    """An array as NumPy, copied from its device if it is a tensor."""
    return value.detach().cpu().numpy() if is_tensor(value) else value


def host_words(words: Array) -> NDArray[np.uint64]:
    """A mask's words, or those of many, in NumPy's dtype."""
    return host(words).view(np.uint64)


def named(device: Any) -> Device:
    """The torch device of this name, if values can be put there.

    Raises:
        TypeError: no name. ValueError: torch knows no such device, it is not here, or torch itself is not.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise ValueError(f"device {device!r} is not available: torch is not installed") from None
    if not isinstance(device, (str, torch.device)):
        raise TypeError(f"device must be the name of a device of torch, got {type(device).__name__}")
    try:
        found = torch.device(device)
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"device must be the name of a device of torch, as 'cpu' or 'cuda:0', got {str(device)[:80]!r}"
        ) from error
    if found.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(f"device {str(device)!r} is not available: torch finds no GPU")
        if found.index is None:
            found = torch.device("cuda", torch.cuda.current_device())
    try:
        torch.empty(1, device=found)
    except Exception as error:  # each backend has its own way to say that it is not here
        raise ValueError(f"device {str(device)!r} is not available: torch cannot use it here") from error
    if found.type == "meta":
        raise ValueError(f"device {str(device)!r} is not available: it holds no values")
    return found


def move(value: Array, device: Device) -> Array:
    """An array where it is wanted: as NumPy for None, else as a tensor on this device."""
    if device is None:
        return host(value)
    if is_tensor(value):
        return value.to(device)
    import torch

    array = np.ascontiguousarray(value)
    array = array.view(np.int64) if array.dtype == np.uint64 else array
    return torch.from_numpy(array if array.flags.writeable else array.copy()).to(device)


def empty(like: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """An array that lives where `like` does, its values undefined."""
    return like.new_empty(shape, dtype=_torch_dtype(dtype)) if is_tensor(like) else np.empty(shape, dtype)


def copy(value: Array) -> Array:
    """A copy in the same place."""
    return value.clone() if is_tensor(value) else value.copy()


def take(value: Array, indices: NDArray[Any]) -> Array:
    """Rows of an array at NumPy indices (integers, or a bool per row)."""
    if not is_tensor(value):
        return value[indices]
    rows = np.flatnonzero(indices) if indices.dtype == np.bool_ else indices
    return value[move(rows.astype(np.int64), value.device)]


def bits_at(words: Array, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Bits `pixels` [P] of each row of words [N, W]: bool [N, P], in NumPy; no others leave a device."""
    word, bit = np.divmod(pixels, 64)
    if not is_tensor(words):
        return (words[:, word] >> bit.astype(np.uint64) & np.uint64(1)).astype(np.bool_)
    found = words[:, move(word, words.device)] >> move(bit, words.device) & 1
    return host(found.bool())


def concatenate(parts: list[Array]) -> Array:
    """Arrays of one place, one after the other."""
    return sys.modules["torch"].cat(parts) if is_tensor(parts[0]) else np.concatenate(parts)


def join_rows(rows: Array, groups: NDArray[np.int64], n: int) -> Array:
    """Words [N, W] of disjoint masks united by group int64 [N]: words [n, W]."""
    if is_tensor(rows):  # the sum of disjoint bits is their union
        return rows.new_zeros((n, rows.shape[1])).index_add_(0, move(groups, rows.device), rows)
    joined = np.zeros((n, rows.shape[1]), rows.dtype)
    np.bitwise_or.at(joined, groups, rows)
    return joined


def has_dtype(value: Array, dtype: DTypeLike) -> bool:
    """Whether an array, or a tensor, has this dtype (uint64: int64 in a tensor)."""
    return value.dtype == (_torch_dtype(dtype) if is_tensor(value) else np.dtype(dtype))


def _torch_dtype(dtype: DTypeLike) -> Any:
    name = np.dtype(dtype).name
    return getattr(sys.modules["torch"], "int64" if name == "uint64" else name)
