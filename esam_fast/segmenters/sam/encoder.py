"""SAM's image encoder: the official ViT's weights in a forward of our own, or any other encoder as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from esam_fast.segmenters.sam.attention import Attention
from esam_fast.segmenters.sam.devices import autocast
from esam_fast.segmenters.sam.linear import linear

_ROWS = 1024


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
        return linear(x, self.weight, self.bias)


@dataclass(frozen=True)
class _Block:
    """One layer of the ViT."""

    norm1: _Norm
    qkv: _Linear
    attention: Attention
    proj: _Linear
    norm2: _Norm
    lin1: _Linear
    act: nn.Module
    lin2: _Linear

    def __call__(self, x: Tensor, qkv: Tensor) -> None:
        """Changes x float32 [1, h, w, C]; qkv [1, h, w, 3 C] is its buffer."""
        tokens, parts = x.flatten(0, 2), qkv.flatten(0, 2)
        step = _ROWS if x.device.type == "cpu" else len(tokens)
        chunks = [slice(i, i + step) for i in range(0, len(tokens), step)]
        for rows in chunks:
            parts[rows] = self.qkv(self.norm1(tokens[rows]))
        x += self.proj(self.attention(qkv))
        for rows in chunks:
            tokens[rows] += self.lin2(self.act(self.lin1(self.norm2(tokens[rows]))))


class VitEncoder:
    """An official ImageEncoderViT: products in `dtype`, the sum that runs through the layers and all norms in float32.

    Args:
        official: the encoder. Weights already on the device in `dtype` are shared, others converted.
        device, dtype: of the computation.
        compiled: whether torch.compile is to fuse it; that takes a while on the first image, also of a copy.
    """

    def __init__(self, official: nn.Module, device: torch.device, dtype: torch.dtype, *, compiled: bool) -> None:
        self._device, self._dtype = device, dtype
        self._in_chunks = device.type == "cpu" and not compiled
        patches = official.patch_embed.proj
        self._patches = self._weight(patches.weight), self._weight(patches.bias)
        self._stride = patches.stride
        self._position = None if official.pos_embed is None else self._exact(official.pos_embed)
        self._blocks = [self._block(block) for block in official.blocks]
        first, norm1, second, norm2 = official.neck
        last = replace(self._norm(norm2), dtype=torch.float32)
        self._neck = self._weight(first.weight), self._norm(norm1), self._weight(second.weight), last
        self._compiled = compiled
        self._run = torch.compile(self._forward) if compiled else self._forward

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_run"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._run = torch.compile(self._forward) if self._compiled else self._forward

    def __call__(self, image: Tensor) -> tuple[Tensor, None]:
        """The embedding float32 [1, C, h, w] of an image float32 [1, 3, side, side], normalised and padded."""
        return self._run(image), None

    def _forward(self, image: Tensor) -> Tensor:
        x = F.conv2d(image.to(self._dtype), *self._patches, stride=self._stride)
        x = x.permute(0, 2, 3, 1).float().contiguous()  # [1, h, w, C]
        if self._position is not None:
            x = x + self._position
        qkv = x.new_empty(*x.shape[:3], 3 * x.shape[3], dtype=self._dtype)
        for block in self._blocks:
            block(x, qkv)
        reduce, norm1, mix, norm2 = self._neck
        x = norm1(F.linear(x.to(self._dtype), reduce.flatten(1)).float())
        x = F.conv2d(x.permute(0, 3, 1, 2), mix, padding=1)
        return norm2(x.permute(0, 2, 3, 1).float()).permute(0, 3, 1, 2).contiguous()

    def _block(self, official: nn.Module) -> _Block:
        attention, mlp = official.attn, official.mlp
        positions = None
        if attention.use_rel_pos:
            h, w = ((len(table) + 1) // 2 for table in (attention.rel_pos_h, attention.rel_pos_w))
            positions = self._relative(attention.rel_pos_h, h), self._relative(attention.rel_pos_w, w)
        qkv = self._linear(attention.qkv)
        return _Block(
            self._norm(official.norm1),
            qkv,
            Attention(attention.num_heads, official.window_size, positions, qkv.bias, self._in_chunks),
            self._linear(attention.proj),
            self._norm(official.norm2),
            self._linear(mlp.lin1),
            mlp.act,
            self._linear(mlp.lin2),
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
        with autocast(self._device, None if self._dtype == torch.float32 else self._dtype):
            answer = self._module(image)
        embedding, *extras = answer if isinstance(answer, (tuple, list)) else (answer,)
        return embedding.float(), extras[0] if extras else None
