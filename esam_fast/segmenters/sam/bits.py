"""Mask logits to packed masks, where they are: the native op on the host, torch on a GPU."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from esam_fast.masks import Float, PackedMasks
from esam_fast.ops import pack_logits

_OFFSET = 1.0  # of the stability score


def pack(logits: Tensor, rows: int, cols: int) -> tuple[PackedMasks, Float]:
    """Threshold logits float32 [N, h, w] at 0 and pack them: the masks, and their stability float32 [N].

    rows, cols: the content, top left; bits outside are 0.
    """
    if logits.device.type == "cpu":
        return pack_logits(logits.numpy(), rows, cols, _OFFSET)
    return pack_with_torch(logits, rows, cols)


def pack_with_torch(logits: Tensor, rows: int, cols: int) -> tuple[PackedMasks, Float]:
    """`pack` by torch's own operations, on any device; the same result, to the bit."""
    h, w = logits.shape[1:]
    content = logits[:, :rows, :cols]
    bits = content > 0  # [N, rows, cols]
    high, low = ((content > level).sum((1, 2)) for level in (_OFFSET, -_OFFSET))
    stability = torch.where(low > 0, high.double() / low.clamp(min=1), 0.0).float()
    columns, lines = bits.any(1), bits.any(2)  # [N, cols], [N, rows]
    box = torch.stack([_first(columns), _first(lines), cols - _first(columns.flip(1)), rows - _first(lines.flip(1))], 1)
    box *= bits.any(2).any(1)[:, None]
    whole = F.pad(bits, (0, w - cols, 0, h - rows)).flatten(1)
    octets = F.pad(whole, (0, -(h * w) % 64)).unflatten(1, (-1, 8)).to(torch.uint8)
    weights = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8, device=logits.device)
    words = (octets * weights).sum(-1, dtype=torch.uint8)  # little-endian bytes of the words
    return PackedMasks(
        words.cpu().numpy().view("<u8").astype(np.uint64, copy=False),
        bits.sum((1, 2)).cpu().numpy(),
        box.to(torch.int32).cpu().numpy(),
        (h, w),
    ), stability.cpu().numpy()


def _first(hits: Tensor) -> Tensor:
    """Index of the first True of each row [N, n]: int64 [N]; 0 where there is none."""
    return hits.to(torch.uint8).argmax(1)
