"""PNG files whose values are labels: as they stand in the file, not as a viewer shows them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import PngImagePlugin

from esam_fast import _files
from esam_fast.evaluate.limits import MAX_PNG_BYTES
from esam_fast.evaluate.truth import DatasetError, check_size

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = {2, 6}  # of the header: RGB, RGBA
_ALPHA = {4, 6}


@dataclass(frozen=True)
class Png:
    """The values of a PNG file, alpha left out.

    Attributes:
        values: uint8 or uint16 [H, W], or uint8 [H, W, 3] (R G B).
        bits: of one value in the file: 1, 2, 4, 8 or 16.
        palette: uint8 [256, 3] (R G B), the colours whose numbers the values [H, W] are; else None.
    """

    values: NDArray[Any]
    bits: int
    palette: NDArray[np.uint8] | None

    def gray(self) -> NDArray[Any] | None:
        """The values [H, W], also of a colour file whose three channels are equal; None where they are not."""
        if self.values.ndim == 2:
            return self.values
        first = self.values[..., 0]
        return first if (self.values == first[..., None]).all() else None


def read(path: Path) -> Png:
    """Read a PNG file.

    Raises:
        DatasetError: no such file, no PNG, damaged, larger than any image, or with colours of 16 bits.
    """
    try:
        with _files.open_regular(path) as file:
            data = file.read(MAX_PNG_BYTES + 1)
    except FileNotFoundError:
        raise DatasetError(f"{path}: expected a PNG, got none") from None
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
    if len(data) > MAX_PNG_BYTES:
        raise DatasetError(f"{path}: expected at most {MAX_PNG_BYTES} bytes of PNG, got more")
    if not (data.startswith(_SIGNATURE) and len(data) > 25):
        raise DatasetError(f"{path}: expected a PNG, got a damaged file or one of another kind")
    bits, kind = data[24], data[25]
    try:
        with PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:
            try:
                check_size(image.height, image.width, str(path))
            except ValueError as error:
                raise DatasetError(str(error)) from None
            values = np.asarray(image)
            palette = _palette(image.getpalette("RGB")) if image.mode == "P" else None
    except DatasetError:
        raise
    except Exception as error:  # a decoder raises whatever it tripped over
        raise DatasetError(f"{path}: expected a PNG, got a damaged file ({error})") from error
    if bits == 16 and kind != 0:
        raise DatasetError(f"{path}: expected labels of 16 bits in gray, got them in colours or with alpha")
    if kind in _ALPHA:
        values = values[..., :-1] if kind in _COLOURS else values[..., 0]
    if values.dtype.kind not in "bu" or values.dtype.itemsize > 2:  # 16 bits, which Pillow may give as int32
        values = values.astype(np.uint16)
    if kind == 0 and bits in (2, 4):  # which Pillow stretches to 255
        values = values // (255 // ((1 << bits) - 1))
    return Png(values.astype(np.uint8) if values.dtype == np.bool_ else values, bits, palette)


def _palette(colours: list[int] | None) -> NDArray[np.uint8]:
    found = np.zeros((256, 3), np.uint8)
    given = np.array(colours or [], np.uint8).reshape(-1, 3)
    found[: len(given)] = given
    return found
