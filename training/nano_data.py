"""What the nano SAM is trained on: crops of photographs, and for points in them the regions that people drew there.

A photograph comes with label maps, one a person: 0 where nobody said anything, else the number of the region.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import bsds
import cv2
import numpy as np
from augment import recolour

CELL = 4  # pixels of the square to a grid pixel of the masks
ZOOM = 1.8  # most that a photograph is enlarged over filling the square; half of them are not
SMALLEST = 10  # grid pixels of a region that is asked for
SAME = 0.8  # IoU from which two people's regions count as one
TARGETS = 3  # regions a point is trained on at most
COCO_SHARE = 0.35  # of the crops, where there are both kinds


@dataclass(frozen=True)
class Photograph:
    """A photograph uint8 [h, w, 3] RGB and label maps uint16 [P, h, w].

    whole: whether the people split all of the photograph into regions, so that a mask unlike all of theirs is wrong.
    """

    image: np.ndarray
    maps: np.ndarray
    whole: bool


@dataclass(frozen=True)
class Crop:
    """What one step sees of one photograph.

    Attributes:
        picture: float32 [3, side, side], normalised, zero beyond the content.
        content: bool [grid, grid], grid pixels that show the photograph; grid is side / CELL.
        points: float32 [N, 2], x y in the square's pixels.
        targets: uint8 [N, TARGETS, grid, grid], distinct regions that hold the point, by area ascending.
        counts: int64 [N], how many there are.
        regions: uint8 [N, P, grid, grid], everybody's region at the point, empty where there is none.
        whole: see `Photograph`.
    """

    picture: np.ndarray
    content: np.ndarray
    points: np.ndarray
    targets: np.ndarray
    counts: np.ndarray
    regions: np.ndarray
    whole: bool


def photographs_of_bsds(folder: Path) -> list[Photograph]:
    """Those of a folder laid out as bsds.py says, without those held out."""
    found = (bsds.read(folder, name) for name in bsds.names(folder, held_out=False))
    return [Photograph(image, np.stack(maps), whole=True) for image, maps in found]


def photographs_of_coco(folder: Path) -> list[Photograph]:
    """Those of annotations/instances_NAME.json and NAME/; of overlapping instances the smaller one is on top."""
    found = []
    for file in sorted((folder / "annotations").glob("instances_*.json")):
        listed = json.loads(file.read_text(encoding="utf-8"))
        for about in sorted(listed["images"], key=lambda image: image["id"]):
            path = folder / file.stem.removeprefix("instances_") / about["file_name"]
            image = cv2.imread(str(path))
            if image is None:
                raise ValueError(f"{path} must be a photograph")
            labels = np.zeros(image.shape[:2], np.uint16)
            things = [a for a in listed["annotations"] if a["image_id"] == about["id"] and not a["iscrowd"]]
            for label, thing in enumerate(sorted(things, key=lambda thing: -thing["area"]), 1):
                rings = [np.rint(np.reshape(ring, (-1, 2)) * 16).astype(np.int32) for ring in thing["segmentation"]]
                cv2.fillPoly(labels, rings, label, shift=4)
            if things:
                found.append(Photograph(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), labels[None], whole=False))
    return found


def crop(photograph: Photograph, side: int, n: int, rng: np.random.Generator) -> Crop:
    """A random part of a photograph on a square of `side` pixels, perhaps mirrored, and n points in it.

    Without points where no region is large enough.
    """
    height, width = photograph.image.shape[:2]
    scale = side / max(height, width) * np.exp(max(0.0, rng.uniform(-1, 1)) * np.log(ZOOM))
    rows, cols = (min(side, int(length * scale + 0.5)) for length in (height, width))
    top, left = rng.uniform(0, 1, 2) * np.maximum(0, [height - rows / scale, width - cols / scale])
    mirrored = rng.random() < 0.5

    shift = np.array([[scale, 0, scale * (0.5 - left) - 0.5], [0, scale, scale * (0.5 - top) - 0.5]])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    shown = cv2.warpAffine(photograph.image, shift, (cols, rows), flags=how, borderMode=cv2.BORDER_REFLECT_101)
    shown = recolour(shown.astype(np.float32), rng)[:, :: -1 if mirrored else 1]
    picture = np.zeros((3, side, side), np.float32)
    picture[:, :rows, :cols] = (shown.transpose(2, 0, 1) - 127) / 128

    centres = (np.arange(side // CELL) + 0.5) * CELL
    down, across = centres[centres < rows], centres[centres < cols]
    y = np.clip((down / scale + top).astype(np.int64), 0, height - 1)
    x = np.clip(((cols - across if mirrored else across) / scale + left).astype(np.int64), 0, width - 1)
    maps = np.zeros((len(photograph.maps), len(centres), len(centres)), np.uint16)
    maps[:, : len(y), : len(x)] = photograph.maps[:, y[:, None], x]
    content = np.zeros(maps.shape[1:], bool)
    content[: len(y), : len(x)] = True
    return Crop(picture, content, *_ask(maps, n, rng), photograph.whole)


def _ask(maps: np.ndarray, n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Points, targets, counts and regions of a `Crop`."""
    flat = maps.reshape(len(maps), -1)
    sizes = [np.bincount(labels, minlength=1) for labels in flat]
    large = np.stack([(size >= SMALLEST)[labels] & (labels > 0) for size, labels in zip(sizes, flat, strict=True)])
    pixels = _pixels(flat, large, n, rng)
    regions = (flat == flat[:, pixels].T[:, :, None]) & large[:, pixels].T[:, :, None]  # [N, P, pixels]
    targets = np.zeros((len(pixels), TARGETS, flat.shape[1]), np.uint8)
    counts = np.zeros(len(pixels), np.int64)
    for i, here in enumerate(regions):
        distinct = _distinct(here[here.any(axis=1)])
        if len(distinct) > TARGETS:
            distinct = distinct[[0, rng.integers(1, len(distinct) - 1), -1]]
        targets[i, : len(distinct)] = distinct
        counts[i] = len(distinct)
    row, col = np.divmod(pixels, maps.shape[2])
    points = (np.stack([col, row], axis=1) + rng.random((len(pixels), 2))) * CELL
    side = maps.shape[1:]
    return (
        points.astype(np.float32),
        targets.reshape(-1, TARGETS, *side),
        counts,
        regions.astype(np.uint8).reshape(-1, len(maps), *side),
    )


def _pixels(flat: np.ndarray, large: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n grid pixels of large regions: half of them by region, so that small ones come up, and half by area."""
    anywhere = np.flatnonzero(large.any(axis=0))
    if len(anywhere) == 0:
        return anywhere
    chosen = [rng.choice(anywhere, n - n // 2)]
    people = [p for p in range(len(flat)) if large[p].any()]
    for p in rng.choice(people, n // 2):
        inside = np.flatnonzero(large[p])
        label = rng.choice(np.unique(flat[p, inside]))
        chosen.append(rng.choice(inside[flat[p, inside] == label], 1))
    return np.concatenate(chosen)


def _distinct(masks: np.ndarray) -> np.ndarray:
    """Of bool masks [K, pixels] those unlike all smaller ones, by area ascending."""
    masks = masks[np.argsort(masks.sum(axis=1), kind="stable")]
    as_float = masks.astype(np.float32)
    inter = as_float @ as_float.T
    area = inter.diagonal()
    same = inter / (area[:, None] + area - inter) >= SAME
    kept: list[int] = []
    for k in range(len(masks)):
        if not same[k, kept].any():
            kept.append(k)
    return masks[kept]
