"""TIFF directories: what the tags of a file's first frame say, and a file made of some of its tiles or strips."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from esam_fast import _limits
from esam_fast.images.headers import Refused

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES = 256, 257, 258, 259, 262, 274, 277
STRIP_OFFSETS, ROWS_PER_STRIP, STRIP_BYTES, PLANAR, SAMPLE_FORMAT = 273, 278, 279, 284, 339
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325

_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # kinds of values, as struct writes them
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_LONG, _LONG8 = 4, 16  # the latter of BigTIFF alone
_FEW = 64  # values that are read of a list unless it is asked for whole
# What decoding needs: compression and its tables, colours, samples, fax options.
_DECODING = (BITS, COMPRESSION, PHOTOMETRIC, 266, SAMPLES, PLANAR, 292, 293, 317, 320, 332, 338, SAMPLE_FORMAT,
             TILE_WIDTH, TILE_HEIGHT, 347, 529, 530, 531, 532)  # fmt: skip


@dataclass(frozen=True)
class Directory:
    """The tags of a TIFF file's first frame.

    Attributes:
        order: "<" or ">", the byte order. tags: kind and values, as bytes.
    """

    order: str
    tags: Mapping[int, tuple[int, bytes]]

    def numbers(self, tag: int, default: Sequence[int] = ()) -> list[int]:
        """The whole numbers of a tag, `default` where it has none."""
        kind, data = self.tags.get(tag, (0, b""))
        if kind not in _INTEGERS or not data:
            return list(default)
        return np.frombuffer(data, f"{self.order}u{_SIZES[kind]}").tolist()

    def number(self, tag: int, default: int) -> int:
        """The first whole number of a tag."""
        return self.numbers(tag, [default])[0]


def directory(file: BinaryIO, *, whole: bool = False) -> Directory:
    """The first directory of a TIFF file; of long lists the first values only, unless `whole`.

    Raises:
        Refused: it is damaged, or a tag is too large.
    """
    file.seek(0)
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    tags = {}
    try:
        big = struct.unpack(f"{order}H", head[2:4])[0] == 43  # BigTIFF
        count, entry, offset, inline = ("Q", "HHQ8s", "Q", 8) if big else ("H", "HHI4s", "I", 4)
        file.seek(*struct.unpack(f"{order}{offset}", head[8:16] if big else head[4:8]))
        (entries,) = struct.unpack(f"{order}{count}", file.read(struct.calcsize(f"={count}")))
        step = struct.calcsize(f"={entry}")
        rows = file.read(step * min(entries, 1 << 16))
        for start in range(0, len(rows), step):
            tag, kind, values, at = struct.unpack(f"{order}{entry}", rows[start : start + step])
            size = _SIZES.get(kind, 1)
            if size * values > _limits.MAX_TIFF_TAG_BYTES:
                most = _limits.MAX_TIFF_TAG_BYTES
                raise Refused(f"expected at most {most} bytes a TIFF tag, got {size * values} in tag {tag}")
            wanted = size * (values if whole else min(values, _FEW))
            if size * values > inline and wanted and (kind in _INTEGERS or tag in _DECODING):
                file.seek(*struct.unpack(f"{order}{offset}", at))
                at = file.read(wanted)
            data = at[:wanted]
            tags[tag] = kind, data[: len(data) // size * size]
    except (struct.error, OverflowError, OSError) as error:
        raise Refused("its TIFF directory is damaged") from error
    return Directory(order, tags)


def check(file: BinaryIO) -> int:
    """Bits of a channel of a TIFF file's first frame; 0: float.

    Refuses pixels that Pillow cannot read or misreads, and tags and tiles that are too large.
    """
    tags = directory(file)
    width, height = tags.number(WIDTH, 0), tags.number(HEIGHT, 0)
    bits, samples, planar = max(tags.numbers(BITS, [1])), tags.number(SAMPLES, 1), tags.number(PLANAR, 1)
    kind = {1: "unsigned", 2: "signed", 3: "float"}.get(tags.number(SAMPLE_FORMAT, 1), "unknown")
    pixel = f"a TIFF of {samples} samples of {bits} bits ({kind}) a pixel"
    if (samples > 2 and bits > 16) or (samples > 4 and bits > 8) or (samples == 2 and bits > 8):
        raise Refused(
            f"{pixel} is not read: choose three bands and save them as RGB of 8 or 16 bits, "
            f"or pass them as an array [H, W, 3]"
        )
    if kind == "float" and bits != 32:
        raise Refused(f"{pixel} is not read: save it as 32-bit float, or pass it as an array")
    if samples > 1 and planar == 2 and bits > 8:
        raise Refused(f"{pixel} in separate planes is not read: save it interleaved, or pass it as an array")
    tile = tags.number(TILE_WIDTH, 0) * tags.number(TILE_HEIGHT, 0)
    if tile > max(_limits.CHEAP_PIXELS, 4 * width * height):
        raise Refused(f"its header says tiles of {tile} pixels in an image of {width} x {height}")
    return bits if kind != "float" else 0


@dataclass(frozen=True)
class Chunks:
    """The tiles or strips of a frame, each compressed alone.

    Attributes:
        height, width: of one, pixels. tiled: whether they are tiles; a strip is as wide as the image.
        offsets, sizes: int64 [planes, down, across], of each one's bytes in the file.
    """

    height: int
    width: int
    tiled: bool
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]


def chunks(tags: Directory) -> Chunks | None:
    """How a frame is divided, or None where its directory does not tell. Strips that are not compressed become rows."""
    width, height, tiled = tags.number(WIDTH, 0), tags.number(HEIGHT, 0), TILE_OFFSETS in tags.tags
    planes = tags.number(SAMPLES, 1) if tags.number(PLANAR, 1) == 2 else 1
    across, down = (
        (tags.number(TILE_WIDTH, 0), tags.number(TILE_HEIGHT, 0))
        if tiled
        else (width, min(tags.number(ROWS_PER_STRIP, height), height))
    )
    if min(width, height, across, down) < 1:
        return None
    shape = planes, -(-height // down), -(-width // across)
    offsets, sizes = (
        np.array(tags.numbers(tag), np.uint64).astype(np.int64)
        for tag in ((TILE_OFFSETS, TILE_BYTES) if tiled else (STRIP_OFFSETS, STRIP_BYTES))
    )
    if len(offsets) != np.prod(shape) or (offsets < 0).any():
        return None
    offsets = offsets.reshape(shape)
    if not tiled and tags.number(COMPRESSION, 1) == 1 and tags.number(PHOTOMETRIC, 1) != 6:
        row = -(-width * sum(tags.numbers(BITS, [1])[: 1 if planes > 1 else None]) // 8)
        offsets = (offsets + row * np.arange(down)).reshape(planes, -1, 1)[:, :height]
        return Chunks(1, width, False, offsets, np.full_like(offsets, row))
    if len(sizes) != offsets.size or (sizes < 0).any():
        return None
    return Chunks(down, across, tiled, offsets, sizes.reshape(shape))


def part(tags: Directory, width: int, height: int, division: Chunks, data: Sequence[bytes]) -> bytes:
    """A TIFF file of these tiles or strips of another, as they are, as a frame of `height` x `width` pixels.

    Args:
        tags: of the other file.
        division: how the other file is divided.
        data: of its tiles or strips, plane by plane, row by row.
    """
    entries = {tag: tags.tags[tag] for tag in _DECODING if tag in tags.tags}
    entries |= {tag: integers(tags.order, tags.numbers(tag)) for tag, (kind, _) in entries.items() if kind == _LONG8}
    sizes = {WIDTH: width, HEIGHT: height} if division.tiled else {
        WIDTH: width, HEIGHT: height, ROWS_PER_STRIP: division.height,
    }  # fmt: skip
    entries |= {tag: integers(tags.order, [value]) for tag, value in sizes.items()}
    return written(tags.order, entries, division.tiled, data)


def integers(order: str, values: Sequence[int]) -> tuple[int, bytes]:
    """A tag's kind and values, as `Directory` holds them, of whole numbers under 2^32."""
    return _LONG, np.array(values, f"{order}u4").tobytes()


