"""Words to bits and back, and NumPy to tensors and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from esam_fast import _arrays
from esam_fast._arrays import Array

_AT_ONCE = 2**26  # bits unpacked at a time
_EXACT = 2**24  # whole numbers that float32 counts


def tensor(array: Array, like: Tensor | None = None) -> Tensor:
    """An array as a tensor: itself, or NumPy's on the CPU, or beside another tensor."""
    if _arrays.is_tensor(array):
        return array
    return _arrays.move(array, "cpu" if like is None else like.device)


def put(out: Array, values: Tensor) -> None:
    """Write values into an output: a tensor, or NumPy's, whose words are uint64."""
    if _arrays.is_tensor(out):
        out.copy_(values)
    else:
        (out.view(np.int64) if out.dtype == np.uint64 else out)[...] = values.cpu().numpy()


def unpack(words: Tensor, pixels: int) -> Tensor:
    """The bits of words int64 [N, W]: bool [N, pixels]."""
    if words.numel() == 0:  # no masks, or of no pixels
        return words.new_zeros((len(words), pixels), dtype=torch.bool)
    octets = words.contiguous().view(torch.uint8)[..., None]  # little-endian
    bits = (octets >> torch.arange(8, dtype=torch.uint8, device=words.device)) & 1
    return bits.view(torch.bool).flatten(1)[:, :pixels]


def pack(bits: Tensor) -> Tensor:
    """Words int64 [N, ceil(pixels / 64)] of bool [N, pixels]."""
    if bits.numel() == 0:  # no masks, or of no pixels
        return torch.zeros((len(bits), -(-bits.shape[1] // 64)), dtype=torch.int64, device=bits.device)
    octets = F.pad(bits, (0, -bits.shape[1] % 64)).unflatten(1, (-1, 8)).to(torch.uint8)
    weights = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8, device=bits.device)
    return (octets * weights).sum(-1, dtype=torch.uint8).view(torch.int64)


def chunks(n: int, pixels: int) -> list[slice]:
    """Slices of n masks, each small enough to be unpacked."""
    size = max(1, _AT_ONCE // max(1, pixels))
    return [slice(i, min(n, i + size)) for i in range(0, n, size)]


def common(a: Tensor, b: Tensor, pixels: int) -> Tensor:
    """Common pixels of every mask of words a [N, W] with every one of b [M, W]: float [N, M], whole numbers.

    A matrix product of zeros and ones, added up in float32: exact up to 2 ** 24, in TF32 too; more pixels are taken
    part by part, and the parts added up in float64.
    """
    if pixels > _EXACT:
        step = _EXACT // 64
        parts = [slice(first, first + step) for first in range(0, a.shape[1], step)]
        return sum(common(a[:, part], b[:, part], _EXACT).double() for part in parts)  # pad bits are 0
    out = torch.empty(len(a), len(b), device=a.device)
    for i in chunks(len(a), pixels):
        left = unpack(a[i], pixels).float()
        for j in chunks(len(b), pixels):
            out[i, j] = left @ unpack(b[j], pixels).float().T
    return out


def iou(inter: Tensor, area_a: Tensor, area_b: Tensor) -> Tensor:
    """IoU float64 [N, M] of whole numbers inter [N, M], area_a int64 [N], area_b int64 [M]; 0 where the union is 0."""
    inter = inter.double()
    union = area_a[:, None].double() + area_b[None].double() - inter
    return torch.where(union > 0, inter / union, 0.0)


def labels_of(words: Tensor, shape: tuple[int, int]) -> Tensor:
    """int32 [h, w]: which of the disjoint masks holds each pixel, -1 where none does."""
    pixels = shape[0] * shape[1]
    labels = torch.full((pixels,), -1, dtype=torch.int32, device=words.device)
    for part in chunks(len(words), pixels):
        bits = unpack(words[part], pixels)
        found = bits.to(torch.uint8).argmax(0).to(torch.int32) + part.start
        labels = torch.where(bits.any(0), found, labels)
    return labels.view(shape)
