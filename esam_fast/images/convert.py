"""Arrays of any accepted shape and depth as uint8 RGB."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRETCH = (1.0, 99.0)  # percentiles that become black and white

_BLOCK = 1 << 22  # values converted at a time: temporaries stay small on large images
HELP = "stretch=True (--stretch on the command line) spreads them over the range from black to white"
SAMPLE = 1 << 22  # values that percentiles are taken of, at most about


class ImageWarning(UserWarning):
    """An image that was read, but probably not as it was meant; the message says what would help."""


def to_rgb(
    image: NDArray[Any], stretch: bool, name: str, bits: int, span: tuple[float, float] | None = None
) -> NDArray[np.uint8]:
    """See `esam_fast.images.as_rgb`; `name` is for warnings. uint8 of more `bits` is the high byte of 16.

    `span` is what is black and white, of a window of an image for which `black_and_white` told it.
    """
    image = np.asarray(image)  # of a masked array, its data
    if image.dtype.kind not in "bf" and image.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise TypeError(f"image must be uint8, uint16, bool or float, got {image.dtype}")
    channels = _channels_last(image)
    if image.size == 0:
        raise ValueError(f"image must have at least one pixel, got shape {list(image.shape)}")
    height, width, count = channels.shape
    colours, alpha = (channels[..., :-1], channels[..., -1:]) if count in (2, 4) else (channels, None)
    if image.dtype.kind == "f":
        _check_finite(image)
        for part in (alpha,) if stretch else (colours, alpha):
            _check_unit(part)
    black, white = black_and_white(colours, stretch, name, bits) if span is None else span
    if channels.dtype == np.uint8 and count == 3 and not stretch:
        return np.require(channels, requirements=["C", "W"])
    out = np.empty((height, width, 3), np.uint8)
    step = max(1, _BLOCK // (width * count))
    for top in range(0, height, step):
        rows = np.s_[top : top + step]
        shown = _eight_bits(colours[rows], black, white)
        out[rows] = shown if alpha is None else _over_white(shown, _eight_bits(alpha[rows], 0, _white(alpha.dtype)))
    return out


def black_and_white(
    colours: NDArray[Any], stretch: bool, name: str, bits: int, stacklevel: int = 5
) -> tuple[float, float]:
    """What becomes black and white in an image of these colours [...]; warns of one that is nearly black."""
    if stretch:
        return _percentiles(colours)
    _warn_of_darkness(colours, name, bits, stacklevel)
    return 0.0, _white(colours.dtype)


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


def _check_finite(values: NDArray[Any]) -> None:
    if not (np.isfinite(values.min()) and np.isfinite(values.max())):
        raise ValueError("image must be finite, got NaN or infinity")


def _check_unit(values: NDArray[Any] | None) -> None:
    if values is None:
        return
    least, most = values.min(), values.max()
    if not (least >= 0 and most <= 1):
        raise ValueError(
            f"image must lie in [0, 1] when it is float, got values from {least:g} to {most:g}; "
            f"convert 0..255 to uint8; {HELP}"
        )


def _white(dtype: np.dtype[Any]) -> float:
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else 1.0


def _warn_of_darkness(colours: NDArray[Any], name: str, bits: int, stacklevel: int) -> None:
    if colours.dtype.kind == "b" or bits <= 8:
        return
    white, most = _white(colours.dtype), colours.max()
    if 0 < most < white / 4:
        kind = "float" if colours.dtype.kind == "f" else "16-bit"
        most, white = (int(most) * 257, 65535) if colours.dtype == np.uint8 else (most, white)
        warnings.warn(
            f"{name}: nearly black, since its {kind} values reach only {most:g} where {white:g} is white; {HELP}",
            ImageWarning,
            stacklevel=stacklevel,
        )


def _percentiles(colours: NDArray[Any]) -> tuple[float, float]:
    """What becomes black and white: percentiles of a regular sample, or the extremes where those are one value."""
    step = max(1, int((colours.size / SAMPLE) ** 0.5))
    black, white = np.percentile(colours[::step, ::step].astype(np.float64), STRETCH)
    if black == white:
        black, white = colours.min(), colours.max()
    return float(black), float(white)


def _eight_bits(values: NDArray[Any], black: float, white: float) -> NDArray[np.uint8]:
    """Values as uint8, `black` at 0 and `white` at 255; where these are the whole range of integers, exactly."""
    if black == 0 and white == _white(values.dtype):
        if values.dtype == np.uint8:
            return values
        if values.dtype.kind == "u":
            return (values >> 8).astype(np.uint8)
        if values.dtype.kind == "b":
            return values.astype(np.uint8) * np.uint8(255)
        return np.rint(values.astype(np.float32) * 255).astype(np.uint8)
    span = white - black if white > black else 1.0
    return np.rint(((values - black) * (255 / span)).clip(0, 255)).astype(np.uint8)


def _over_white(colours: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours [h, w, C] of opacity [h, w, 1], on white, rounded to nearest."""
    missing = (255 - colours) * alpha.astype(np.uint16) + 128
    return (255 - ((missing + (missing >> 8)) >> 8)).astype(np.uint8)
