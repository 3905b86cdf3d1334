"""From an image to the square that SAM 2 sees, and back: stretched, never padded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from esam_fast.masks import Float
from esam_fast.segmenters.sam.frame import Frame


@dataclass(frozen=True)
class StretchedFrame(Frame):
    """How one image lies in the model's square: it fills it, so that x and y have scales of their own."""

    @classmethod
    def of(cls, image: NDArray[np.uint8], side: int) -> StretchedFrame:
        """The frame of an image [H, W, 3] in a square of `side` pixels."""
        height, width = image.shape[:2]
        return cls(height, width, side, side, side)

    def points(self, points: Float) -> NDArray[np.float64]:
        """Image points [N, 2] x y, in the square's pixels: float64 [N, 2], computed in float32 as sam2 does."""
        size = np.array([self.image_width, self.image_height], np.float32)
        return (np.asarray(points, np.float32) / size * np.float32(self.side)).astype(np.float64)

    def square(self, image: NDArray[np.uint8], device: torch.device) -> Tensor:
        """The image on the square, antialiased bilinear: float32 [1, 3, side, side], 0..1.

        Resized on the host, as sam2 does: other devices round differently.
        """
        pixels = torch.tensor(image).permute(2, 0, 1)[None].contiguous().float() / 255
        size = (self.side, self.side)
        return F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True).to(device)
