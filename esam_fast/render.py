"""Pictures of results, made to be looked at: colours that tell neighbours apart, thin smooth borders, numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast.masks import MaskGrid, ScoredMasks

Image = NDArray[np.uint8]
Labels = NDArray[np.int32]

ALPHA = 0.5
PANEL = 640  # longer side of a panel in a strip, pixels
_COLOURS = 40
_DISTINCT = 24.0  # Lab distance from which two mixed colours are told apart at a glance
_WHITE = (255, 255, 255)
_BLACK = (0, 0, 0)


def overlay(image: Image, labels: Labels, *, ids: bool = False, alpha: float = ALPHA) -> Image:
    """The image with every entity tinted in its own colour: uint8 [H, W, 3].

    Args:
        image: uint8 [H, W, 3] RGB.
        labels: int32 [H, W], 1..K, and 0 where there is no entity: shown gray and dim.
        ids: write each label at the entity's inmost point, where there is room.
        alpha: share of the colour in the mix, 0 to 1.
    """
    return _tinted(image, labels, entity_colours(image, labels, alpha), ids, alpha)


def colour_map(labels: Labels) -> Image:
    """A label map [H, W] in colours that tell neighbours apart, black where there is no entity: uint8 [H, W, 3]."""
    colours = entity_colours(np.full((*labels.shape, 3), 128, np.uint8), labels, 1.0)
    colours[0] = 0
    return colours[labels]


def entity_colours(image: Image, labels: Labels, alpha: float = ALPHA) -> Image:
    """A colour for each label of a map [H, W], so that no two neighbours look alike: uint8 [K + 1, 3], row 0 unused.

    Largest first, each entity takes the colour that, mixed with the image, is farthest from its neighbours' in Lab;
    colours that are distinct enough count alike, and of those the least used is taken.
    """
    palette, lab = _palette()
    count = int(labels.max())
    neighbours = _neighbours(labels, count)
    size, own = _means(image, labels, count)
    chosen = np.full(count + 1, -1)
    mixed = np.zeros((count + 1, 3))
    used = np.zeros(_COLOURS, np.int64)
    for label in np.argsort(-size[1:], kind="stable") + 1:
        around = neighbours[label]
        around = around[chosen[around] >= 0]
        mixes = (1 - alpha) * own[label] + alpha * lab
        apart = np.linalg.norm(mixes[:, None] - mixed[around], axis=2).min(axis=1, initial=_DISTINCT)
        best = np.lexsort((used, -apart))[0]
        chosen[label], mixed[label] = best, mixes[best]
        used[best] += 1
    return palette[chosen]


def strip(image: Image, panels: Mapping[str, NDArray[Any]], *, alpha: float = ALPHA) -> Image:
    """The image and several results on it side by side, each under its name (the paper's Fig. 6): uint8.

    Args:
        image: uint8 [H, W, 3] RGB.
        panels: by name, a label map int32 [h, w], or masks bool [N, h, w] that may overlap, drawn one after the
            other; h and w are any, each is stretched over the image. A mask that is mostly one entity of the
            last label map has that entity's colour.
        alpha: share of the colour in the mix, 0 to 1.
    """
    scale = min(1.0, PANEL / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    maps = {
        name: cv2.resize(panel.astype(np.int32), size, interpolation=cv2.INTER_NEAREST)
        for name, panel in panels.items()
        if panel.dtype != np.bool_
    }
    final = list(maps.values())[-1] if maps else np.zeros(small.shape[:2], np.int32)
    colours = entity_colours(small, final, alpha)
    drawn = {"Image": small}
    for name, panel in panels.items():
        if panel.dtype == np.bool_:
            drawn[name] = _layered(small, panel, final, colours, alpha)
        else:
            own = colours if maps[name] is final else entity_colours(small, maps[name], alpha)
            drawn[name] = _tinted(small, maps[name], own, False, alpha)
    return np.hstack([_captioned(name, picture) for name, picture in drawn.items()])


class Staged(Protocol):
    """What `steps` draws of a result; `EntityMap` tells what each is."""

    @property
    def labels(self) -> Labels: ...
    @property
    def grid(self) -> MaskGrid | None: ...
    @property
    def stages(self) -> Mapping[str, ScoredMasks] | None: ...


def steps(image: Image, entities: Staged) -> Image:
    """The stages of one result side by side: image, MMG, EMR, USR (the paper's Fig. 6), uint8.

    Raises:
        ValueError: the result was made without its stages.
    """
    stages, grid = entities.stages, entities.grid
    if stages is None or grid is None:
        raise ValueError("entities must hold the masks of its stages, got None; segment with keep_stages=True")

    def masks(stage: str) -> NDArray[np.bool_]:
        found = stages[stage]
        packed = found.masks if isinstance(found, ScoredMasks) else found
        return packed.to_bool()[::-1, : grid.rows, : grid.cols]

    return strip(image, {"MMG": masks("mmg"), "EMR": masks("emr"), "USR": entities.labels})


@cache
def _palette() -> tuple[Image, NDArray[np.float32]]:
    """Colours, each far from those before it: RGB uint8 [_COLOURS, 3] and the same in Lab, float32."""
    lightness, chroma, hue = np.meshgrid([48, 60, 72, 84], [30, 50, 70], np.deg2rad(np.arange(0, 360, 12)))
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1).reshape(1, -1, 3)
    lab = lab.astype(np.float32)
    rgb = cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)
    shown = np.linalg.norm(cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab) - lab, axis=2) < 1  # not clipped by the gamut
    lab, rgb = lab[shown], rgb[shown]
    distance = np.linalg.norm(lab[:, None] - lab, axis=2)
    picks = [0]
    while len(picks) < _COLOURS:
        picks.append(int(distance[picks].min(axis=0).argmax()))
    return np.rint(rgb[picks] * 255).astype(np.uint8), lab[picks]


def _means(image: Image, labels: Labels, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Size [count + 1] and mean Lab colour [count + 1, 3] of each label, from some 400 samples a row."""
    step = max(1, max(labels.shape) // 400)
    sample = labels[::step, ::step].ravel()
    lab = cv2.cvtColor(image[::step, ::step] / np.float32(255), cv2.COLOR_RGB2Lab).reshape(-1, 3)
    size = np.bincount(sample, minlength=count + 1)
    sums = [np.bincount(sample, weights=channel, minlength=count + 1) for channel in lab.T]
    return size, np.stack(sums, axis=1) / np.maximum(size, 1)[:, None]


def _neighbours(labels: Labels, count: int) -> list[NDArray[np.int64]]:
    """For each label 0..count, the others that touch it or lie close by, across a gap or a thin strip."""
    gap = max(2, max(labels.shape) // 150)
    keys = []
    for grid in (labels, labels[::gap, ::gap]):
        for a, b in ((grid[1:], grid[:-1]), (grid[:, 1:], grid[:, :-1])):
            meet = (a != b) & (a > 0) & (b > 0)
            first, second = a[meet].astype(np.int64), b[meet].astype(np.int64)
            keys.append(np.unique(np.concatenate([first * (count + 1) + second, second * (count + 1) + first])))
    first, second = np.divmod(np.unique(np.concatenate(keys)), count + 1)
    return np.split(second, np.searchsorted(first, np.arange(1, count + 1)))


def _tinted(image: Image, labels: Labels, colours: Image, ids: bool, alpha: float) -> Image:
    """The image under its label map, with borders and, if asked for, labels."""
    table = np.zeros((len(colours), 4), np.uint8)
    table[:, :3] = colours
    tint = table.view(np.uint32)[:, 0][labels].view(np.uint8).reshape(*labels.shape, 4)
    out = cv2.addWeighted(image, 1 - alpha, cv2.cvtColor(tint, cv2.COLOR_RGBA2RGB), alpha, 0)
    bare = labels == 0
    if bare.any():
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        out[bare] = (gray[bare] // 2)[:, None]
    _draw_borders(out, _border(labels))
    if ids:
        _write_ids(out, labels)
    return out


def _layered(image: Image, masks: NDArray[np.bool_], final: Labels, colours: Image, alpha: float) -> Image:
    """The image under masks [N, h, w] that may overlap: each tints what lies below it and has an outline."""
    height, width = image.shape[:2]
    x = (np.arange(width, dtype=np.float32) + 0.5) * masks.shape[2] / width - 0.5
    y = (np.arange(height, dtype=np.float32) + 0.5) * masks.shape[1] / height - 0.5
    out = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) // 2, cv2.COLOR_GRAY2RGB)
    bare = np.ones((height, width), np.bool_)
    border = np.zeros((height, width), np.uint8)
    whole = np.bincount(final.ravel(), minlength=len(colours))
    for k, mask in enumerate(masks):
        part = _reach(mask.any(axis=1), y), _reach(mask.any(axis=0), x)
        if part[0].start == part[0].stop or part[1].start == part[1].stop:
            continue
        to_x, to_y = np.meshgrid(x[part[1]], y[part[0]])
        soft = cv2.remap(mask * np.uint8(255), to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        here = soft > 127
        inside = np.bincount(final[part][here], minlength=len(colours))
        inside[0] = 0
        best = int(inside.argmax())
        known = 2 * inside[best] > max(whole[best], here.sum())
        colour = colours[best] if known else _palette()[0][k % _COLOURS]
        below = np.where(bare[part][here][:, None], image[part][here], out[part][here])
        out[part][here] = (below * (1 - alpha) + colour * alpha).astype(np.uint8)
        bare[part] &= ~here
        border[part] |= _border(here)
    _draw_borders(out, border)
    return out


def _reach(used: NDArray[np.bool_], position: NDArray[np.float32]) -> slice:
    """Where along an axis a mask can show: the pixels whose position in its grid is within one of a used row."""
    at = np.flatnonzero(used)
    if not len(at):
        return slice(0, 0)
    return slice(int(np.searchsorted(position, at[0] - 1)), int(np.searchsorted(position, at[-1] + 1, "right")))


def _border(labels: NDArray[Any]) -> Image:
    """Where a label map changes: 255 on the pixel left of or above each change."""
    border = np.zeros(labels.shape, np.uint8)
    border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    border[:-1] |= labels[:-1] != labels[1:]
    return border * np.uint8(255)


def _draw_borders(image: Image, border: Image) -> None:
    """White lines, one pixel wide or two on large images, with soft edges."""
    if max(border.shape) > 1200:
        border = cv2.dilate(border, np.ones((2, 2), np.uint8))
    soft = cv2.GaussianBlur(border, (3, 3), 0.6)
    at = np.flatnonzero(soft)
    weight = soft.ravel()[at, None].astype(np.float32) / 255
    flat = image.reshape(-1, 3)
    flat[at] = (flat[at] * (1 - weight) + 255 * weight).astype(np.uint8)


def _write_ids(image: Image, labels: Labels) -> None:
    """Each label at the point of its entity that is farthest from any border."""
    shrink = max(1.0, max(labels.shape) / 512)
    size = (max(1, round(labels.shape[1] / shrink)), max(1, round(labels.shape[0] / shrink)))
    coarse = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    inner = np.pad(_border(coarse) == 0, 1).astype(np.uint8)
    radius = cv2.distanceTransform(inner, cv2.DIST_L2, 5)[1:-1, 1:-1].ravel() * shrink
    centre = np.full(labels.max() + 1, -1)
    order = np.argsort(radius, kind="stable")
    centre[coarse.ravel()[order]] = order  # of equal labels the last one counts: the greatest radius
    unit = max(1.0, max(labels.shape) / 1200)
    for label in np.flatnonzero(centre[1:] >= 0) + 1:
        text = str(label)
        row, col = np.divmod(centre[label], size[0])
        room = radius[centre[label]]
        scale = float(np.clip(room / 45, 0.4 * unit, 0.9 * unit))
        thick = max(1, round(1.6 * scale))
        (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
        if room < 0.6 * high:
            continue
        pad = thick + 2
        ink = np.zeros((high + 2 * pad, wide + 2 * pad), np.uint8)
        cv2.putText(ink, text, (pad, pad + high), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick, cv2.LINE_AA)
        top, left = round((row + 0.5) * shrink) - high // 2 - pad, round((col + 0.5) * shrink) - wide // 2 - pad
        _stamp(image, ink, top, left)


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


def _captioned(name: str, picture: Image) -> Image:
    """The picture under its name, in a thin white frame."""
    scale = max(0.4, picture.shape[1] / 800)
    band = round(44 * scale)
    framed = cv2.copyMakeBorder(picture, band, 4, 4, 4, cv2.BORDER_CONSTANT, value=_WHITE)
    thick = max(1, round(1.6 * scale))
    cv2.putText(framed, name, (6, round(0.7 * band)), cv2.FONT_HERSHEY_SIMPLEX, scale, _BLACK, thick, cv2.LINE_AA)
    return framed
