"""The image side of SAM's two-way transformer, folded into the tokens.

Each layer adds to the N image rows ("keys") a sum of M = heads x tokens vectors, weighed by its attention [M, N], and
normalises. Nothing ever needs the rows themselves. Written out, the keys of one prompt after some layers are

    keys = scale * features + vectors^T rows + offset            [C, N]

where `features` [C, N] and `offset` [C] belong to the image, and a prompt brings `scale` [N], `rows` [R, N] (the
attentions so far, scaled by every normalisation since) and `vectors` [R, C]. Attention sees the keys through
projections to d = 16 channels a head. Those of `features` are made once per image, so that a prompt meets them in 16
channels instead of 256; what the prompt itself added is a product with its R <= 112 rows.

Letters: B prompts, b of them at a time, H heads, T tokens, d channels a head, C channels, N image positions,
M = H * T, R = M * layers so far.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from esam_fast.segmenters.sam.linear import add_product, product


@dataclass
class ImageSide:
    """`features` and `offset` of one image, as they move through the layers.

    Attributes:
        features: [C, N]. position: [C, N], added to the keys wherever attention logits are made.
        heads: H.
        dtype: of what is kept per image and per prompt; tokens stay float32.
        offset: [C, 1]; None before the first layer, where it is 0 and `scale` is 1.
        spread: one a layer so far, [H, d + 1, C]: what makes that layer's vectors of its value vectors. The last
            channel of those is always 1 and carries the biases, since the attention of a head sums to 1.
    """

    features: Tensor
    position: Tensor
    heads: int
    dtype: torch.dtype
    offset: Tensor | None = None
    spread: list[Tensor] = field(default_factory=list)

    def scores(self, projection: nn.Linear) -> Scores:
        """This image's part in attention logits over the keys so projected."""
        weight, bias = self._split(projection)
        if self.offset is None:
            return Scores(weight, None, self.keep(weight @ (self.features + self.position) + bias))
        fixed = self.keep(weight @ (self.position + self.offset) + bias)
        return Scores(weight, self.keep(weight @ self.features), fixed)

    def values(self, projection: nn.Linear) -> Values:
        """This image's part in the values gathered from the keys so projected."""
        weight, bias = self._split(projection)
        fixed = bias if self.offset is None else weight @ self.offset + bias
        return Values(weight, self.keep((weight @ self.features).mT), fixed.mT)

    def close_layer(self, out_proj: nn.Linear, norm: nn.LayerNorm) -> Norm:
        """Add what the keys gathered from the tokens, normalise, and go on to the next layer."""
        bias = out_proj.bias if self.offset is None else out_proj.bias + self.offset[:, 0]
        constant = (bias / self.heads).expand(self.heads, 1, -1)
        spread = torch.cat([out_proj.weight.T.unflatten(0, (self.heads, -1)), constant], 1)  # [H, d + 1, C]
        centred = [w - w.mean(-1, keepdim=True) for w in (*self.spread, spread)]
        features = self.features - self.features.mean(0)
        self.features = features * norm.weight[:, None]
        self.offset = norm.bias[:, None]
        self.spread = [w * norm.weight for w in centred]
        across = [self.keep(2 * w @ features) for w in centred]
        return Norm(centred, norm.weight, across, features.square().sum(0), norm.eps)

    def keep(self, tensor: Tensor) -> Tensor:
        """In the dtype of what is kept for the image."""
        return tensor.to(self.dtype).contiguous()

    def _split(self, linear: nn.Linear) -> tuple[Tensor, Tensor]:
        """Weight [H, d, C] and bias [H, d, 1] of a linear layer, split by heads."""
        split = (self.heads, -1)
        return linear.weight.unflatten(0, split), linear.bias.unflatten(0, split)[..., None]


@dataclass(frozen=True)
class Scores:
    """One image's part in attention logits."""

    weight: Tensor  # [H, d, C]
    moving: Tensor | None  # [H, d, N], goes with a prompt's scale; None before the first layer
    fixed: Tensor  # [H, d, N]


@dataclass(frozen=True)
class Values:
    """One image's part in gathering values."""

    weight: Tensor  # [H, d, C]
    moving: Tensor  # [H, N, d], goes with a prompt's scale
    fixed: Tensor  # [H, 1, d]


@dataclass(frozen=True)
class Norm:
    """One image's part in the LayerNorm that closes a layer.

    The variance of scale * features + vectors^T rows comes from the squares and products of its summands; each is
    centred over the channels beforehand, so that the mean is 0.
    """

    spread: list[Tensor]  # one a layer so far, [H, d + 1, C]: from value vectors to centred vectors
    gain: Tensor  # [C]
    across: list[Tensor]  # one a layer so far, [H, d + 1, N]: 2 * spread @ centred features
    energy: Tensor  # float32 [N], squares of the centred features
    eps: float


