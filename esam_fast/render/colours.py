"""One colour for each label, so that neighbours are told apart."""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast.changes import overlaps
from esam_fast.render.large import fewer, reduced

Image = NDArray[np.uint8]
Labels = NDArray[np.int32]

ALPHA = 0.5
_COLOURS = 40
_DISTINCT = 24.0  # Lab distance from which two mixed colours are told apart at a glance


def entity_colours(
    image: Image,
    labels: Labels,
    alpha: float = ALPHA,
    *,
    like: tuple[Labels, Image] | None = None,
    count: int | None = None,
) -> Image:
    """A colour for each label of a map [H, W], so that no two neighbours look alike: uint8 [K + 1, 3], row 0 unused.

    Largest first, each entity takes the colour that, mixed with the image, is farthest from its neighbours' in Lab;
    colours that are distinct enough count alike, and of those the least used is taken.

    Args:
        image: uint8 [H, W, 3] RGB.
        labels: int32 [H, W].
        alpha: share of the colour in the mix, 0 to 1.
        like: another label map [H, W] and its colours: an entity that mostly is one of that map has its colour.
        count: K, if some of the last labels may be nowhere in the map.
    """
    palette, lab = _palette()
    count = int(labels.max()) if count is None else count
    image, labels = reduced(image, labels)
    neighbours = _neighbours(labels, count)
    size, own = _means(image, labels, count)
    colours = np.zeros((count + 1, 3), np.uint8)
    mixed = np.full((count + 1, 3), np.nan)
    used = np.zeros(_COLOURS, np.int64)
    known = {} if like is None else _same(labels, fewer(like[0]))
    if like is not None and known:
        colours[list(known)] = like[1][list(known.values())]
        given = cv2.cvtColor(colours[None] / np.float32(255), cv2.COLOR_RGB2Lab)[0]
        mixed[list(known)] = ((1 - alpha) * own + alpha * given)[list(known)]
    for label in np.argsort(-size[1:], kind="stable") + 1:
        if label in known:
            continue
        around = mixed[neighbours[label]]
        around = around[~np.isnan(around[:, 0])]
        mixes = (1 - alpha) * own[label] + alpha * lab
        apart = np.linalg.norm(mixes[:, None] - around, axis=2).min(axis=1, initial=_DISTINCT)
        best = np.lexsort((used, -apart))[0]
        colours[label], mixed[label] = palette[best], mixes[best]
        used[best] += 1
    return colours


def _same(labels: Labels, other: Labels) -> dict[int, int]:
    """The label in another map of each entity that shares with it more than half of the larger of the two."""
    size, other_size = np.bincount(labels.ravel()), np.bincount(other.ravel())
    a, b, common = overlaps(labels, other)
    mostly = (a > 0) & (b > 0) & (2 * common > np.maximum(size[a], other_size[b]))
    return dict(zip(a[mostly].tolist(), b[mostly].tolist(), strict=True))


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


def _neighbours(labels: Labels, count: int) -> list[NDArray[Any]]:
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
