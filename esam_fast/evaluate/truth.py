"""Annotated images, wherever they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from esam_fast import rle
from esam_fast.evaluate import codes, fields
from esam_fast.evaluate.fields import Id
from esam_fast.evaluate.limits import MAX_AREA, MAX_ENTITIES
from esam_fast.images import MAX_PIXELS
from esam_fast.masks import Int, Labels


class DatasetError(ValueError):
    """Annotations that cannot be used; the message names the file and the reason."""


@dataclass(frozen=True)
class Annotation:
    """One annotated entity: compressed run-length code, area in pixels as the file gives it, COCO's crowd flag."""

    id: Id
    code: rle.Code
    area: float
    crowd: bool = False


@dataclass(frozen=True)
class Truth:
    """One image's annotations. `file` is the image's name inside the image folder; height and width in pixels."""

    image_id: Id
    file: str
    height: int
    width: int
    annotations: list[Annotation]

    @cached_property
    def pixels(self) -> Int:
        """Pixels of each annotation's mask: int64 [N]."""
        return codes.areas([a.code for a in self.annotations])

    def label_map(self) -> Labels:
        """int32 [H, W]: 0 where nothing is annotated, 1..N in the annotations' order; the smaller lies on top."""
        labels = np.zeros((self.height, self.width), np.int32)
        for i in np.argsort(-self.pixels, kind="stable"):
            labels[codes.decoded(self.annotations[i].code)] = i + 1
        return labels


@dataclass(frozen=True)
class Dataset:
    """Annotated images in the order of their ids.

    Attributes:
        name: for tables.
        images: at least one.
        notes: what was left out or taken for something when it was read, in sentences.
        set_aside: images that `limited` left out.
    """

    name: str
    images: list[Truth]
    notes: tuple[str, ...] = ()
    set_aside: tuple[Truth, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[Truth]:
        return iter(self.images)

    def limited(self, count: int | None) -> Dataset:
        """The first `count` images; all for None."""
        if count is None:
            return self
        return replace(self, images=self.images[:count], set_aside=(*self.images[count:], *self.set_aside))

    def digest(self) -> str:
        """SHA-256 of all that is annotated, in hexadecimal digits; of another file with the same, it is the same."""
        total = hashlib.sha256()
        for truth in self.images:
            found = [[a.id, a.code["counts"], a.area, a.crowd] for a in truth.annotations]
            total.update(json.dumps([truth.image_id, truth.file, truth.height, truth.width, found]).encode())
        return total.hexdigest()


def annotated(entry_id: Id, code: rle.Code, pixels: int, entry: dict[str, Any], name: str) -> Annotation:
    """An annotation with the area (its mask's pixels where there is none) and the crowd flag of a file's entry."""
    crowd = fields.flag(entry.get("iscrowd"), f"{name}: iscrowd")
    if entry.get("area") is None:
        return Annotation(entry_id, code, pixels, crowd)
    area = fields.number(entry["area"], f"{name}: area")
    if not 0 <= area <= MAX_AREA:
        raise ValueError(f"{name}: expected an area from 0 to {MAX_AREA:g} pixels, got {area:g}")
    return Annotation(entry_id, code, area, crowd)


def check_size(height: int, width: int, name: str) -> None:
    """Refuse an image larger than any that the library reads."""
    if height * width > MAX_PIXELS:
        raise ValueError(f"{name}: expected at most {MAX_PIXELS / 1e6:.0f} megapixels, got {height} x {width}")


def check_count(count: int, name: str) -> None:
    """Refuse more entities than an image can have."""
    if count > MAX_ENTITIES:
        raise ValueError(f"{name}: expected at most {MAX_ENTITIES} entities an image, got {count}")
