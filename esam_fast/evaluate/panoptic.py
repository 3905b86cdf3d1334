"""COCO panoptic annotations: a JSON that describes segments, and a PNG an image that shows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast import _files, rle
from esam_fast.evaluate import fields, png
from esam_fast.evaluate.fields import Id
from esam_fast.evaluate.truth import Annotation, Dataset, Truth, annotated, check_count
from esam_fast.masks import Labels

_LARGEST_ID = (1 << 24) - 1
_WEIGHTS = np.array([1, 256, 65536])  # of R, G and B


def load(path: Path, images: dict[Id, Truth], notes: list[str], entries: list[dict[str, Any]], masks: Path) -> Dataset:
    """The dataset of panoptic entries.

    A pixel's segment is R + 256 G + 65536 B of its colour; of a gray PNG or one with a palette, the value itself if
    the segments are not among the colours.

    Args:
        path: of the JSON, for messages.
        images: its images, by their keys, in order. notes: on them.
        entries: its annotations.
        masks: the folder of the PNG files; no name in the file may lead out of it.

    Raises:
        ValueError: a PNG that is not there, damaged or of another size; an entry that cannot be used; a segment that
            the PNG does not show.
    """
    of_image: dict[Id, tuple[str, dict[str, Any]]] = {}
    strangers = []
    for i, entry in enumerate(entries, start=1):
        where = f"{path}: annotation number {i}"
        image_id = fields.identity(fields.field(entry, "image_id", where), f"{where}: image_id")
        key = fields.match_key(image_id)
        if key not in images:
            strangers.append(image_id)
        elif key in of_image:
            raise ValueError(f"{path}: image {image_id}: expected one annotation an image, got two")
        else:
            of_image[key] = (f"{path}: image {image_id}", entry)
    if not of_image:
        raise ValueError(f"{path}: no annotation is of an image that the file lists, as that of image {strangers[0]}")
    notes = [*notes]
    if strangers:
        notes.append(
            f"{path}: {len(strangers)} of {len(entries)} annotations are of images that the file does not list (image "
            f"{strangers[0]}, for one); left out"
        )
    if len(of_image) < len(images):
        notes.append(f"{path}: {len(images) - len(of_image)} of {len(images)} images have no annotation; left out")
    found = []
    number = unnamed = 0
    for key, truth in images.items():
        if key not in of_image:
            continue
        name, entry = of_image[key]
        labels, segments, more = _segments(name, entry, truth, masks)
        unnamed += more
        pixels = np.bincount(labels.reshape(-1), minlength=len(segments) + 1)[1:].tolist()
        annotations: list[Annotation] = []
        for i, code in enumerate(rle.compress(rle.of_labels(labels, len(segments)))):
            number += 1
            name_of = f"{name}: segment {segments[i]['id']}"
            annotations.append(annotated(number, code, pixels[i], segments[i], name_of))
        found.append(replace(truth, annotations=annotations))
    if unnamed:
        notes.append(f"{path}: {unnamed} colours in its PNGs have no entry in segments_info; not annotated")
    return Dataset(path.stem, found, tuple(notes))


def _segments(name: str, entry: dict[str, Any], truth: Truth, masks: Path) -> tuple[Labels, list[dict[str, Any]], int]:
    """Labels 1..N of an image's N segments, the segments, and how many others its PNG shows."""
    segments = fields.records(fields.field(entry, "segments_info", name), f"{name}: segments_info")
    check_count(len(segments), name)
    ids = [
        fields.integer(_number(fields.field(s, "id", f"{name}: a segment")), f"{name}: segment id", 1) for s in segments
    ]
    if len(set(ids)) < len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise ValueError(f"{name}: expected one entry a segment, got two of id {twice}")
    if max(ids, default=1) > _LARGEST_ID:
        raise ValueError(f"{name}: expected segment ids up to {_LARGEST_ID}, which is white, got {max(ids)}")
    try:
        path = _files.within(masks, fields.field(entry, "file_name", name))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    image = png.read(path)
    height, width = image.values.shape[:2]
    if (height, width) != (truth.height, truth.width):
        raise ValueError(
            f"{path}: expected {truth.height} x {truth.width} pixels as {name} says, got {height} x {width}"
        )
    colours = _ids(image, ids)
    shown = np.zeros(_LARGEST_ID + 1, np.bool_)
    shown[colours] = True
    for segment_id in ids:
        if not shown[segment_id]:
            raise ValueError(f"{path}: expected a segment of id {segment_id}, as {name} says, got no such colour")
    number_of: Labels = np.zeros(_LARGEST_ID + 1, np.int32)
    number_of[ids] = np.arange(1, len(ids) + 1)
    return number_of[colours], segments, int(np.count_nonzero(shown[1:]) - len(ids))


def _ids(image: png.Png, wanted: list[int]) -> NDArray[np.int64]:
    """The segment id of each pixel: int64 [H, W]."""
    values = image.values.astype(np.int64)
    if values.ndim == 3:
        return values @ _WEIGHTS
    # A file in colours may have been packed: into a palette, or into gray where the three channels were equal.
    colours = image.palette @ _WEIGHTS if image.palette is not None else np.arange(256) * _WEIGHTS.sum()
    if image.bits <= 8 and set(wanted) <= set(colours[np.unique(values)].tolist()):
        return colours[values]
    return values


def _number(value: Any) -> Any:
    """A number that was written as a text, as a number."""
    return fields.match_key(value) if isinstance(value, str) else value
