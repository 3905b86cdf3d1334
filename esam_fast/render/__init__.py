"""Pictures of results, made to be looked at: a label has one colour in all of them, and in the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast.images import TiffWindows
from esam_fast.render.colours import ALPHA as ALPHA
from esam_fast.render.colours import Image, Labels
from esam_fast.render.colours import entity_colours as entity_colours
from esam_fast.render.drawing import tinted, write_ids
from esam_fast.render.large import reduced
from esam_fast.render.panels import MARKS, NO_ENTITY, OVERLAP, Panel, side_by_side
from esam_fast.render.stages import Staged, enlarged, layers, like_result, stages_of

PANEL = 640  # longer side of a panel in a strip, pixels


def overlay(image: Image | TiffWindows, labels: Labels, *, ids: bool = False, alpha: float = ALPHA) -> Image:
    """The image with every entity tinted in its own colour: uint8 [H, W, 3], reduced if over `large.LARGE` a side.

    Args:
        image: uint8 [H, W, 3] RGB, or a file of it that is read by windows.
        labels: int32 [H, W], 1..K, and 0 where there is no entity: shown gray, dim and hatched.
        ids: write each label at the entity's inmost point, where there is room.
        alpha: share of the colour in the mix, 0 to 1.
    """
    count = int(labels.max())
    image, labels = reduced(image, labels)
    out = tinted(image, labels, entity_colours(image, labels, count=count), alpha)
    if ids:
        write_ids(out, labels)
    return out


def colour_map(labels: Labels) -> Image:
    """A label map [H, W] in colours that tell neighbours apart, black where there is no entity: uint8 [H, W, 3].

    Reduced if over `large.LARGE` a side.
    """
    gray = np.broadcast_to(np.uint8(128), (*labels.shape, 3))
    gray, labels = reduced(gray, labels)
    colours = entity_colours(gray, labels, 1.0)
    colours[0] = 0
    return colours[labels]


def strip(image: Image, panels: Mapping[str, NDArray[Any]], *, alpha: float = ALPHA) -> Image:
    """The image and several results on it side by side, each under its name: uint8.

    Args:
        image: uint8 [H, W, 3] RGB.
        panels: by name, a label map int32 [h, w], or masks bool [N, h, w] that may overlap, the first on top; h and
            w are any, each is stretched over the image. What is mostly one entity of the last label map has that
            entity's colour.
        alpha: share of the colour in the mix, 0 to 1.
    """
    small = shrunk(image, PANEL)
    maps = [panel for panel in panels.values() if panel.dtype != np.bool_]
    like = None
    if maps:
        final = _over(image, maps[-1])
        like = like_result(final, entity_colours(image, final), small)
    drawn = [Panel("Image", small)]
    for name, panel in panels.items():
        if panel.dtype == np.bool_:
            labels, under = (enlarged(layer, small) for layer in layers(panel))
            colours = entity_colours(small, labels, like=like, count=len(panel))
        else:
            labels, under = _over(small, panel), None
            colours = entity_colours(small, labels, like=like)
        drawn.append(Panel(name, tinted(small, labels, colours, alpha, under=under)))
    return side_by_side(drawn)


def steps(image: Image, entities: Staged) -> Image:
    """The stages of one result side by side: image, MMG, EMR, USR (the paper's Fig. 6), uint8.

    All stages are drawn from the masks on the grid, so that they differ in what changed alone. What a stage changed is
    outlined in the colour of its word in the title, and the rest of that panel is faint.

    Raises:
        ValueError: the result was made without its stages.
    """
    small = shrunk(image, PANEL)
    stages = stages_of(entities, entity_colours(image, entities.labels), small)
    drawn = [Panel("Image", small)]
    for stage in stages:
        marks = [(labels, MARKS[word]) for word, labels in stage.changed.items()]
        picture = tinted(small, stage.labels, stage.colours, ALPHA, under=stage.under, marks=marks)
        drawn.append(Panel(stage.title, picture, stage.counts))
    signs = [NO_ENTITY] if any((stage.labels == 0).any() for stage in stages) else []
    signs += [OVERLAP] if any(stage.under.any() for stage in stages) else []
    signs += [word for word in MARKS if any(word in stage.changed for stage in stages)]
    return side_by_side(drawn, tuple(signs))


def shrunk(image: Image, side: int) -> Image:
    """The image with its longer side at most `side` pixels."""
    scale = min(1.0, side / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return image if scale == 1.0 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _over(image: Image, labels: Labels) -> Labels:
    """A label map stretched over an image."""
    size = (image.shape[1], image.shape[0])
    return cv2.resize(labels.astype(np.int32), size, interpolation=cv2.INTER_NEAREST)
