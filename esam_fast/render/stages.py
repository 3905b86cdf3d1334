"""The stages of one result in colours, each with what it changed: what `steps` draws and the report shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast.changes import changes
from esam_fast.masks import MaskGrid, ScoredMasks
from esam_fast.render.colours import Image, Labels, entity_colours


class Staged(Protocol):
    """What stages are read from; `EntityMap` tells what each is."""

    @property
    def labels(self) -> Labels: ...
    @property
    def grid(self) -> MaskGrid | None: ...
    @property
    def stages(self) -> Mapping[str, ScoredMasks] | None: ...


@dataclass(frozen=True)
class Stage:
    """The masks after one stage, stretched over a picture of h x w pixels.

    Attributes:
        title: "1. Find", "2. Refine", "3. Complete".
        labels: int32 [h, w], 1..N in the masks' order, 0 where there is none; where two overlap, the one before.
        under: int32 [h, w], where masks overlap: the next one below.
        colours: uint8 [N + 1, 3]; what is mostly one entity of the result has that entity's colour.
        counts: what happened, in words with their number of entities: "split", "merged", "gone", "added"; "masks".
        changed: labels that were "split", "merged" or "added" by this stage.
    """

    title: str
    labels: Labels
    under: Labels
    colours: Image
    counts: dict[str, int]
    changed: dict[str, tuple[int, ...]]


def stages_of(entities: Staged, colours: Image, small: Image) -> list[Stage]:
    """MMG, EMR and USR of a result, from the masks on the grid.

    Args:
        entities: the result.
        colours: uint8 [K + 1, 3], of its labels.
        small: uint8 [h, w, 3] RGB, the image in the size wanted.

    Raises:
        ValueError: the result was made without its stages.
    """
    if entities.stages is None or entities.grid is None:
        raise ValueError("entities must hold the masks of its stages, got None; segment with keep_stages=True")
    like = like_result(entities.labels, colours, small)
    found: list[Stage] = []
    before: Labels | None = None
    for stage, title in (("mmg", "1. Find"), ("emr", "2. Refine"), ("usr", "3. Complete")):
        held = entities.stages[stage]
        masks = held.masks
        on_grid = layers(masks.to_bool()[:, : entities.grid.rows, : entities.grid.cols])
        counts, changed = _what_changed(before, on_grid[0])
        if before is None:
            counts = {"mask" if len(masks) == 1 else "masks": len(masks)}
        labels, under = (enlarged(layer, small) for layer in on_grid)
        own = entity_colours(small, labels, like=like, count=len(masks))
        found.append(Stage(title, labels, under, own, counts, changed))
        before = on_grid[0]
    return found


def like_result(labels: Labels, colours: Image, small: Image) -> tuple[Labels, Image]:
    """A label map stretched over a smaller image, and its colours: what `entity_colours` takes as `like`."""
    return cv2.resize(labels, (small.shape[1], small.shape[0]), interpolation=cv2.INTER_NEAREST), colours


def _what_changed(before: Labels | None, after: Labels) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """Counts and changed labels of a `Stage`."""
    if before is None:
        return {}, {}
    found = changes(before, after)
    counts = {"split": len(found.split), "merged": len(found.merged), "gone": len(found.went), "added": len(found.came)}
    changed = {
        "split": tuple(sorted({piece for pieces in found.split.values() for piece in pieces})),
        "merged": tuple(sorted(found.merged)),
        "added": found.came,
    }
    return {k: n for k, n in counts.items() if n}, {k: labels for k, labels in changed.items() if labels}


def layers(masks: NDArray[np.bool_]) -> tuple[Labels, Labels]:
    """The first mask at each pixel and the second, of masks [N, h, w] that may overlap: int32 [h, w], 1..N or 0."""
    top, under = np.zeros((2, *masks.shape[1:]), np.int32)
    for label in range(len(masks), 0, -1):
        mask = masks[label - 1]
        under[mask] = top[mask]
        top[mask] = label
    return top, under


def enlarged(labels: Labels, image: Image) -> Labels:
    """A label map [h, w] stretched over an image [H, W, 3], its borders smooth instead of stairs: int32 [H, W]."""
    height, width = image.shape[:2]
    x = (np.arange(width, dtype=np.float32) + 0.5) * labels.shape[1] / width - 0.5
    y = (np.arange(height, dtype=np.float32) + 0.5) * labels.shape[0] / height - 0.5
    out = np.zeros((height, width), np.int32)
    best = np.zeros((height, width), np.uint8)
    for label in np.unique(labels):
        mask = labels == label
        rows, cols = _reach(mask.any(axis=1), y), _reach(mask.any(axis=0), x)
        if rows.start == rows.stop or cols.start == cols.stop:
            continue
        to_x, to_y = np.meshgrid(x[cols], y[rows])
        soft = cv2.remap(mask * np.uint8(255), to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        wins = soft > best[rows, cols]
        out[rows, cols][wins] = label
        best[rows, cols][wins] = soft[wins]
    return out


def _reach(used: NDArray[np.bool_], position: NDArray[np.float32]) -> slice:
    """Where along an axis a mask can show: the pixels whose position in its grid is within one of a used row."""
    at = np.flatnonzero(used)
    return slice(int(np.searchsorted(position, at[0] - 1)), int(np.searchsorted(position, at[-1] + 1, "right")))
