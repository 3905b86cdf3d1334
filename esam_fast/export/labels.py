"""Label maps as files, made strip by strip: PNG, and TIFF where labels need more than 16 bits."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check
from esam_fast.images import tiff

MARK = b"result of esam-fast"
MOST_IN_PNG = 65535  # label of a 16-bit PNG

_BLOCK = 1 << 20  # pixels of a strip
_UP = 2  # PNG's filter: the difference from the row above
_GRAY, _RGB = 0, 2  # PNG's kinds of colour


def label_map(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """A label map int32 [H, W] that has pixels and no negative labels.

    Raises:
        TypeError, ValueError: it is none.
    """
    labels = _check.array("labels", labels, np.int32, ("H", "W"))
    if labels.size == 0 or labels.min() < 0:
        raise ValueError(f"labels must have pixels, and be 0 or more, got shape {list(labels.shape)}")
    return labels


def gray_png(labels: NDArray[np.int32]) -> bytes:
    """A label map [H, W] as PNG of 16-bit gray.

    Raises:
        TypeError: no label map. ValueError: a label does not fit, or is negative.
    """
    labels = label_map(labels)
    if labels.max() > MOST_IN_PNG:
        raise ValueError(f"labels must be at most {MOST_IN_PNG} for a 16-bit PNG, got {labels.max()} entities")
    return _png(labels.shape, 16, _GRAY, lambda rows: labels[rows].astype(">u2").view(np.uint8))


def panoptic_png(labels: NDArray[np.int32]) -> bytes:
    """A label map [H, W] as PNG of RGB: label = R + 256 G + 65536 B.

    Raises:
        TypeError: no label map. ValueError: a label does not fit, or is negative.
    """
    labels = label_map(labels)
    if labels.max() >= 1 << 24:
        raise ValueError(f"labels must fit the 24 bits of a panoptic PNG, got {labels.max()} entities")

    def digits(rows: slice) -> NDArray[np.uint8]:
        quads = labels[rows].astype("<u4").view(np.uint8).reshape(-1, labels.shape[1], 4)
        return quads[..., :3].reshape(len(quads), -1)

    return _png(labels.shape, 8, _RGB, digits)


def deep_tiff(labels: NDArray[np.int32]) -> bytes:
    """A label map [H, W] as TIFF of 32-bit gray without a sign, deflated in strips, with the mark of a result."""
    height, width = label_map(labels).shape
    strips = list(_strips(height, width))
    data = [zlib.compress(labels[rows].astype("<u4").tobytes(), 1) for rows in strips]
    numbers = {
        tiff.WIDTH: [width], tiff.HEIGHT: [height], tiff.BITS: [32], tiff.COMPRESSION: [8], tiff.PHOTOMETRIC: [1],
        tiff.SAMPLES: [1], tiff.ROWS_PER_STRIP: [strips[0].stop], tiff.SAMPLE_FORMAT: [1],
    }  # fmt: skip
    return tiff.written("<", {tag: tiff.integers("<", values) for tag, values in numbers.items()}, False, data, MARK)


def _png(shape: tuple[int, ...], bits: int, kind: int, values: Callable[[slice], NDArray[np.uint8]]) -> bytes:
    """A PNG of `shape` [H, W], whose rows of values as the file holds them `values` gives: uint8 [rows, bytes]."""
    height, width = shape
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([bits, kind, 0, 0, 0])
    chunks = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header)]
    deflate = zlib.compressobj(1)
    above: NDArray[np.uint8] | int = 0
    for rows in _strips(height, width):
        own = values(rows)
        filtered = np.full((len(own), 1 + own.shape[1]), _UP, np.uint8)
        filtered[0, 1:] = own[0] - above
        np.subtract(own[1:], own[:-1], out=filtered[1:, 1:])
        above = own[-1]
        chunks.append(chunk(b"IDAT", deflate.compress(filtered.tobytes())))
    return b"".join([*chunks, chunk(b"IDAT", deflate.flush()), chunk(b"IEND", b"")])


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def _strips(height: int, width: int) -> Iterator[slice]:
    step = max(1, _BLOCK // width)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))
