"""The contour network: the first stages of EfficientNet-Lite0, and a small decoder on them, as torch trains it."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

STRIDE = 16  # the sides of an input are multiples of it
EMBEDDING = 16  # channels of the second output, at stride 4
STEM = 32
# Of EfficientNet-Lite0 (Tan, Le, "EfficientNet", ICML 2019, without squeeze-and-excitation and with ReLU6):
# blocks, expansion, kernel, stride, channels.
STAGES = ((1, 1, 3, 1, 16), (2, 6, 3, 2, 24), (2, 6, 5, 2, 40), (3, 6, 3, 2, 80), (1, 6, 5, 1, 112))
SKIPS = (0, 1, 2, 4)  # stages that the decoder takes, at strides 2, 4, 8, 16
WIDTHS = (24, 32, 48, 64)  # of the decoder at these strides
DEPTHS = (1, 1, 2, 2)  # its blocks there


class Inverted(nn.Module):
    """An inverted residual block: [B, C, h, w] -> [B, width, h / stride, w / stride]."""

    def __init__(self, channels: int, expansion: int, kernel: int, stride: int, width: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.shortcut = stride == 1 and channels == width
        expand = [nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner, 1e-3), nn.ReLU6()]
        self.body = nn.Sequential(
            *(expand if expansion > 1 else []),
            nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False),
            nn.BatchNorm2d(inner, 1e-3),
            nn.ReLU6(),
            nn.Conv2d(inner, width, 1, bias=False),
            nn.BatchNorm2d(width, 1e-3),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.shortcut else self.body(x)


class Encoder(nn.Module):
    """RGB [B, 3, H, W] in 0..255 -> features at strides 2, 4, 8 and 16."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, STEM, 3, 2, 1, bias=False), nn.BatchNorm2d(STEM, 1e-3), nn.ReLU6())
        stages, channels = [], STEM
        for blocks, expansion, kernel, stride, width in STAGES:
            stages.append(nn.Sequential())
            for block in range(blocks):
                stages[-1].append(Inverted(channels, expansion, kernel, stride if block == 0 else 1, width))
                channels = width
        self.stages = nn.ModuleList(stages)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.stem((x - 127) / 128)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return [features[i] for i in SKIPS]

    def load_pretrained(self, state: dict[str, torch.Tensor]) -> None:
        """Take over the weights of an EfficientNet-Lite0: its tensors come in the order of ours."""
        theirs = [v for k, v in state.items() if k.startswith(("_conv_stem", "_bn0", "_blocks"))]
        ours = self.state_dict()
        for (name, mine), other in zip(ours.items(), theirs[: len(ours)], strict=True):
            if mine.shape != other.shape:
                raise ValueError(f"{name}: shape {tuple(mine.shape)} expected, not {tuple(other.shape)}")
            mine.copy_(other)

    def train(self, mode: bool = True) -> Encoder:
        """Batches are small: the statistics of the batch normalisation stay those of the first training."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


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
        self.encoder = Encoder()
        self.lateral = nn.ModuleList(nn.Conv2d(STAGES[i][-1], w, 1) for i, w in zip(SKIPS, WIDTHS, strict=True))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(WIDTHS))
        self.decode = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(depth))) for width, depth in zip(WIDTHS, DEPTHS, strict=True)
        )
        self.contour = nn.Conv2d(WIDTHS[0], 4, 1)
        self.embedding = nn.Conv2d(WIDTHS[1], EMBEDDING, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.encoder(x)
        x = self.decode[-1](self.lateral[-1](features[-1]))
        embedding = x
        for i in (2, 1, 0):
            embedding = x
            up = nn.functional.interpolate(self.up[i](x), scale_factor=2.0, mode="nearest")
            x = self.decode[i](up + self.lateral[i](features[i]))
        return self.contour(x), self.embedding(embedding)
