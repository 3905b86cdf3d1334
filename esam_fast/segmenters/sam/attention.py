"""Self-attention of SAM's image encoder, with its relative positions.

Letters: B images or windows, h x w tokens of each, H heads, d channels a head, C = H * d.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from esam_fast.segmenters.sam.linear import linear
from esam_fast.segmenters.sam.threads import each_on_a_thread

_LOGITS = 2**19  # that a thread of a CPU makes at a time: 2 MB, which stay in its cache


@dataclass(frozen=True)
class Attention:
    """Attention over the whole image or within windows.

    The logit of query (y, x) and key (v, u) is q k / sqrt(d) + q rows[y, v] + q cols[x, u].

    Attributes:
        heads: H.
        window: side of the windows that attention stays in; 0: the whole image.
        positions: rows [h, h, d] and cols [w, w, d]; None: there are none.
        outside: [3 C], query, key and value of the zeros that fill up windows beyond the image; None: 0.
        in_chunks: whether the work is divided into pieces that fit a CPU's cache.
    """

    heads: int
    window: int
    positions: tuple[Tensor, Tensor] | None
    outside: Tensor | None
    in_chunks: bool

    def __call__(self, qkv: Tensor) -> Tensor:
        """Queries, keys and values [1, h, w, 3 C] to [1, h, w, C]."""
        if self.in_chunks:
            return self._by_window(qkv[0])[None] if self.window else self._by_query(qkv)
        if self.window:
            return _out_of_windows(self._masked(self._into_windows(qkv)), *qkv.shape[1:3])
        return self._masked(qkv) if self.positions is None else self._extended(qkv, *self.positions)

    def _masked(self, qkv: Tensor) -> Tensor:
        """[B, h, w, 3 C] to [B, h, w, C]; the positions as a mask [B, H, hw, hw]."""
        q, k, v = self._split(qkv)  # [B, H, h, w, d]
        mask = None
        if self.positions is not None:
            by_row, by_col = _by_position(q, *self.positions)
            mask = (by_row[..., :, None] + by_col[..., None, :]).flatten(2, 3).flatten(3)
        q, k, v = (each.flatten(2, 3) for each in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return out.transpose(1, 2).reshape(*qkv.shape[:3], -1)

    def _extended(self, qkv: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
        """`_masked` without the mask, which would take a gigabyte for a whole image.

        The same sums come out of longer vectors: the query goes on with its logits by row and by column, the key with
        a 1 in its row and a 1 in its column.
        """
        q, k, v = self._split(qkv)
        h, w, d = q.shape[2:]
        row = torch.eye(h, dtype=q.dtype, device=q.device)[:, None].expand(h, w, h)
        col = torch.eye(w, dtype=q.dtype, device=q.device).expand(h, w, w)
        q = torch.cat([q * d**-0.5, *_by_position(q, rows, cols)], -1).flatten(2, 3)  # [B, H, hw, d + h + w]
        k = torch.cat([k, torch.cat([row, col], -1).expand(*k.shape[:2], -1, -1, -1)], -1).flatten(2, 3)
        v = F.pad(v.flatten(2, 3), (0, h + w))
        out = F.scaled_dot_product_attention(q, k, v, scale=1.0)[..., :d]
        return out.transpose(1, 2).reshape(*qkv.shape[:3], -1)

    def _by_window(self, qkv: Tensor) -> Tensor:
        """[h, w, 3 C] to [h, w, C], a window at a time."""
        h, w, c = qkv.shape
        side = self.window
        out = qkv.new_empty(h, w, c // 3)

        def window(corner: tuple[int, int]) -> None:
            at = tuple(slice(start, start + side) for start in corner)
            inside = qkv[at]
            found = self._masked(self._filled(inside[None], side, side))
            out[at] = found[0, : inside.shape[0], : inside.shape[1]]

        each_on_a_thread(window, [(y, x) for y in range(0, h, side) for x in range(0, w, side)])
        return out

    def _by_query(self, qkv: Tensor) -> Tensor:
        """[1, h, w, 3 C] to [1, h, w, C], some queries of a head at a time; logits in float32."""
        q, k, v = (each[0] for each in self._split(qkv))  # [H, h, w, d]
        positions = None if self.positions is None else _by_position(q[None], *self.positions)
        heads, h, w, d = q.shape
        k, v = k.flatten(1, 2).float().contiguous(), v.flatten(1, 2).mT.float().contiguous()  # [H, hw, d], [H, d, hw]
        out = qkv.new_empty(h, w, heads, d)
        step = max(1, _LOGITS // (h * w * w))

        def queries(at: tuple[int, int]) -> None:
            head, y = at
            rows = slice(y, y + step)
            logits = linear(q[head, rows].float() * d**-0.5, k[head])  # [step, w, hw]
            if positions is not None:
                by_row, by_col = (each[0, head, rows] for each in positions)
                logits.unflatten(-1, (h, w)).add_(by_row[..., None]).add_(by_col[..., None, :])
            out[rows, :, head] = linear(torch.softmax(logits, -1), v[head])

        each_on_a_thread(queries, [(head, y) for head in range(heads) for y in range(0, h, step)])
        return out.flatten(2)[None]

    def _split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, h, w, 3 C] as [B, H, h, w, d] each."""
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(3, 0, 4, 1, 2, 5)
        return q, k, v

    def _into_windows(self, qkv: Tensor) -> Tensor:
        """[1, h, w, 3 C] as [windows, side, side, 3 C]."""
        side = self.window
        h, w = (-(-n // side) * side for n in qkv.shape[1:3])
        qkv = self._filled(qkv, h, w)
        return qkv.view(h // side, side, w // side, side, -1).transpose(1, 2).flatten(0, 1)

    def _filled(self, qkv: Tensor, h: int, w: int) -> Tensor:
        """[1, h', w', 3 C] filled up at the bottom and on the right to [1, h, w, 3 C]."""
        if qkv.shape[1:3] == (h, w):
            return qkv
        full = qkv.new_zeros(1, h, w, qkv.shape[-1]) if self.outside is None else self.outside.repeat(1, h, w, 1)
        full[:, : qkv.shape[1], : qkv.shape[2]] = qkv
        return full


def _by_position(q: Tensor, rows: Tensor, cols: Tensor) -> tuple[Tensor, Tensor]:
    """Logits by row and by column of the key, [B, H, h, w, h] and [B, H, h, w, w], of queries [B, H, h, w, d]."""
    return torch.einsum("bnhwd,hkd->bnhwk", q, rows), torch.einsum("bnhwd,wkd->bnhwk", q, cols)


def _out_of_windows(x: Tensor, h: int, w: int) -> Tensor:
    """[windows, side, side, C] as [1, h, w, C]."""
    side = x.shape[1]
    across = -(-w // side)
    x = x.view(-1, across, side, side, x.shape[-1]).transpose(1, 2)
    return x.reshape(1, -1, across * side, x.shape[-1])[:, :h, :w]
