"""The strokes: tints, hatching, borders, numbers and captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

from esam_fast.render.colours import Image, Labels

Colour = tuple[int, int, int]
Mark = tuple[Any, Colour]  # labels, and the colour of their bold outlines

WHITE = (255, 255, 255)
BLACK = (0, 0, 0)
_FAINT = 0.35  # share of alpha that is left to what is not marked


def tinted(
    image: Image,
    labels: Labels,
    colours: Image,
    alpha: float,
    *,
    under: Labels | None = None,
    marks: Sequence[Mark] = (),
) -> Image:
    """The image under a label map, with borders: uint8 [H, W, 3].

    Args:
        image: uint8 [H, W, 3] RGB.
        labels: int32 [H, W], 0..K; hatched gray where 0.
        colours: uint8 [K + 1, 3].
        alpha: share of the colour in the mix, 0 to 1.
        under: int32 [H, W], the entity below each pixel's own, 0 if none: shown in stripes.
        marks: what to outline boldly; where there is any, the others are tinted faintly.
    """
    seen, border = labels, borders(labels)
    if under is not None:
        seen = np.where((under > 0) & stripes(labels.shape, 5), under, labels)
        border |= borders(under)
    share = np.full(len(colours), alpha)
    if marks:
        share *= _FAINT
        share[[label for marked, _ in marks for label in marked]] = alpha
    mix = np.zeros((len(colours), 4), np.uint8)
    mix[:, :3] = colours
    mix[:, 3] = np.rint(255 * share)
    tint = mix.view(np.uint32)[:, 0][seen].view(np.uint8).reshape(*labels.shape, 4)
    if not marks:
        out = cv2.addWeighted(image, 1 - alpha, cv2.cvtColor(tint, cv2.COLOR_RGBA2RGB), alpha, 0)
    else:
        weight = tint[..., 3:] / np.float32(255)
        out = np.rint(image * (1 - weight) + tint[..., :3] * weight).astype(np.uint8)
    bare = labels == 0
    if bare.any():
        out[bare] = hatch(image)[bare]
    draw_borders(out, border)
    for marked, colour in marks:
        _outline(out, np.isin(labels, list(marked)), border, colour)
    return out


def hatch(image: Image) -> Image:
    """An image as it looks where there is no entity: gray, dim, with lighter diagonal stripes."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) // 3 + np.uint8(20)
    return np.repeat((gray + 70 * stripes(gray.shape, 4).astype(np.uint8))[..., None], 3, axis=2)


def stripes(shape: tuple[int, ...], width: int) -> NDArray[np.bool_]:
    """Diagonal stripes over an area of this shape, every other one True, wider on large areas: bool [h, w]."""
    width *= max(1, round(max(shape) / 700))
    lines: NDArray[np.bool_] = (np.arange(shape[0] + shape[1]) // width % 2).astype(np.bool_)
    return np.lib.stride_tricks.sliding_window_view(lines, shape[1])[: shape[0]]


def borders(labels: NDArray[Any]) -> Image:
    """Where a label map changes: 255 on the pixel left of or above each change."""
    border = np.zeros(labels.shape, np.uint8)
    border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    border[:-1] |= labels[:-1] != labels[1:]
    return border * np.uint8(255)


def draw_borders(image: Image, border: Image) -> None:
    """White lines with a dark casing, so that they show on any ground; one pixel wide, or more on large images."""
    width = max(1, round(max(border.shape) / 1000))
    line = cv2.dilate(border, np.ones((width, width), np.uint8)) if width > 1 else border
    casing = cv2.dilate(border, np.ones((width + 2, width + 2), np.uint8))
    _blend(image, cv2.GaussianBlur(casing, (3, 3), 0.6), BLACK, 0.85)
    _blend(image, cv2.GaussianBlur(line, (3, 3), 0.5), WHITE, 1.0)


def write_ids(image: Image, labels: Labels) -> None:
    """Each label at the point of its entity that is farthest from any border."""
    shrink = max(1.0, max(labels.shape) / 512)
    size = (max(1, round(labels.shape[1] / shrink)), max(1, round(labels.shape[0] / shrink)))
    coarse = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    inner = np.pad(borders(coarse) == 0, 1).astype(np.uint8)
    radius = cv2.distanceTransform(inner, cv2.DIST_L2, 5)[1:-1, 1:-1].ravel() * shrink
    centre = np.full(labels.max() + 1, -1)
    order = np.argsort(radius, kind="stable")
    centre[coarse.ravel()[order]] = order  # of equal labels the last one counts: the greatest radius
    unit = max(1.0, max(labels.shape) / 1200)
    for label in np.flatnonzero(centre[1:] >= 0) + 1:
        row, col = np.divmod(centre[label], size[0])
        room = radius[centre[label]]
        high = float(np.clip(0.6 * room, 11 * unit, 24 * unit))
        if room < 0.5 * high:
            continue
        ink = np.pad(text(str(label), high), 3)
        top, left = round((row + 0.5) * shrink) - ink.shape[0] // 2, round((col + 0.5) * shrink) - ink.shape[1] // 2
        _stamp(image, ink, top, left)


def text(words: str, high: float) -> Image:
    """A line of text whose capitals are `high` pixels tall, as ink 0 to 255, from ascender to descender: uint8 [h, w].

    Pillow's own font: OpenCV's differs from version to version, and in some a 0 with its slash reads as an 8.
    """
    font = cast(PIL.ImageFont.FreeTypeFont, PIL.ImageFont.load_default(max(7.0, 1.4 * high)))
    left, _, right, _ = font.getbbox(words)
    ascent, descent = font.getmetrics()
    canvas = PIL.Image.new("L", (max(1, round(right - left)), ascent + descent))
    PIL.ImageDraw.Draw(canvas).text((-left, 0), words, font=font, fill=255)
    return np.array(canvas)


def _outline(image: Image, inside: NDArray[np.bool_], border: Image, colour: Colour) -> None:
    """A bold line along the inner side of the borders of some entities."""
    width = 2 * max(2, round(max(border.shape) / 250)) + 1
    band = cv2.dilate(border, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))) * inside
    rim = cv2.dilate(band, np.ones((3, 3), np.uint8)) * inside
    _blend(image, rim, BLACK, 0.8)
    _blend(image, band, colour, 1.0)


def _blend(image: Image, ink: Image, colour: Colour, share: float) -> None:
    """Lay a colour over an image where there is ink (0 to 255), `share` of it at most."""
    at = np.flatnonzero(ink)
    weight = ink.ravel()[at, None] * np.float32(share / 255)
    flat = image.reshape(-1, 3)
    flat[at] = np.rint(flat[at] * (1 - weight) + np.array(colour, np.float32) * weight).astype(np.uint8)


def _stamp(image: Image, ink: Image, top: int, left: int) -> None:
    """White ink [h, w] with a dark outline, its corner at (top, left), cut at the image's rim."""
    shadow = cv2.GaussianBlur(cv2.dilate(ink, np.ones((3, 3), np.uint8)), (3, 3), 0.7)
    rows, cols = (
        slice(max(0, -start), min(length, limit - start))
        for start, length, limit in zip((top, left), ink.shape, image.shape, strict=False)
    )
    white, dark = ink[rows, cols, None] / np.float32(255), shadow[rows, cols, None] / np.float32(255)
    part = image[top + rows.start : top + rows.stop, left + cols.start : left + cols.stop]
    part[:] = (part * (1 - dark) * (1 - white) + 255 * white).astype(np.uint8)
