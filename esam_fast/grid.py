"""The grid that masks live on, and how it lies over the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check
from esam_fast._limits import MAX_GRID_SIDE, MAX_PLANE_PIXELS, MAX_POINTS_PER_SIDE

Float = NDArray[np.float32]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class MaskGrid:
    """The plane a segmenter answers on, and how it lies over the image.

    Attributes:
        height, width: of the grid, in grid pixels.
        content_height, content_width: the part that shows image, in grid units (float: SAM pads, then divides);
            grid row i is content when i + 0.5 < content_height, columns likewise.
        image_height, image_width: of the image, in image pixels.
    """

    height: int
    width: int
    content_height: float
    content_width: float
    image_height: int
    image_width: int

    def __post_init__(self) -> None:
        for name, most in (
            ("height", MAX_GRID_SIDE), ("width", MAX_GRID_SIDE),
            ("image_height", MAX_PLANE_PIXELS), ("image_width", MAX_PLANE_PIXELS),
        ):  # fmt: skip
            object.__setattr__(self, name, _check.integer(name, getattr(self, name), 1, most))
        _check.plane("(height, width)", self.shape)
        _check.plane("(image_height, image_width)", (self.image_height, self.image_width))
        for name, limit in (("content_height", self.height), ("content_width", self.width)):
            value = _check.real(name, getattr(self, name))
            if not 1e-9 < value <= limit:
                raise ValueError(f"{name} must lie in (1e-09, {limit}], got {value!r}")
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def rows(self) -> int:
        """Number of content rows."""
        return max(1, min(self.height, int(np.ceil(self.content_height - 0.5))))

    @property
    def cols(self) -> int:
        """Number of content columns."""
        return max(1, min(self.width, int(np.ceil(self.content_width - 0.5))))

    def point_grid(self, n: int) -> Float:
        """n x n points ((i + 0.5) / n * W, (j + 0.5) / n * H), row by row: float32 [n * n, 2] x y, image pixels."""
        n = _check.integer("n", n, 1, MAX_POINTS_PER_SIDE)
        steps = (np.arange(n) + 0.5) / n
        x, y = np.meshgrid(steps * self.image_width, steps * self.image_height)
        return np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float32)

    def pixels(self, points: Float) -> Int:
        """Flat index (row * width + column) of the grid pixel that each point [N, 2] falls in: int64 [N]."""
        xy = _check.finite("points", points, ("N", 2)).astype(np.float64)
        col = np.floor(xy[:, 0] * self.content_width / self.image_width).clip(0, self.width - 1)
        row = np.floor(xy[:, 1] * self.content_height / self.image_height).clip(0, self.height - 1)
        return row.astype(np.int64) * self.width + col.astype(np.int64)

    def points(self, pixels: Int) -> Float:
        """Image point over the centre of each grid pixel: float32 [N, 2] x y."""
        pixels = _check.indices("pixels", pixels, 0, self.height * self.width, ("N",))
        row, col = np.divmod(pixels, self.width)
        x = (col + 0.5) * self.image_width / self.content_width
        y = (row + 0.5) * self.image_height / self.content_height
        return np.stack([x, y], axis=-1).astype(np.float32)