def written(
    order: str, entries: Mapping[int, tuple[int, bytes]], tiled: bool, data: Sequence[bytes], comment: bytes = b""
) -> bytes:
    """A TIFF file of tiles or strips.

    Args:
        order: "<" or ">", of bytes. entries: its tags but for those of places and sizes, as `Directory` holds them.
        tiled: whether data are those of tiles. data: of each tile or strip. comment: stands first in the file.
    """
    body = comment + bytes(len(comment) % 2) + b"".join(data)
    sizes = [len(one) for one in data]
    offsets = len(body) + 8 - np.cumsum(sizes[::-1])[::-1]
    body += bytes(len(body) % 2)
    places = (TILE_OFFSETS, TILE_BYTES) if tiled else (STRIP_OFFSETS, STRIP_BYTES)
    entries = {**entries, places[0]: integers(order, offsets.tolist()), places[1]: integers(order, sizes)}
    start = 8 + len(body)
    after = start + 2 + 12 * len(entries) + 4
    rows, long_values = b"", b""
    for tag, (kind, value) in sorted(entries.items()):
        if len(value) > 4:
            at = struct.pack(f"{order}I", after + len(long_values))
            long_values += value + bytes(len(value) % 2)
        else:
            at = value.ljust(4, b"\0")
        rows += struct.pack(f"{order}HHI", tag, kind, len(value) // _SIZES[kind]) + at
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    return head + body + struct.pack(f"{order}H", len(entries)) + rows + bytes(4) + long_values
