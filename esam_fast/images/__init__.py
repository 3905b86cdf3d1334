"""Images in: whatever holds one becomes uint8 RGB, or one error says what came and what was expected."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check
from esam_fast._files import open_regular
from esam_fast._limits import MAX_PIXELS
from esam_fast.images import decode, windows
from esam_fast.images.convert import HELP, ImageWarning, to_rgb
from esam_fast.images.errors import ImageError, named
from esam_fast.images.held import as_array
from esam_fast.images.windows import TiffWindows

__all__ = [
    "MAX_PIXELS", "SUFFIXES", "ImageError", "ImageWarning", "TiffWindows",
    "as_array", "as_rgb", "decode_image", "is_url", "load_image", "of_size", "open_image",
]  # fmt: skip

SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".tif", ".tiff", ".webp", ".bmp", ".dib", ".gif", ".ppm",
    ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".avif",
))  # fmt: skip


def load_image(path: str | os.PathLike[str], *, stretch: bool = False) -> NDArray[np.uint8]:
    """Read an image file: uint8 [H, W, 3] RGB, as a viewer shows it (EXIF rotation applied).

    Gray, palette and CMYK become RGB, transparency is laid over white; of several frames the first is read. Of 16 bits,
    65535 is white, of 12 bits 4095, of floats 1, and integers of 32 bits are taken for 16; where the maximum is under a
    quarter of that, an ImageWarning says so. `stretch` makes the range that of the image: see `as_rgb`. The size is
    checked in the header, before anything is decoded; `esam_fast._limits` states every limit.

    Raises:
        ImageError: no such file, not an image, damaged, cut off, or larger than allowed; the message names the file.
    """
    path = _file(path)
    with named(path), open_regular(path) as file:
        pixels, bits = decode.read(file, deep=stretch)
    return _as_shown(pixels, bits, path, stretch)


def decode_image(data: bytes, name: str | os.PathLike[str], *, stretch: bool = False) -> NDArray[np.uint8]:
    """Read an image file that is in memory, as `load_image` reads one on the disk.

    Args:
        data: the file's content.
        name: for errors.
        stretch: see `load_image`.

    Raises:
        ImageError: not an image, damaged, cut off, or larger than allowed; the message names it.
    """
    with named(name):
        pixels, bits = decode.read(io.BytesIO(data), deep=stretch)
    return _as_shown(pixels, bits, name, stretch)


def _as_shown(pixels: NDArray[Any], bits: int, name: str | os.PathLike[str], stretch: bool) -> NDArray[np.uint8]:
    """What `decode.read` gave, as RGB."""
    try:
        if pixels.dtype.kind == "i":
            if not stretch:
                raise ValueError(
                    f"expected integers of at most 16 bits, got values from {pixels.min()} to {pixels.max()}; {HELP}"
                )
            pixels = pixels.astype(np.float64)
        return to_rgb(pixels, stretch, str(name), bits)
    except ValueError as error:
        raise ImageError(f"{name}: {error}") from None


def as_rgb(image: Any, *, stretch: bool = False) -> NDArray[np.uint8]:
    """An image as uint8 [H, W, 3] RGB, C-contiguous and writable. The argument is never changed.

    A contiguous, writable uint8 [H, W, 3] array is returned as it is; everything else is copied, a torch tensor on the
    CPU like the array whose memory it shares.

    Of 16 bits, 0 is black and 65535 white: the high byte counts. Of floats, 0 is black and 1 white. Data that use
    little of that range (12 bits in 16, reflectance) come out nearly black; where their maximum is under a quarter of
    it, an ImageWarning says so. `stretch` makes the range that of the image: its 1st percentile becomes black and its
    99th white, for all colours together, whatever the dtype.

    Args:
        image: the path of a file (see `load_image`), a NumPy array, a PIL image (EXIF rotation applied), a torch
            tensor on any device, or nested lists of rows. The shape is [H, W] gray, [H, W, C] or, where the last axis
            cannot be channels, [C, H, W]: of [3, W, 3], the last axis is taken. C is 1 (gray), 2 (gray, alpha; last
            axis only), 3 (RGB) or 4 (RGBA, laid over white). uint8; uint16; bool; or float in [0, 1]; of either byte
            order. Integers in lists are taken for uint8.
        stretch: see above; floats may then have any range, but for alpha.

    Raises:
        TypeError: no image, or another dtype. ValueError: another shape, an empty array, NaN, infinity, or floats
            outside [0, 1]. ImageError: a file that cannot be read.
    """
    if isinstance(image, (str, os.PathLike)):
        return load_image(image, stretch=stretch)
    array = as_array(image)
    return to_rgb(array, stretch, "image", 8 * array.dtype.itemsize)


def open_image(path: str | os.PathLike[str], *, stretch: bool = False) -> NDArray[np.uint8] | TiffWindows:
    """An image file to be divided: a TIFF file in tiles or strips is read by windows, any other whole.

    By windows, a file may be larger than `load_image` reads; the limit holds for a window.

    Raises:
        ImageError: see `load_image`; what is damaged in a TIFF file may be found only when its window is read.
    """
    path = _file(path)
    with named(path):
        found = windows.find(path, stretch)
    return load_image(path, stretch=stretch) if found is None else found


def of_size(image: Any, height: int, width: int) -> NDArray[np.uint8] | TiffWindows:
    """What `as_rgb` takes as uint8 [H, W, 3], or a file read by windows as it is, if it has this size.

    An array that is uint8 [H, W, 3] already is not copied.

    Raises:
        TypeError, ValueError: no such image, or of another size.
    """
    if not isinstance(image, TiffWindows):
        is_rgb = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape[2:] == (3,)
        return _check.array("image", image if is_rgb else as_rgb(image), np.uint8, (height, width, 3))
    if image.shape != (height, width, 3):
        raise ValueError(f"image must have shape [{height}, {width}, 3], got {list(image.shape)}")
    return image


def is_url(text: str) -> bool:
    """Whether a text begins like an address, such as https://."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


def _file(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a str or an os.PathLike, got {type(path).__name__}")
    given, path = os.fspath(path), Path(path)
    if path.is_dir():
        raise ImageError(f"{path}: expected an image file, got a folder")
    if is_url(given) and not path.exists():
        raise ImageError(f"{given}: expected a file, got a URL; download it first")
    return path
