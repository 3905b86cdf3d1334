"""EfficientNet-Lite0 without its head, stage by stage, for the pretrained weights of it that packages offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

STEM = 32
# Of EfficientNet-Lite0 (Tan, Le, "EfficientNet", ICML 2019, without squeeze-and-excitation and with ReLU6):
# blocks, expansion, kernel, stride, channels.
STAGES = ((1, 1, 3, 1, 16), (2, 6, 3, 2, 24), (2, 6, 5, 2, 40), (3, 6, 3, 2, 80), (3, 6, 5, 1, 112), (4, 6, 5, 2, 192))


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

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.shortcut else self.body(x)


class EfficientNet(nn.Module):
    """The first stages: an image [B, 3, H, W], its 0..255 as (x - 127) / 128, to the outputs of chosen stages.

    Args:
        blocks: of each stage, as many as STAGES says; fewer in the last of them only.
        taken: indices of the stages whose output is returned.
    """

    def __init__(self, blocks: Sequence[int], taken: Sequence[int]) -> None:
        super().__init__()
        self.taken = tuple(taken)
        self.stem = nn.Sequential(nn.Conv2d(3, STEM, 3, 2, 1, bias=False), nn.BatchNorm2d(STEM, 1e-3), nn.ReLU6())
        stages, channels = [], STEM
        for count, (_, expansion, kernel, stride, width) in zip(blocks, STAGES, strict=False):
            stage = nn.Sequential()
            for block in range(count):
                stage.append(Inverted(channels, expansion, kernel, stride if block == 0 else 1, width))
                channels = width
            stages.append(stage)
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return [features[i] for i in self.taken]

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Take over the weights of a whole EfficientNet-Lite0: its tensors come in the order of ours.

        Raises:
            ValueError: a tensor of another shape.
        """
        theirs = [v for k, v in state.items() if k.startswith(("_conv_stem", "_bn0", "_blocks"))]
        ours = self.state_dict()
        for (name, mine), other in zip(ours.items(), theirs[: len(ours)], strict=True):
            if mine.shape != other.shape:
                raise ValueError(f"{name}: shape {tuple(mine.shape)} expected, not {tuple(other.shape)}")
            mine.copy_(other)

    def train(self, mode: bool = True) -> EfficientNet:
        """Batches are small: the statistics of the batch normalisation stay those of the first training."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self
