"""From an image to the padded square that SAM sees, and back: the official resize, and where the mask grid lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from esam_fast.masks import Float, MaskGrid


@dataclass(frozen=True)
class Frame:
    """How one image lies in the model's square.

    Attributes:
        image_height, image_width: of the image.
        height, width: of the image resized so that its longer side fills the square; the rest is padding.
        side: of the square.
    """

    image_height: int
    image_width: int
    height: int
    width: int
    side: int

    @classmethod
    def of(cls, image: NDArray[np.uint8], side: int) -> Frame:
        """The frame of an image [H, W, 3] in a square of `side` pixels, rounded as the official code rounds.

        Where that leaves no pixel (and the official code fails), one is kept.
        """
        h, w = image.shape[:2]
        scale = side * 1.0 / max(h, w)
        return cls(h, w, max(1, int(h * scale + 0.5)), max(1, int(w * scale + 0.5)), side)

    def resize(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image at this frame's size: Pillow's antialiased bilinear, the official bytes."""
        if (self.height, self.width) == image.shape[:2]:
            return image
        size = self.width, self.height
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))

    def points(self, points: Float) -> NDArray[np.float64]:
        """Image points [N, 2] x y, in the square's pixels: float64 [N, 2]."""
        scale = self.width / self.image_width, self.height / self.image_height
        return np.asarray(points, np.float64) * scale

    def content(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Height and width of the image on a plane of this shape that spans the square."""
        return self.height * shape[0] / self.side, self.width * shape[1] / self.side

    def grid(self, shape: tuple[int, int]) -> MaskGrid:
        """The mask grid, if masks have this shape."""
        return MaskGrid(*shape, *self.content(shape), self.image_height, self.image_width)
