"""Logits to bits, with area, box and stability; areas and boxes of masks already packed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from esam_fast._arrays import Array, Floats, Int32s, Int64s, Masks
from esam_fast._torch.bits import chunks, labels_of, pack, put, tensor, unpack


def pack_logits(
    logits: Array, rows: int, cols: int, offset: float, words: Array, area: Int64s, box: Int32s, stability: Floats
) -> None:
    """Threshold logits [N, h, w] at 0 inside the content: words, area, box, and stability [N]."""
    planes = tensor(logits)
    _, h, w = planes.shape
    level = torch.tensor(offset, dtype=torch.float32, device=planes.device)
    for part in chunks(len(planes), h * w):
        content = planes[part, :rows, :cols]
        bits = content > 0
        high, low = ((content > limit).sum((1, 2)) for limit in (level, -level))
        put(stability[part], torch.where(low > 0, high.double() / low.clamp(min=1), 0.0).float())
        put(words[part], pack(F.pad(bits, (0, w - cols, 0, h - rows)).flatten(1)))
        _measure(F.pad(bits, (0, w - cols, 0, h - rows)), area[part], box[part])


def measure(words: Array, h: int, w: int, area: Int64s, box: Int32s) -> None:
    """Area [N] and box [N, 4] of words [N, W]."""
    packed = tensor(words)
    for part in chunks(len(packed), h * w):
        _measure(unpack(packed[part], h * w).unflatten(1, (h, w)), area[part], box[part])


def to_labels(masks: Masks, labels: Array) -> None:
    """Which of the disjoint masks holds each pixel, -1 where none does: labels [h, w]."""
    words, _, _, h, w = masks
    put(labels, labels_of(tensor(words), (h, w)))


def _measure(bits: Tensor, area: Int64s, box: Int32s) -> None:
    _, h, w = bits.shape
    if h * w == 0:
        area[:], box[:] = 0, 0
        return
    columns, lines = bits.any(1), bits.any(2)  # [N, w], [N, h]
    edges = [_first(columns), _first(lines), w - _first(columns.flip(1)), h - _first(lines.flip(1))]
    put(area, bits.sum((1, 2)))
    put(box, (torch.stack(edges, 1) * lines.any(1)[:, None]).to(torch.int32))


def _first(hits: Tensor) -> Tensor:
    """Index of the first True of each row [N, n]: int64 [N]; 0 where there is none."""
    return hits.to(torch.uint8).argmax(1)
