"""SAM's mask upscaling, its first transposed convolution folded like the transformer before it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from esam_fast.segmenters.sam.folding import ImageSide, Keys
from esam_fast.segmenters.sam.linear import add_product, linear, product

_ACTIVATIONS = 2**19  # that a CPU makes at a time: 2 MB, which stay in its cache


@dataclass(frozen=True)
class UpscaledImage:
    """One image's part in the transposed convolutions."""

    moving: Tensor  # [N, 4 * C1], goes with a prompt's scale
    fixed: Tensor  # [N, 4 * C1]
    fine: Tensor | None  # [4 * N, 4 * C2], added to the second one's result; None: nothing


class Upscaling:
    """From keys to mask logits, channels last: every step is a matrix product over blocks of 2 x 2 pixels.

    Args:
        official: ConvTranspose2d, LayerNorm2d, GELU, ConvTranspose2d, GELU, float32.
        dtype: of the activations.
    """

    def __init__(self, official: nn.Sequential, dtype: torch.dtype) -> None:
        first, norm, _, second, _ = official
        self._dtype = dtype
        self._first = first.weight.permute(0, 2, 3, 1).flatten(1)  # [C, 2 * 2 * C1]
        self._first_bias = first.bias.repeat(4)
        self._norm = norm.weight.to(dtype), norm.bias.to(dtype), norm.eps
        self._second = second.weight.permute(2, 3, 1, 0).flatten(0, 2).to(dtype).contiguous()  # [2 * 2 * C2, C1]
        self._second_bias = second.bias.repeat(4).to(dtype)
        self._corners = torch.eye(4, dtype=dtype, device=second.weight.device)

    def image(self, image: ImageSide, finest: Tensor | None = None, finer: Tensor | None = None) -> UpscaledImage:
        """One image's part, after the last layer.

        Args:
            image: of h x w positions.
            finest, finer: SAM 2's, [1, C2, 4h, 4w] and [1, C1, 2h, 2w], added to the convolutions' results.
        """
        assert image.offset is not None
        moving = (image.features.T @ self._first).to(self._dtype)
        fixed = (image.offset[:, 0] @ self._first + self._first_bias).expand(len(moving), -1)
        if finest is None or finer is None:
            return UpscaledImage(moving, fixed.to(self._dtype), None)
        c1, c2, h, w = finer.shape[1], finest.shape[1], finer.shape[2] // 2, finer.shape[3] // 2
        blocks = finer.view(c1, h, 2, w, 2).permute(1, 3, 2, 4, 0).reshape(h * w, -1)  # y x, dy dx
        smaller = finest.view(c2, h, 2, 2, w, 2, 2).permute(1, 4, 2, 5, 3, 6, 0)  # y x, dy dx, ey ex
        fine = smaller.reshape(4 * h * w, -1).to(self._dtype)
        return UpscaledImage(moving, (fixed + blocks).to(self._dtype), fine)

    def logits(
        self, image: UpscaledImage, keys: Keys, part: slice | Tensor, hyper: Tensor, out: Tensor, rows: int
    ) -> None:
        """Mask logits of some of a chunk's prompts, into out float32 [b, K, 4h, 4w].

        Args:
            image, keys: the keys after the last layer.
            part: which prompts of the chunk, as a slice or as indices int64 [b].
            hyper: [b, K, C2], what each mask makes of the upscaled channels.
            rows: of h, from the top; the others are not needed, and left as they are.
        """
        b, k, height, width = out.shape
        h, w = height // 4, width // 4
        # Pixel (4 y + 2 dy + ey, 4 x + 2 dx + ex); ex = 0 and 1 travel as one int64.
        target = out.view(torch.int64).view(b, k, h, 2, 2, w, 2)  # [b, K, y, dy, ey, x, dx]
        attentions = keys.rows[part].to(self._dtype).mT  # [b, N, R]
        scale = keys.scale[part, :, None].to(self._dtype)  # [b, N, 1]
        weight = linear(keys.vectors[part], self._first.mT).to(self._dtype)  # [b, R, 4 * C1]
        masks = torch.einsum("bkc,pq->bpckq", hyper.to(self._dtype), self._corners)
        masks = masks.reshape(b, -1, k * 4)  # [b, 4 * C2, K * 4]
        step = rows
        if out.device.type == "cpu":
            attentions = torch.stack([each.contiguous() for each in attentions])  # one by one: torch is faster at that
            step = max(1, _ACTIVATIONS // (b * w * 4 * len(self._second)))
        for top in range(0, rows, step):
            some = slice(top, min(top + step, rows))
            at = slice(some.start * w, some.stop * w)  # n positions
            x = torch.addcmul(image.fixed[at], image.moving[at], scale[:, at])
            add_product(x, attentions[:, at], weight)  # [b, n, 4 * C1]
            x = F.layer_norm(x.view(b, -1, self._second.shape[1]), self._norm[0].shape, *self._norm)
            x = linear(torch.ops.aten.gelu_(x), self._second, self._second_bias)  # [b, n * 4, 4 * C2]
            if image.fine is not None:
                x += image.fine[4 * at.start : 4 * at.stop]
            x = product(torch.ops.aten.gelu_(x), masks)  # [b, n * 4, K * 4]
            x = x.float().view(torch.int64).view(b, -1, w, 2, 2, k, 2)  # [b, y, x, dy, dx, K, ey]
            for dx in range(2):
                target[:, :, some, ..., dx].copy_(x[:, :, :, :, dx].permute(0, 4, 1, 3, 5, 2))
