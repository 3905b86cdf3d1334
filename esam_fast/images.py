"""Images in: any file or array becomes uint8 RGB, or one error says what came and what was expected."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

MAX_PIXELS = 300_000_000
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
SUFFIXES = frozenset(
    (
        ".jpg",
        ".jpeg",
        ".jfif",
        ".png",
        ".tif",
        ".tiff",
        ".webp",
        ".bmp",
        ".gif",
        ".ppm",
        ".pgm",
        ".pbm",
        ".jp2",
        ".avif",
    )
)

_BLOCK = 1 << 22  # values converted at a time: temporaries stay small on large images


class ImageError(ValueError):
    """A file that is not an image this library can read; the message names the file and the reason."""


def load_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read an image file: uint8 [H, W, 3] RGB, as a viewer shows it (EXIF rotation applied).

    Gray, palette and CMYK become RGB, transparency is laid over white, 16 bits keep their high byte, float
    images must lie in [0, 1]; of several frames the first is read. The size is checked in the header, before
    anything is decoded.

    Raises:
        ImageError: no such file, not an image, damaged, or larger than MAX_PIXELS; the message names the file.
    """
    path = Path(path)
    if path.is_dir():
        raise ImageError(f"{path}: expected an image file, got a folder")
    try:
        with path.open("rb") as file:
            pixels = _decode(file)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    except Exception as error:  # on damaged files, decoders raise whatever they tripped over
        raise ImageError(f"{path}: cannot be read: {_reason(error)}") from error
    try:
        return as_rgb(pixels)
    except ValueError as error:
        raise ImageError(f"{path}: {error}") from None


def as_rgb(image: NDArray[Any]) -> NDArray[np.uint8]:
    """An image array as uint8 [H, W, 3] RGB, C-contiguous and writable. The argument is never changed.

    A contiguous, writable uint8 [H, W, 3] array is returned as it is; everything else is copied.

    Args:
        image: [H, W] gray, [H, W, C] or, where the last axis cannot be channels, [C, H, W]; C is 1 (gray), 2
            (gray, alpha; last axis only), 3 (RGB) or 4 (RGBA, laid over white). uint8; uint16 (the high byte
            counts: 65535 is white); bool; or float in [0, 1].

    Raises:
        TypeError: not a NumPy array, or another dtype. ValueError: another shape, an empty array, NaN,
            infinity, or floats outside [0, 1].
    """
    if not isinstance(image, np.ndarray):
        raise TypeError(f"image must be a NumPy array, got {type(image).__name__} (load_image reads files)")
    if image.dtype.kind not in "bf" and image.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"image must be uint8, uint16, bool or float, got {image.dtype}")
    channels = _channels_last(image)
    if image.size == 0:
        raise ValueError(f"image must have at least one pixel, got shape {list(image.shape)}")
    if image.dtype.kind == "f":
        _check_unit(image)
    if channels.dtype == np.uint8 and channels.shape[2] == 3:
        return np.require(channels, requirements=["C", "W"])
    height, width, count = channels.shape
    out = np.empty((height, width, 3), np.uint8)
    step = max(1, _BLOCK // (width * count))
    for top in range(0, height, step):
        rows = _eight_bits(channels[top : top + step])
        out[top : top + step] = _over_white(rows) if count in (2, 4) else rows
    return out


def _decode(file: BinaryIO) -> NDArray[Any]:
    """The first frame as an array that `as_rgb` takes."""
    image = _open(file)
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"expected at most {MAX_PIXELS / 1e6:.0f} megapixels, but its header says {width} x {height}")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits, which Pillow gives as int32 for some files
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ImageError(f"expected integers of at most 16 bits, got values from {values.min()} to {values.max()}")
        return values.astype(np.uint16)
    if image.has_transparency_data:
        return np.asarray(image.convert("RGBA"))
    return np.asarray(image if image.mode in ("1", "L", "RGB", "F") else image.convert("RGB"))


def _open(file: BinaryIO) -> Image.Image:
    """The image behind a file, its header read and nothing decoded.

    Pillow's own `Image.open` would warn or refuse by a limit that is global to the process; its registry of
    formats, asked directly, leaves the decision to us.
    """
    Image.init()
    prefix = file.read(16)
    if not prefix:
        raise ImageError("expected an image, got an empty file")
    for name in FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        if factory is None or (accept is not None and accept(prefix) is not True):
            continue
        file.seek(0)
        return factory(file, "")
    raise ImageError(f"expected an image ({', '.join(FORMATS)}), got a file of another kind")


def _channels_last(image: NDArray[Any]) -> NDArray[Any]:
    """View of the image as [H, W, C]."""
    if image.ndim == 2:
        return image[:, :, None]
    if image.ndim == 3 and image.shape[2] in (1, 2, 3, 4):
        return image
    if image.ndim == 3 and image.shape[0] in (1, 3, 4):
        return image.transpose(1, 2, 0)
    raise ValueError(
        f"image must have shape [H, W], [H, W, C] with C from 1 to 4, or [C, H, W] with C 1, 3 or 4, "
        f"got {list(image.shape)}"
    )


def _check_unit(image: NDArray[Any]) -> None:
    least, most = image.min(), image.max()
    if not (np.isfinite(least) and np.isfinite(most)):
        raise ValueError("image must be finite, got NaN or infinity")
    if least < 0 or most > 1:
        raise ValueError(
            f"image must lie in [0, 1] when it is float, got values from {least:g} to {most:g}; convert 0..255 to uint8"
        )


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.uint16:
        return (values >> 8).astype(np.uint8)
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    return np.rint(values.astype(np.float32) * 255).astype(np.uint8)


def _over_white(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours [h, w, C - 1] of [h, w, C] whose last channel is alpha, on white, rounded to nearest."""
    alpha = values[..., -1:].astype(np.uint16)
    missing = (255 - values[..., :-1]) * alpha + 128
    return (255 - ((missing + (missing >> 8)) >> 8)).astype(np.uint8)


def _reason(error: Exception) -> str:
    """One line for a decoder's complaint."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().split("\n")[0] or type(error).__name__
