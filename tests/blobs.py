"""A mask decoder that draws spotted blobs around each point: many small masks, ties, holes and islands."""

from __future__ import annotations

from typing import Any

from sam_models import torch


class Points(torch.nn.Module):
    """A prompt encoder that passes the points on."""

    image_embedding_size = (1, 1)

    def forward(self, points: Any, boxes: Any, masks: Any) -> tuple[Any, Any]:
        return points[0].float(), torch.zeros(1, 1, 1, 1)

    def get_dense_pe(self) -> Any:
        return torch.zeros(1)


class Blobs(torch.nn.Module):
    """Three discs around each point, with holes and islands; scores come in steps, so that they tie.

    Args:
        side: of the model's square, in pixels.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, sparse_prompt_embeddings: Any, **_: Any) -> tuple[Any, ...]:
        xy = sparse_prompt_embeddings[:, 0] / 4  # [B, 2]
        side = torch.arange(self.side // 4) + 0.5
        dx, dy = side[None, None] - xy[:, 0, None, None], side[None, :, None] - xy[:, 1, None, None]
        distance = torch.hypot(dx, dy)[:, None]  # [B, 1, h, w]
        turn = (xy.sum(1) * 0.37)[:, None, None, None]
        radius = torch.tensor([3.0, 8.0, 17.0])[None, :, None, None] * (1 + 0.4 * torch.sin(turn))
        spots = 5 * torch.sin(1.9 * dx + turn[:, 0])[:, None] * torch.cos(1.7 * dy)[:, None] * (torch.cos(turn) > 0)
        logits = (0.7 * (radius - distance) + spots) * torch.tensor([1.0, 4.0, 40.0])[None, :, None, None]
        logits[xy[:, 0] < self.side / 40] = -5.0  # nothing there
        scores = (torch.sin(xy[:, :1] + torch.tensor([0.0, 1.0, 2.0])) * 4).round() / 8 + 0.5
        return logits, scores


class Blobs2(Blobs):
    """The same, answering as a decoder of SAM 2 does."""

    def forward(self, sparse_prompt_embeddings: Any, **_: Any) -> tuple[Any, ...]:
        return *super().forward(sparse_prompt_embeddings), None, None
