"""The nano SAM: segment_anything's prompt encoder and mask decoder, half as wide, on a small convolutional encoder."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from efficientnet import STAGES, EfficientNet
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

SIDE = 512  # of the square, pixels
STRIDE = 16  # of the embedding, as SAM's
WIDTH = 128  # channels of the embedding
BLOCKS = (1, 2, 2, 3, 3, 2)  # of EfficientNet-Lite0's stages
TAKEN = (1, 2, 4, 5)  # stages that the neck takes, at strides 4, 8, 16, 32
WIDTHS = (32, 64, 128, 128)  # of the neck at these strides
DEPTHS = (1, 2, 2, 1)  # its blocks there
HANDED = (8, 32)  # channels at strides 4 and 8 that the embedding gets of each pixel
HEADS, MLP, LAYERS = 4, 512, 2  # of the mask decoder's transformer


class Block(nn.Module):
    """A depthwise 7x7 convolution and two layers on each pixel, around a shortcut: [B, C, h, w] -> [B, C, h, w].

    Liu et al., "A ConvNet for the 2020s", CVPR 2022.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 7, padding=3, groups=width),
            LayerNorm2d(width),
            nn.Conv2d(width, 2 * width, 1),
            nn.GELU(),
            nn.Conv2d(2 * width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class NanoEncoder(nn.Module):
    """An image [B, 3, SIDE, SIDE], its 0..255 as (x - 127) / 128, to an embedding [B, WIDTH, SIDE / 16, SIDE / 16].

    From coarse to fine, each stride's features are joined with those above. What the finer strides know of the pixels
    of an embedding cell becomes channels of the cell, so that the mask decoder can draw finer than its cells.
    """

    def __init__(self) -> None:
        super().__init__()
        self.img_size = SIDE
        self.stages = EfficientNet(BLOCKS, TAKEN)
        self.lateral = nn.ModuleList(nn.Conv2d(STAGES[i][-1], w, 1) for i, w in zip(TAKEN, WIDTHS, strict=True))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(WIDTHS))
        self.blocks = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(depth))) for width, depth in zip(WIDTHS, DEPTHS, strict=True)
        )
        self.hand = nn.ModuleList(nn.Conv2d(w, n, 1) for w, n in zip(WIDTHS[:2], HANDED, strict=True))
        self.mix = nn.Conv2d(16 * HANDED[0] + 4 * HANDED[1] + WIDTHS[2], WIDTH, 1)
        self.last = nn.Sequential(Block(WIDTH), Block(WIDTH), LayerNorm2d(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        features = self.stages(x)
        x = self.blocks[3](self.lateral[3](features[3]))
        joined = [x]
        for i in (2, 1, 0):
            up = F.interpolate(self.up[i](x), scale_factor=2.0, mode="nearest")
            x = self.blocks[i](up + self.lateral[i](features[i]))
            joined.insert(0, x)
        fine, middle = (F.pixel_unshuffle(self.hand[i](joined[i]), 4 // 2**i) for i in (0, 1))
        return self.last(self.mix(torch.cat([fine, middle, joined[2]], dim=1)))


def nano_sam() -> Any:
    """A segment_anything Sam of this size, with random weights."""
    cells = SIDE // STRIDE
    transformer = TwoWayTransformer(depth=LAYERS, embedding_dim=WIDTH, num_heads=HEADS, mlp_dim=MLP)
    return Sam(
        NanoEncoder(),
        PromptEncoder(WIDTH, (cells, cells), (SIDE, SIDE), mask_in_chans=16),
        MaskDecoder(transformer_dim=WIDTH, transformer=transformer),
        pixel_mean=[127.0] * 3,
        pixel_std=[128.0] * 3,
    )
