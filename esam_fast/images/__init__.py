"""Images in: any file or array becomes uint8 RGB, or one error says what came and what was expected."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast._files import open_regular
from esam_fast._limits import MAX_PIXELS
from esam_fast.images import decode, windows
from esam_fast.images.convert import HELP, ImageWarning, as_rgb, to_rgb
from esam_fast.images.errors import ImageError, named
from esam_fast.images.windows import TiffWindows

__all__ = [
    "MAX_PIXELS", "SUFFIXES", "ImageError", "ImageWarning", "TiffWindows", "as_rgb",
    "decode_image", "load_image", "open_image",
]  # fmt: skip

SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".tif", ".tiff", ".webp", ".bmp", ".dib", ".gif", ".ppm",
    ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".avif",
))  # fmt: skip


def load_image(path: str | os.PathLike[str], *, stretch: bool = False) -> NDArray[np.uint8]:
    """Read an image file: uint8 [H, W, 3] RGB, as a viewer shows it (EXIF rotation applied).

    Gray, palette and CMYK become RGB, transparency is laid over white; of several frames the first is read. What
    black and white are, where a channel has more than 8 bits, and what `stretch` does, says `as_rgb`; integers of 32
    bits are taken for 16, and those of 12 have their own range. The size is checked in the header, before anything is
    decoded; `esam_fast._limits` states every limit.

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


def _file(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.is_dir():
        raise ImageError(f"{path}: expected an image file, got a folder")
    return path
