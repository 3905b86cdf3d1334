"""Images that a program holds, as NumPy arrays: of Pillow, of torch on any device, and nested lists."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from esam_fast.images import decode


def as_array(image: Any) -> NDArray[Any]:
    """The pixels of an image, of a shape and dtype that `esam_fast.images.as_rgb` takes if they are an image's.

    Args:
        image: a NumPy array (given back as it is), a PIL image (EXIF rotation applied, as in a file), a torch tensor on
            any device, what else NumPy takes for an array, or nested lists, whose integers must fit uint8.

    Raises:
        TypeError: none of these. ValueError: lists that are no array, or of integers outside 0..255.
    """
    if isinstance(image, np.ndarray):
        return image
    if isinstance(image, Image.Image):
        return decode.pixels(image, 16 if image.mode.startswith("I") else 8)
    if hasattr(image, "detach") and hasattr(image, "cpu"):
        return _of_tensor(image)
    if isinstance(image, (list, tuple)):
        return _of_lists(image)
    if hasattr(image, "__array__"):
        return np.asarray(image)
    raise TypeError(
        f"image must be a path, a NumPy array, a PIL image, a torch tensor or nested lists, got {type(image).__name__}"
    )


def _of_tensor(image: Any) -> NDArray[Any]:
    try:
        return np.asarray(image.detach().cpu().numpy())
    except TypeError:  # a dtype that NumPy lacks
        raise TypeError(f"image must be uint8, bool or float, got a tensor of {image.dtype}") from None


def _of_lists(image: list[Any] | tuple[Any, ...]) -> NDArray[Any]:
    if not all(isinstance(row, (list, tuple)) for row in image):
        kinds = sorted({type(row).__name__ for row in image})
        raise TypeError(
            f"image must be one image, as a list rows of pixels, got a list of {', '.join(kinds)} "
            "(segment_many takes several images)"
        )
    try:
        values = np.array(image)
    except ValueError:  # rows of several lengths
        raise ValueError("image must have rows of one length, got lists of several") from None
    if values.dtype.kind != "i":
        return values
    if values.size and not (values.min() >= 0 and values.max() <= 255):
        raise ValueError(f"image must lie in 0..255 as nested lists, got values from {values.min()} to {values.max()}")
    return values.astype(np.uint8)
