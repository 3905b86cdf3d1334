"""Pictures side by side, each under its title, with a legend below."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from esam_fast.render.colours import Image
from esam_fast.render.drawing import BLACK, WHITE, Colour, hatch, stripes, text

MARKS: dict[str, Colour] = {"split": (255, 140, 0), "merged": (0, 170, 255), "added": (110, 220, 0)}
NO_ENTITY, OVERLAP = "no entity", "two masks overlap"
_GAP = 4  # pixels on each side of a panel
_INK = (30, 30, 30)


class Panel(NamedTuple):
    """A picture and its title: some words, then, if given, counts ("split": 3) with the colours of their marks."""

    title: str
    picture: Image
    counts: dict[str, int] | None = None


def side_by_side(panels: list[Panel], legend: tuple[str, ...] = ()) -> Image:
    """The panels in a row on white, all pictures of one size.

    Args:
        panels: from left to right.
        legend: signs that a line below explains: NO_ENTITY, OVERLAP, keys of MARKS.
    """
    width = panels[0].picture.shape[1]
    wanted = [_title(panel, 24) for panel in panels]
    high = 24 * min(1.0, width / (24 + max(title.shape[1] for title in wanted)))
    titles = [_title(panel, high) for panel in panels]
    band = max(title.shape[0] for title in titles) + 2 * _GAP
    row = np.hstack([_framed(title, panel.picture, band) for title, panel in zip(titles, panels, strict=True)])
    if not legend:
        return row
    line = _fitted(_legend(legend, 0.8 * high), row.shape[1])
    return np.vstack([row, line])


def _title(panel: Panel, high: float) -> Image:
    if panel.counts is None:
        return _word(panel.title, high)
    parts = [_word(f"{panel.title}:" if panel.counts else f"{panel.title}: no change", high)]
    for k, (word, count) in enumerate(panel.counts.items(), start=1):
        if word in MARKS:
            parts.append(_swatch(np.full((*_square(high), 3), MARKS[word], np.uint8)))
        parts.append(_word(f"{count} {word}" + ("," if k < len(panel.counts) else ""), high))
    return _in_line(parts, round(0.35 * high))


def _legend(signs: tuple[str, ...], high: float) -> Image:
    shape = (_square(high)[0], 3 * _square(high)[1])
    parts = []
    for sign in signs:
        if sign == NO_ENTITY:
            picture = hatch(np.full((*shape, 3), 90, np.uint8))
        elif sign == OVERLAP:
            picture = np.array([[230, 150, 90], [90, 160, 220]], np.uint8)[stripes(shape, 4).astype(int)]
        else:
            picture = np.full((*shape, 3), MARKS[sign], np.uint8)
            picture[4:-4, 4:-4] = 200
        parts += [_swatch(picture), _word(f"{sign} in this step" if sign in MARKS else sign, high)]
    return _in_line(parts, round(0.6 * high))


def _square(high: float) -> tuple[int, int]:
    return max(9, round(high)), max(9, round(high))


def _word(words: str, high: float) -> Image:
    """Dark letters on white, with room above and below so that all words of one height stand on one line."""
    ink = text(words, high)
    return (255 - ink[..., None] * ((255 - np.array(_INK)) / 255)).astype(np.uint8)


def _swatch(picture: Image) -> Image:
    return cv2.copyMakeBorder(picture, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=BLACK)


def _in_line(parts: list[Image], gap: int) -> Image:
    """Parts beside each other on white, each in the middle of the line."""
    high = max(part.shape[0] for part in parts)
    line = []
    for part in parts:
        above = (high - part.shape[0]) // 2
        below = high - part.shape[0] - above
        line.append(cv2.copyMakeBorder(part, above, below, 0, gap, cv2.BORDER_CONSTANT, value=WHITE))
    return np.hstack(line)


def _framed(title: Image, picture: Image, band: int) -> Image:
    """A picture in a white frame under its title."""
    framed = cv2.copyMakeBorder(picture, band, _GAP, _GAP, _GAP, cv2.BORDER_CONSTANT, value=WHITE)
    width = min(title.shape[1], picture.shape[1])
    framed[_GAP : _GAP + title.shape[0], _GAP : _GAP + width] = title[:, :width]
    return framed


def _fitted(line: Image, width: int) -> Image:
    """A line on white of this width; shrunk where it is wider."""
    if line.shape[1] + 2 * _GAP > width:
        scale = max(1, width - 2 * _GAP) / line.shape[1]
        line = cv2.resize(line, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    right = max(0, width - _GAP - line.shape[1])
    return cv2.copyMakeBorder(line, _GAP, 2 * _GAP, _GAP, right, cv2.BORDER_CONSTANT, value=WHITE)[:, :width]