class Keys:
    """The keys of a chunk of B prompts, as `scale`, `rows` and `vectors`; the buffers serve chunk after chunk.

    Args:
        batch: most prompts in a chunk. step: prompts whose image rows are worked on at a time.
        depth: layers. m: M. n: N.
    """

    def __init__(
        self, batch: int, step: int, depth: int, m: int, n: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._step, self._m = step, m
        self._rows = torch.empty(batch, depth * m, n, device=device, dtype=dtype)
        self._work = torch.empty(step, m, n, device=device, dtype=dtype)
        self._more_work = torch.empty(step, depth * m, n, device=device, dtype=dtype)
        self.scale = torch.empty(batch, n, device=device)  # [B, N]
        self.vectors = torch.empty(0)  # [B, R, C]
        self._values: list[Tensor] = []
        self._count = 0

    def begin(self, count: int) -> None:
        """Forget the chunk before. Of the next one, the first `count` prompts are real, the others fill it up."""
        self._count = count
        self._values = []

    @property
    def rows(self) -> Tensor:  # [B, R, N]
        return self._rows[:, : len(self._values) * self._m]

    def token_to_image(self, scores: Scores, values: Values, tokens: Tensor) -> Tensor:
        """What token vectors [B, H, T, d] gather from the keys: [B, T, H * d]."""
        gathered = torch.zeros_like(tokens)
        for part in self._parts():
            logits = self._logits(scores, tokens[part], part)  # [b, M, N]
            attention = torch.softmax(logits, -1, out=self._more_work[: len(logits), : logits.shape[1]])
            gathered[part] = self._gather(values, attention, part)
        return gathered.transpose(1, 2).flatten(2)

    def image_to_token(self, scores: Scores, norm: Norm, tokens: Tensor, values: Tensor) -> None:
        """Let the keys attend to token vectors [B, H, T, d] with values [B, H, T, d], add up and normalise."""
        each = [*self._values, F.pad(values, (0, 1), value=1.0)]  # [B, H, T, d + 1] a layer
        vectors = torch.cat([(v @ w).flatten(1, 2) for v, w in zip(each, norm.spread, strict=True)], 1)  # [B, R, C]
        gram = (vectors @ vectors.mT).to(self._rows.dtype)  # [B, R, R]
        r, m = vectors.shape[1], self._m
        for part in self._parts():
            rows, scale = self._rows[part, :r], self.scale[part, None]  # [b, R, N], [b, 1, N]
            logits = self._logits(scores, tokens[part], part).unflatten(1, tokens.shape[1:3])  # [b, H, T, N]
            torch.softmax(logits, 2, out=rows[:, r - m :].unflatten(1, tokens.shape[1:3]))
            products = self._more_work[: len(rows), :r]
            for i, (v, across) in enumerate(zip(each, norm.across, strict=True)):
                _per_head(v[part], across, products[:, i * m : (i + 1) * m])
            if not self._values:
                scale.fill_(1.0)
            add_product(products.mul_(scale), gram[part], rows).mul_(rows)
            energy = products.sum(1, keepdim=True, dtype=torch.float32) + norm.energy * scale.square()  # [b, 1, N]
            shrink = (energy / vectors.shape[2]).clamp_(min=0).add_(norm.eps).rsqrt_()
            rows.mul_(shrink)
            scale.mul_(shrink)
        self._values = each
        self.vectors = vectors * norm.gain

    def _parts(self) -> Iterator[slice]:
        """The prompts, `step` at a time."""
        return (slice(i, min(i + self._step, self._count)) for i in range(0, self._count, self._step))

    def _logits(self, scores: Scores, tokens: Tensor, part: slice) -> Tensor:
        """Attention logits [b, M, N] of token vectors [b, H, T, d], in the work buffer."""
        out = self._work[: len(tokens), : tokens.shape[1] * tokens.shape[2]]
        if scores.moving is None:
            return _per_head(tokens, scores.fixed, out)
        _per_head(tokens, scores.moving, out).mul_(self.scale[part, None])
        folded = (tokens @ scores.weight).flatten(1, 2) @ self.vectors[part].mT  # [b, M, R]
        add_product(out, folded.to(out.dtype), self.rows[part])
        return _per_head(tokens, scores.fixed, out, add=True)

    def _gather(self, values: Values, attention: Tensor, part: slice) -> Tensor:
        """The mean value under each token's attention [b, M, N] (changed): [b, H, T, d]."""
        if not self._values:
            return _gather_per_head(attention, values.moving) + values.fixed
        folded = product(attention, self.rows[part].mT).float() @ self.vectors[part]  # [b, M, C]
        own = folded.unflatten(1, (len(values.weight), -1)) @ values.weight.mT  # [b, H, T, d]
        attention.mul_(self.scale[part, None])
        return _gather_per_head(attention, values.moving) + own + values.fixed


def _per_head(tokens: Tensor, planes: Tensor, out: Tensor, add: bool = False) -> Tensor:
    """Token vectors [b, H, T, d] times one image's planes [H, d, N], into (or onto) out [b, H * T, N]."""
    tokens = tokens.to(planes.dtype)
    if len(tokens) == 1:
        heads = out[0].unflatten(0, tokens.shape[1:3])
        if add:
            heads.baddbmm_(tokens[0], planes)
        else:
            torch.bmm(tokens[0], planes, out=heads)
        return out
    product = _block_diagonal(tokens) @ planes.flatten(0, 1)  # all prompts and heads at once
    return out.add_(product) if add else out.copy_(product)


def _gather_per_head(attention: Tensor, planes: Tensor) -> Tensor:
    """Attention [b, H * T, N] times one image's planes [H, N, d]: float32 [b, H, T, d]."""
    heads = len(planes)
    attention = attention.unflatten(1, (heads, -1))
    if len(attention) == 1:
        return torch.bmm(attention[0], planes)[None].float()
    every = (attention @ planes.transpose(0, 1).flatten(1)).unflatten(-1, (heads, -1))  # [b, H, T, H, d]
    return torch.diagonal(every, dim1=1, dim2=3).movedim(-1, 1).float()


def _block_diagonal(tokens: Tensor) -> Tensor:
    """[b, H, T, d] as [b, H * T, H * d], each head in a block of its own."""
    b, heads, t, d = tokens.shape
    blocks = tokens.new_zeros(b, heads, t, heads, d)
    torch.diagonal(blocks, dim1=1, dim2=3).copy_(tokens.movedim(1, -1))
    return blocks.view(b, heads * t, heads * d)
