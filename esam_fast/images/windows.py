"""TIFF files read by windows: an image that need not fit into memory."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esam_fast import _limits
from esam_fast._files import open_regular
from esam_fast.images import decode, headers, tiff
from esam_fast.images.convert import SAMPLE, black_and_white, to_rgb
from esam_fast.images.errors import ImageError, named
from esam_fast.images.headers import Refused

_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SIDE = 4096  # of windows in which a whole image is looked through


class _Area(NamedTuple):
    """A part of an image, half-open, pixels."""

    top: int
    bottom: int
    left: int
    right: int


class TiffWindows:
    """An image in a TIFF file as uint8 [H, W, 3] RGB, of which only what is asked for is read and decoded.

    `image[rows, columns]` and `image[rows]`, with slices of step 1, give what the same slices of `load_image` are. What
    was decoded last is kept for the next slice; one thread at a time may ask.

    Attributes:
        shape: (H, W, 3).
    """

    def __init__(self, path: Path, tags: tiff.Directory, chunks: tiff.Chunks, bits: int, stretch: bool) -> None:
        self.shape = (tags.number(tiff.HEIGHT, 0), tags.number(tiff.WIDTH, 0), 3)
        self._path, self._tags, self._chunks, self._bits = path, tags, chunks, bits
        self._span = 0.0, 255.0
        self._stretch = stretch
        self._last = _Area(0, 0, 0, 0), np.zeros((0, 0, 3), np.uint8)
        if bits != 8 or stretch:  # where black and white lie, the whole image tells
            self._span = black_and_white(self._sample(), stretch, str(path), bits, stacklevel=6)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice | tuple[slice, slice]) -> NDArray[np.uint8]:
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        top, bottom, down = rows.indices(self.shape[0])
        left, right, across = columns.indices(self.shape[1])
        if (down, across) != (1, 1) or top >= bottom or left >= right:
            raise IndexError(f"expected slices of step 1 that hold pixels of {self.shape[:2]}, got {key}")
        held, pixels = self._last
        if not (held.top <= top and bottom <= held.bottom and held.left <= left and right <= held.right):
            held = self._around(top, bottom, left, right)
            self._last = held, (pixels := self._rgb(held))
        return pixels[top - held.top : bottom - held.top, left - held.left : right - held.left]

    def _around(self, top: int, bottom: int, left: int, right: int) -> _Area:
        """The whole tiles or strips that hold an area."""
        height, width = self._chunks.height, self._chunks.width
        return _Area(
            top // height * height, min(-(-bottom // height) * height, self.shape[0]),
            left // width * width, min(-(-right // width) * width, self.shape[1]),
        )  # fmt: skip

    def _rgb(self, area: _Area) -> NDArray[np.uint8]:
        pixels = self._decoded(area)
        try:
            return to_rgb(pixels, self._stretch, str(self._path), self._bits, self._span)
        except ValueError as error:
            raise ImageError(f"{self._path}: {error}") from None

    def _decoded(self, area: _Area) -> NDArray[Any]:
        """The pixels of an area of whole tiles or strips, as `decode.read` gives them."""
        chunks, height, width = self._chunks, area.bottom - area.top, area.right - area.left
        with named(self._path):
            if height * width > _limits.MAX_PIXELS:
                raise Refused(
                    f"expected at most {_limits.MAX_PIXELS / 1e6:.0f} megapixels in a window, but the tiles or strips "
                    f"that hold it have {width} x {height}"
                )
            down = slice(area.top // chunks.height, -(-area.bottom // chunks.height))
            across = slice(area.left // chunks.width, -(-area.right // chunks.width))
            offsets, sizes = (x[:, down, across].ravel().tolist() for x in (chunks.offsets, chunks.sizes))
            if sum(sizes) > _limits.MAX_IMAGE_BYTES:
                most = _limits.MAX_IMAGE_BYTES
                raise Refused(
                    f"expected at most {most / 1e9:.1f} GB a window, got tiles or strips of {sum(sizes)} bytes"
                )
            with open_regular(self._path) as file:
                data = []
                for offset, size in zip(offsets, sizes, strict=True):
                    file.seek(offset)
                    data.append(file.read(size))
                    if len(data[-1]) < size:
                        raise Refused("cannot be read: it is cut off")
            part = tiff.part(self._tags, width, height, chunks, data)
            return decode.read(io.BytesIO(part), deep=self._stretch)[0]

    def _sample(self) -> NDArray[Any]:
        """About SAMPLE of the image's colour values, on a regular grid: [N, 1]."""
        height, width, channels = self.shape
        step = max(1, int((height * width * channels / SAMPLE) ** 0.5))
        across = max(_SIDE, self._chunks.width)
        found = []
        for top in range(0, height, _SIDE):
            for left in range(0, width, across):
                area = self._around(top, min(top + _SIDE, height), left, min(left + across, width))
                pixels = self._decoded(area)[-area.top % step :: step, -area.left % step :: step]
                colours = pixels[..., :-1] if pixels.ndim == 3 and pixels.shape[2] in (2, 4) else pixels
                found.append(colours.reshape(-1, 1))
        return np.concatenate(found)


def find(path: Path, stretch: bool) -> TiffWindows | None:
    """The image in a TIFF file, if it can be read by windows.

    It can where its tiles or strips are no larger than what is decoded at once, where it need not be turned, and where
    values have at most 16 bits or are floats. What is wrong with a file is for `load_image` to say.

    Raises:
        Refused: more pixels than a divided image may have. OSError: the file cannot be read.
    """
    with open_regular(path) as file:
        if file.read(4) not in _STARTS:
            return None
        size = file.seek(0, os.SEEK_END)
        try:
            bits, tags = tiff.check(file), tiff.directory(file, whole=True)
        except Refused:
            return None
    width, height = tags.number(tiff.WIDTH, 0), tags.number(tiff.HEIGHT, 0)
    headers.check_size("TIFF", width, height, size, _limits.MAX_DIVIDED_PIXELS)
    chunks = tiff.chunks(tags)
    if chunks is None or chunks.height * chunks.width > _limits.MAX_PIXELS:
        return None
    if bits > 16 or tags.number(tiff.ORIENTATION, 1) != 1:
        return None
    return TiffWindows(path, tags, chunks, bits, stretch)
