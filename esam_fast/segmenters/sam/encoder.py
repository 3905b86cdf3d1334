"""SAM's image encoder: the official ViT's weights in a forward of our own, or any other encoder as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


@dataclass(frozen=True)
class _Norm:
    """Normalisation over the last dimension, in float32; its result is in `dtype`."""

    weight: Tensor
    bias: Tensor
    eps: float
    dtype: torch.dtype

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps).to(self.dtype)


@dataclass(frozen=True)
class _Linear:
    """x W^T + b over the last dimension."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


@dataclass(frozen=True)
class _Attention:
    """Self-attention over h x w tokens with decomposed relative positions.

    The logit of query (y, x) and key (v, u) is q k / sqrt(d) + q rows[y, v] + q cols[x, u].
    """

    qkv: _Linear
    proj: _Linear
    heads: int
    rows: Tensor | None  # [h, h, d]; None without relative positions
    cols: Tensor | None  # [w, w, d]

    def __call__(self, x: Tensor, *, whole: bool) -> Tensor:
        """[B, h, w, C] to the same; `whole` where the tokens are the whole image and not a window."""
        b, h, w, _ = x.shape
        q, k, v = self.qkv(x).view(b, h * w, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # [B, H, hw, d] each
        if self.rows is None or self.cols is None:
            out = F.scaled_dot_product_attention(q, k, v)
        else:
            placed = q.unflatten(2, (h, w))  # [B, H, h, w, d]
            by_row = torch.einsum("bnhwd,hkd->bnhwk", placed, self.rows)
            by_col = torch.einsum("bnhwd,wkd->bnhwk", placed, self.cols)
            if whole:
                out = _attend_to_whole(q, k, v, by_row, by_col)
            else:
                mask = (by_row[..., :, None] + by_col[..., None, :]).reshape(b, self.heads, h * w, h * w)
                out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.proj(out.transpose(1, 2).reshape(b, h, w, -1))


def _attend_to_whole(q: Tensor, k: Tensor, v: Tensor, by_row: Tensor, by_col: Tensor) -> Tensor:
    """Attention of [B, H, hw, d] with logits by row and by column of the key, [B, H, h, w, h] and [B, H, h, w, w].

    A mask of hw x hw logits for every head would take a gigabyte. The same sums come out of longer vectors: the query
    goes on with its logits by row and by column, the key with a 1 in its row and a 1 in its column.
    """
    d, h, w = q.shape[-1], by_row.shape[-1], by_col.shape[-1]
    row = torch.eye(h, dtype=q.dtype, device=q.device).repeat_interleave(w, 0)  # [hw, h]
    col = torch.eye(w, dtype=q.dtype, device=q.device).repeat(h, 1)  # [hw, w]
    place = torch.cat([row, col], -1).expand(*k.shape[:2], -1, -1)
    q = torch.cat([q * d**-0.5, by_row.flatten(2, 3), by_col.flatten(2, 3)], -1)  # [B, H, hw, d + h + w]
    k = torch.cat([k, place], -1)
    return F.scaled_dot_product_attention(q, k, F.pad(v, (0, h + w)), scale=1.0)[..., :d]


@dataclass(frozen=True)
class _Block:
    """One layer of the ViT."""

    norm1: _Norm
    attention: _Attention
    norm2: _Norm
    lin1: _Linear
    act: nn.Module
    lin2: _Linear
    window: int  # side of the windows that attention stays in; 0: the whole image

    def __call__(self, x: Tensor) -> Tensor:  # float32 [1, h, w, C], changed
        y = self.norm1(x)
        if self.window:
            windows = self.attention(_into_windows(y, self.window), whole=False)
            x += _out_of_windows(windows, x.shape[1], x.shape[2])
        else:
            x += self.attention(y, whole=True)
        x += self.lin2(self.act(self.lin1(self.norm2(x))))
        return x


def _into_windows(x: Tensor, side: int) -> Tensor:
    """[1, h, w, C] as [windows, side, side, C], filled up with zeros at the bottom and on the right."""
    _, h, w, c = x.shape
    x = F.pad(x, (0, 0, 0, -w % side, 0, -h % side))
    return x.view(x.shape[1] // side, side, -1, side, c).transpose(1, 2).reshape(-1, side, side, c)


def _out_of_windows(x: Tensor, h: int, w: int) -> Tensor:
    """[windows, side, side, C] as [1, h, w, C]."""
    side = x.shape[1]
    across = -(-w // side)
    x = x.view(-1, across, side, side, x.shape[-1]).transpose(1, 2)
    return x.reshape(1, -1, across * side, x.shape[-1])[:, :h, :w]


class VitEncoder:
    """An official ImageEncoderViT: products in `dtype`, the sum that runs through the layers and all norms in float32.

    Args:
        official: the encoder. Weights already on the device in `dtype` are shared, others converted.
        device, dtype: of the computation.
        compiled: whether torch.compile is to fuse it; that takes a while on the first image.
    """

    def __init__(self, official: nn.Module, device: torch.device, dtype: torch.dtype, *, compiled: bool) -> None:
        self._device, self._dtype = device, dtype
        patches = official.patch_embed.proj
        self._patches = self._weight(patches.weight), self._weight(patches.bias)
        self._stride = patches.stride
        self._position = None if official.pos_embed is None else self._exact(official.pos_embed)
        self._blocks = [self._block(block) for block in official.blocks]
        first, norm1, second, norm2 = official.neck
        last = replace(self._norm(norm2), dtype=torch.float32)
        self._neck = self._weight(first.weight), self._norm(norm1), self._weight(second.weight), last
        self._run = torch.compile(self._forward) if compiled else self._forward

    def __call__(self, image: Tensor) -> tuple[Tensor, None]:
        """The embedding float32 [1, C, h, w] of an image float32 [1, 3, side, side], normalised and padded."""
        return self._run(image), None

    def _forward(self, image: Tensor) -> Tensor:
        x = F.conv2d(image.to(self._dtype), *self._patches, stride=self._stride).permute(0, 2, 3, 1).float()
        x = x.contiguous() if self._position is None else x + self._position  # [1, h, w, C]
        for block in self._blocks:
            x = block(x)
        reduce, norm1, mix, norm2 = self._neck
        x = norm1(F.linear(x.to(self._dtype), reduce.flatten(1)).float())
        x = F.conv2d(x.permute(0, 3, 1, 2), mix, padding=1)
        return norm2(x.permute(0, 2, 3, 1).float()).permute(0, 3, 1, 2).contiguous()

    def _block(self, official: nn.Module) -> _Block:
        attention, mlp = official.attn, official.mlp
        rows = cols = None
        if attention.use_rel_pos:
            h, w = ((len(table) + 1) // 2 for table in (attention.rel_pos_h, attention.rel_pos_w))
            rows, cols = self._relative(attention.rel_pos_h, h), self._relative(attention.rel_pos_w, w)
        return _Block(
            self._norm(official.norm1),
            _Attention(self._linear(attention.qkv), self._linear(attention.proj), attention.num_heads, rows, cols),
            self._norm(official.norm2),
            self._linear(mlp.lin1),
            mlp.act,
            self._linear(mlp.lin2),
            official.window_size,
        )

    def _relative(self, table: Tensor, n: int) -> Tensor:
        """[n, n, d]: the entry of a table [2 n - 1, d] for each position and each other."""
        here = torch.arange(n, device=table.device)
        return self._weight(table[here[:, None] - here + n - 1])

    def _norm(self, norm: nn.Module) -> _Norm:
        return _Norm(self._exact(norm.weight), self._exact(norm.bias), norm.eps, self._dtype)

    def _linear(self, linear: nn.Linear) -> _Linear:
        return _Linear(self._weight(linear.weight), None if linear.bias is None else self._weight(linear.bias))

    def _weight(self, tensor: Tensor) -> Tensor:
        return tensor.detach().to(self._device, self._dtype)

    def _exact(self, tensor: Tensor) -> Tensor:
        return tensor.detach().to(self._device, torch.float32)


class ForeignEncoder:
    """Any other image encoder, by its own forward; in half precision through torch's autocast.

    Args:
        module: the encoder, float32. It may answer with a tuple, embedding first, extras for its decoder second.
        device: where it is. dtype: of the computation.
    """

    def __init__(self, module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        self._module, self._device, self._dtype = module, device, dtype

    def __call__(self, image: Tensor) -> tuple[Tensor, object]:
        """See `VitEncoder`; and what else the encoder returns."""
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            answer = self._module(image)
        embedding, *extras = answer if isinstance(answer, (tuple, list)) else (answer,)
        return embedding.float(), extras[0] if extras else None
