"""The contour network: the first stages of EfficientNet-Lite0, and a small decoder on them, as torch trains it."""

from __future__ import annotations

from itertools import pairwise

import torch
from efficientnet import STAGES, EfficientNet
from torch import nn

STRIDE = 16  # the sides of an input are multiples of it
EMBEDDING = 16  # channels of the second output, at stride 4
BLOCKS = (1, 2, 2, 3, 1)  # of EfficientNet-Lite0's stages
SKIPS = (0, 1, 2, 4)  # stages that the decoder takes, at strides 2, 4, 8, 16
WIDTHS = (24, 32, 48, 64)  # of the decoder at these strides
DEPTHS = (1, 1, 2, 2)  # its blocks there


class Block(nn.Module):
    """Two depthwise-separable 3x3 convolutions around a shortcut: [B, C, h, w] -> [B, C, h, w]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.body(x))


class ContourNet(nn.Module):
    """RGB [B, 3, H, W] in 0..255 -> contour logits [B, 4, H/2, W/2] and an embedding [B, EMBEDDING, H/4, W/4].

    The four channels of the logits are the pixels (0, 0), (0, 1), (1, 0), (1, 1) of each 2 x 2 block of the image.
    Pixels of one entity lie close in the embedding, pixels of different ones far apart.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = EfficientNet(BLOCKS, SKIPS)
        self.lateral = nn.ModuleList(nn.Conv2d(STAGES[i][-1], w, 1) for i, w in zip(SKIPS, WIDTHS, strict=True))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(WIDTHS))
        self.decode = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(depth))) for width, depth in zip(WIDTHS, DEPTHS, strict=True)
        )
        self.contour = nn.Conv2d(WIDTHS[0], 4, 1)
        self.embedding = nn.Conv2d(WIDTHS[1], EMBEDDING, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.encoder((x - 127) / 128)
        x = self.decode[-1](self.lateral[-1](features[-1]))
        embedding = x
        for i in (2, 1, 0):
            embedding = x
            up = nn.functional.interpolate(self.up[i](x), scale_factor=2.0, mode="nearest")
            x = self.decode[i](up + self.lateral[i](features[i]))
        return self.contour(x), self.embedding(embedding)
