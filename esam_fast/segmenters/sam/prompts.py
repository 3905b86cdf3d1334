"""SAM's prompt encoder, for points alone."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from esam_fast.segmenters.sam.devices import has_double


class PromptEncoder:
    """Encodes prompts of one foreground point each, for an image embedding of `shape` (h, w).

    Args:
        official: a prompt encoder with the official interface, float32.
        device: where it is.
    """

    def __init__(self, official: nn.Module, device: torch.device) -> None:
        self._official, self._device = official, device
        height, width = official.image_embedding_size
        self.shape = int(height), int(width)

    def points(self, points: NDArray[np.float64]) -> Tensor:
        """Sparse embeddings of points [N, 2], x y in the model's square: [N, 2, C] (the point, and no second one)."""
        return self._encode(points)[0]

    def dense(self) -> Tensor:
        """Dense embedding of "no mask": [1, C, h, w]."""
        return self._encode(np.zeros((1, 2)))[1]

    def position(self) -> Tensor:
        """Position encoding of the image embedding: [1, C, h, w]."""
        return self._official.get_dense_pe()

    def _encode(self, points: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        # The official encoder works in float32 from its second step on.
        placed = points if has_double(self._device) else points.astype(np.float32)
        coordinates = torch.tensor(placed, device=self._device)[:, None]  # [N, 1, 2]
        labels = torch.ones(coordinates.shape[:2], dtype=torch.int, device=self._device)
        sparse, dense = self._official(points=(coordinates, labels), boxes=None, masks=None)
        return sparse, dense
