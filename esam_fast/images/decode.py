"""The first frame of an image file as an array."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from esam_fast import _limits
from esam_fast.images import headers, tiff

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
_FOREIGN = {  # what people take for an image all the same, by the file's first bytes
    rb"....ftyp(?:hei[cxms]|hev[cmx]|mif1|msf1)": "HEIC",
    rb"\xff\x0a|\0\0\0\x0cJXL ": "JPEG XL",
    rb"8BPS": "Photoshop",
    rb"%PDF": "PDF",
    rb"\x76\x2f\x31\x01": "OpenEXR",
    rb"#\?RADIANCE": "Radiance HDR",
    rb"\s*<svg|\s*<\?xml": "SVG or XML",
}
_TILE: Any = getattr(ImageFile, "_Tile", lambda *parts: parts)  # older Pillows have plain tuples


def read(file: BinaryIO, *, deep: bool) -> tuple[NDArray[Any], int]:
    """The first frame of an image file, with EXIF rotation applied.

    Args:
        file: a regular file, or one in memory.
        deep: whether 16-bit colours are to keep their low byte, as 16-bit grays do.

    Returns:
        The pixels, of a shape and dtype that `esam_fast.images.as_rgb` takes (or int32 that does not fit 16 bits),
        and the bits of a channel in the file: of more than 8, uint8 pixels are the high byte.

    Raises:
        headers.Refused: not an image, too large, or cut off. Whatever a decoder raises on what is damaged.
    """
    size = file.seek(0, os.SEEK_END)
    name = _format(file)
    if size > (most := _limits.MAX_IMAGE_BYTES_OF.get(name, _limits.MAX_IMAGE_BYTES)):
        raise headers.Refused(f"expected at most {most / 1e9:.1f} GB of {name}, got {size} bytes")
    if name == "WEBP":  # its decoder allocates the frame before it tells the size
        headers.check_size(name, *headers.webp_size(file), size)
    bits = tiff.check(file) if name == "TIFF" else 8
    image = _opened(file, name)
    headers.check_size(name, *image.size, size)
    if name == "JPEG2000":
        headers.check_jpeg2000(file, image.size)
    if name == "JPEG":
        file.seek(0)
        data = file.read()
        scans, end = headers.jpeg_scans(data)
        headers.check_scans(image.size, scans, size)
    if name != "TIFF":
        bits = _bits(image)
    image.load()
    if name == "PNG":
        headers.check_png_whole(file, image)
    if name == "JPEG":
        headers.check_jpeg_whole(data[:end], image)
    shown = pixels(image, bits)
    low = _low_bytes(file, name) if deep and bits > 8 and shown.dtype == np.uint8 else None
    return (shown if low is None else shown.astype(np.uint16) << 8 | pixels(low, bits)), bits


def _format(file: BinaryIO) -> str:
    """The format's name, told by the file's first bytes."""
    Image.init()
    file.seek(0)
    prefix = file.read(16)
    if not prefix:
        raise headers.Refused("expected an image, got an empty file")
    for name in FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        if factory is not None and (accept is None or accept(prefix) is True):
            break
    else:
        kind = next((kind for start, kind in _FOREIGN.items() if re.match(start, prefix, re.DOTALL)), None)
        got = "a file of another kind" if kind is None else f"{kind}, which is not read here: convert it to PNG or JPEG"
        raise headers.Refused(f"expected an image ({', '.join(FORMATS)}), got {got}")
    return name


def _opened(file: BinaryIO, name: str) -> ImageFile.ImageFile:
    """The image behind a file, its header read and nothing decoded.

    Pillow's own `Image.open` would warn or refuse by a limit that is global to the process; its registry of
    formats, asked directly, leaves the decision to us.
    """
    file.seek(0)
    return Image.OPEN[name][0](file, "")


def _bits(image: ImageFile.ImageFile) -> int:
    """Bits of a channel of what is not TIFF, as far as Pillow tells."""
    if image.mode.startswith("I"):
        return 16
    arguments = image.tile[0][3] if image.tile else None
    if isinstance(arguments, str):  # PNG
        return 16 if "16" in arguments else 8
    if isinstance(arguments, tuple) and len(arguments) == 2 and type(arguments[1]) is int:  # PPM
        return 16 if arguments[1] > 255 else 8
    return 8


def _low_bytes(file: BinaryIO, name: str) -> Image.Image | None:
    """The image as the low bytes of its 16-bit colours; None: Pillow has no way to them.

    Pillow keeps the high byte of 16-bit colours. With the byte order turned round, that is the low one.
    """
    turned = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}
    image = _opened(file, name)
    tiles = []
    for codec, extents, offset, arguments in image.tile:
        raw, *rest = arguments if isinstance(arguments, tuple) else (arguments,)
        if not isinstance(raw, str) or not re.fullmatch(r"(RGB|RGBA|RGBX|CMYK);16[BLN]", raw):
            return None
        raw = raw[:-3] + turned[raw[-3:]]
        tiles.append(_TILE(codec, extents, offset, raw if isinstance(arguments, str) else (raw, *rest)))
    if not tiles:
        return None
    image.tile = tiles
    return image


def pixels(image: Image.Image, bits: int) -> NDArray[Any]:
    """An image of Pillow as `esam_fast.images.as_rgb` takes it, EXIF rotation applied; see `read`."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 12 or 16 bits, which Pillow gives as int32 for some files; or more
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            return values
        return values.astype(np.uint16) << (16 - bits if bits == 12 else 0)
    if image.has_transparency_data:
        return np.asarray(image.convert("RGBA"))
    return np.asarray(image if image.mode in ("1", "L", "RGB", "F") else image.convert("RGB"))
