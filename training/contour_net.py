"""The contour network: a small U of depthwise-separable residual blocks, as torch trains it."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

STRIDE = 32  # the sides of an input are multiples of it
WIDTHS = (24, 40, 64, 96, 128)  # channels at strides 2, 4, 8, 16, 32
BLOCKS = (1, 2, 2, 3, 2)
EMBEDDING = 16  # channels of the second output, at stride 4


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
        self.stem = nn.Sequential(
            nn.BatchNorm2d(3, affine=False),
            nn.Conv2d(3, WIDTHS[0], 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(WIDTHS[0]),
            nn.ReLU(inplace=True),
        )
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, a, 3, stride=2, padding=1, groups=a, bias=False),
                nn.Conv2d(a, b, 1, bias=False),
                nn.BatchNorm2d(b),
                nn.ReLU(inplace=True),
            )
            for a, b in pairwise(WIDTHS)
        )
        self.encode = nn.ModuleList(
            nn.Sequential(*(Block(w) for _ in range(n))) for w, n in zip(WIDTHS, BLOCKS, strict=True)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(WIDTHS))
        self.decode = nn.ModuleList(Block(w) for w in WIDTHS[:-1])
        self.contour = nn.Conv2d(WIDTHS[0], 4, 1)
        self.embedding = nn.Conv2d(WIDTHS[1], EMBEDDING, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.encode[0](self.stem(x))
        skips = [x]
        for down, encode in zip(self.down, self.encode[1:], strict=True):
            skips.append(encode(down(skips[-1])))
        x = skips.pop()
        embedding = x
        for lateral, decode, skip in zip(reversed(self.lateral), reversed(self.decode), reversed(skips), strict=True):
            embedding = x
            up = nn.functional.interpolate(lateral(x), scale_factor=2.0, mode="nearest")
            x = decode(up + skip)
        return self.contour(x), self.embedding(embedding)
