"""What an image file claims, checked before it is decoded; and whether its picture came to the end."""

from __future__ import annotations

import io
import re
import struct
import zlib
from typing import BinaryIO

import numpy as np
from PIL import Image

from esam_fast import _limits

_FILLED = {127, 128}  # what libjpeg puts where nothing came
_LARGER = "a TIFF file in tiles or short strips may have more where it is divided: tile=2048 (--tile 2048)"


class Refused(ValueError):
    """A file that is not read; the message says why, without the file's name."""


def check_size(name: str, width: int, height: int, size: int, most: int | None = None) -> None:
    """Refuse a picture whose header claims more pixels than its format (or `most`) allows, or `size` bytes can hold."""
    if most is None:
        most = _limits.MAX_PIXELS if name == "JPEG2000" else _limits.MAX_PIXELS_OF.get(name, _limits.MAX_PIXELS)
    claim = f"its header says {width} x {height}"
    if width * height > most:
        kind = f" of {name}" if name in _limits.MAX_PIXELS_OF else ""
        advice = f"; {_LARGER}" if most < _limits.MAX_DIVIDED_PIXELS else ""
        raise Refused(f"expected at most {most / 1e6:.0f} megapixels{kind}, but {claim}{advice}")
    if max(width, height) > _limits.MAX_SIDE:
        raise Refused(f"expected at most {_limits.MAX_SIDE} pixels a side, but {claim}")
    if width * height > max(_limits.CHEAP_PIXELS, _limits.PIXELS_PER_BYTE * size):
        least = -(-width * height // _limits.PIXELS_PER_BYTE)
        raise Refused(f"{claim}, for which at least {least} bytes are expected, got a file of {size}")


def webp_size(file: BinaryIO) -> tuple[int, int]:
    """Width and height by a WebP file's own header, which Pillow does not read before it decodes."""
    file.seek(0)
    head = file.read(30).ljust(30, b"\0")
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        sides = int.from_bytes(head[21:25], "little")
        return 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", head[26:30])
    return width & 0x3FFF, height & 0x3FFF


def check_jpeg2000(file: BinaryIO, size: tuple[int, int]) -> None:
    """Refuse a codestream that says other than the file's header, or whose tiles are too large."""
    file.seek(0)
    head = file.read(1 << 20)
    start = head.find(b"\xff\x4f\xff\x51")  # SOC, SIZ
    if start < 0 or len(head) < start + 40:
        raise Refused("its header is damaged: no size of the codestream")
    right, bottom, left, top, width, height = struct.unpack(">6I", head[start + 8 : start + 32])
    if (right - left, bottom - top) != size:
        raise Refused(f"its headers say {size[0]} x {size[1]} and {right - left} x {bottom - top}")
    most = _limits.MAX_PIXELS_OF["JPEG2000"]
    if min(width, right) * min(height, bottom) > most:
        raise Refused(
            f"expected JPEG 2000 in tiles of at most {most / 1e6:.0f} megapixels, "
            f"but its header says {width} x {height} a tile"
        )


def jpeg_scans(data: bytes) -> tuple[int, int]:
    """How many scans the first image of a JPEG file has, and where it ends (before its end marker, if it has one).

    Raises:
        Refused: a progressive image without its last scans.
    """
    scans, at = 0, 2
    missing: dict[tuple[int, int], int] = {}  # bits of each coefficient (component, index) that are still to come
    marker = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")  # neither stuffing nor a restart
    while (found := marker.search(data, at)) and found[1] != b"\xd9":
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
        segment = data[found.end() + 2 : at]
        if found[1] == b"\xc2":  # progressive
            missing = {(component, k): 16 for component in segment[6::3] for k in range(64)}
        if found[1] == b"\xda":
            scans += 1
            for component in segment[1:-3:2] if missing else b"":
                for k in range(segment[-3], min(segment[-2], 63) + 1):
                    missing[component, k] = segment[-1] & 15
    if any(missing.values()):
        raise Refused("cannot be read: it is cut off: the last scans of a progressive JPEG are missing")
    return scans, found.start() if found else len(data)


def check_scans(size: tuple[int, int], scans: int, length: int) -> None:
    """Refuse a progressive JPEG of so many scans over its pixels that decoding would take out of proportion to it."""
    cost = size[0] * size[1] * scans
    allowed = max(_limits.CHEAP_SCANNED_PIXELS, _limits.SCANNED_PIXELS_PER_BYTE * length)
    if cost > min(allowed, _limits.MAX_SCANNED_PIXELS):
        most = min(allowed, _limits.MAX_SCANNED_PIXELS) // (size[0] * size[1])
        raise Refused(f"expected at most {most} scans of {size[0]} x {size[1]} pixels in {length} bytes, got {scans}")


def check_jpeg_whole(data: bytes, image: Image.Image) -> None:
    """Refuse a JPEG file whose data, up to `data`, end before its picture does.

    libjpeg fills up with gray, in silence where an end marker follows. Where the last pixel is that gray, the data
    are decoded again with noise behind them: in a whole picture it changes nothing.
    """
    last = image.getpixel((image.width - 1, image.height - 1))
    if not set(last if isinstance(last, tuple) else (last,)) <= _FILLED:
        return
    noise = bytes(1 + 37 * i % 251 for i in range(509))
    again = Image.OPEN["JPEG"][0](io.BytesIO(data + noise + b"\xff\xd9"), "")
    if not np.array_equal(np.asarray(image), np.asarray(again)):
        raise Refused("cannot be read: it is cut off: its picture goes on where its data end")


def check_png_whole(file: BinaryIO, image: Image.Image) -> None:
    """Refuse a PNG file whose compressed data end before its picture does: Pillow leaves the rest at zero."""
    last = image.crop((0, max(0, image.height - 2), *image.size))  # two rows: an interlaced picture ends in either
    if np.asarray(last).reshape(last.height, -1).any(axis=1).all():
        return
    file.seek(8)
    inflate, have = zlib.decompressobj(), 0
    expected = None
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        length = int.from_bytes(head[:4], "big")
        following = file.tell() + length + 4
        if head[4:] == b"IHDR":
            expected = _png_bytes(*struct.unpack(">IIBBBBB", file.read(13)))
        while head[4:] == b"IDAT" and not inflate.eof and (block := file.read(min(length, 1 << 16))):
            length -= len(block)
            while block:
                have += len(inflate.decompress(block, 1 << 20))
                block = inflate.unconsumed_tail
                if expected is not None and have >= expected:  # whole; what else there is is not looked at
                    return
        file.seek(following)
    if expected is not None and have < expected:
        raise Refused(f"cannot be read: it is cut off: expected {expected} bytes of pixels, got {have}")


def _png_bytes(width: int, height: int, depth: int, colour: int, _c: int, _f: int, interlaced: int) -> int:
    """Bytes that a PNG file's compressed data hold: rows, each with a byte for its filter."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    total = 0
    for x, y, dx, dy in passes if interlaced else [(0, 0, 1, 1)]:
        columns, rows = -(-(width - x) // dx), -(-(height - y) // dy)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total
