"""Folders of label maps: one PNG an image whose values are its entities, or several people's PNGs of each (BSDS)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from esam_fast import rle
from esam_fast.evaluate import png
from esam_fast.evaluate.truth import Annotation, Dataset, DatasetError, Truth, check_count
from esam_fast.masks import Int

_OF_PERSON = re.compile(r"(.+)_(0|[1-9][0-9]?)")  # ID_k: people are counted without leading zeros


@dataclass(frozen=True)
class _Map:
    """What a file holds: its labels above 0, ascending, and its shape."""

    path: Path
    labels: Int
    shape: tuple[int, ...]
    bits: int
    palette: bool

    @property
    def largest(self) -> int:
        return int((1 << self.bits) - 1)


def load(folder: Path, annotator: int | None = None, image_names: Collection[str] | None = None) -> Dataset:
    """Read a folder of label maps `ID.png`, or `ID_k.png` with a number k for each of several people.

    A value above 0 is an entity, be it gray or the number of a colour. But 255 (in 16 bits 65535) is void, as in VOC
    and Cityscapes, unless labels of the folder go up to it one by one, or gray maps have no other.

    Args:
        folder: of the PNG files; what lies in folders below it is not read.
        annotator: the k of `ID_k.png`; None: of an image's people, the one with the median number of regions.
        image_names: of the images, without suffix: they tell `ID_k.png` of several people from names that merely end
            in a number. None, or of other images: maps are several people's if those of every ID have one size and
            the numbers from 0 or 1 on.

    Raises:
        DatasetError: no label maps, damaged ones, or nothing tells whether they are several people's or of several
            images.
    """
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".png" and not p.name.startswith("."))
    if not files:
        raise DatasetError(f"{folder}: expected label maps ID_k.png or ID.png, got none")
    maps = [_look(path) for path in files]
    people = annotator is not None or _are_of_people(folder, maps, frozenset(image_names or ()))
    groups: dict[str, list[_Map]] = defaultdict(list)
    for one in maps:
        match = _OF_PERSON.fullmatch(one.path.stem)
        groups[match[1] if people and match else one.path.stem].append(one)
    void = _void(maps)
    chosen = {image_id: _choose(image_id, of_image, annotator) for image_id, of_image in groups.items()}
    images = []
    number = 0
    for image_id, one in sorted(chosen.items()):
        truth = _read(image_id, one, void, number)
        number += len(truth.annotations)
        images.append(truth)
    return Dataset(folder.absolute().name, images, tuple(_notes(folder, groups, chosen, annotator, void)))


def _look(path: Path) -> _Map:
    image = png.read(path)
    values = image.gray()
    if values is None:
        raise DatasetError(f"{path}: expected a label map in gray or with a palette, got one in colours")
    present = np.flatnonzero(np.bincount(values.reshape(-1)))
    return _Map(path, present[present > 0], values.shape, image.bits, image.palette is not None)


def _are_of_people(folder: Path, maps: list[_Map], image_names: frozenset[str]) -> bool:
    """Whether files `ID_k.png` are several people's maps of one image."""
    groups: dict[str, dict[int, _Map]] = defaultdict(dict)
    for one in maps:
        if match := _OF_PERSON.fullmatch(one.path.stem):
            groups[match[1]][int(match[2])] = one
    of_people = sum(image_id in image_names for image_id in groups)
    of_images = sum(one.path.stem in image_names for group in groups.values() for one in group.values())
    if of_people != of_images:
        return of_people > of_images
    plain = {one.path.stem for one in maps}
    fit = all(
        sorted(group) in (list(range(len(group))), list(range(1, len(group) + 1)))
        and len({one.shape for one in group.values()}) == 1
        and image_id not in plain
        for image_id, group in groups.items()
    )
    if fit and len(groups) == 1 and 1 < len(maps) == len(next(iter(groups.values()))):
        raise DatasetError(
            f"{folder}: cannot tell whether {maps[0].path.name} to {maps[-1].path.name} are {len(maps)} images or "
            f"{len(maps)} people's maps of one; --annotator K says one image, the names in --images tell"
        )
    return fit


def _void(maps: list[_Map]) -> frozenset[Path]:
    """The maps whose largest possible value is no entity."""
    found = set()
    for bits in (8, 16):
        top = (1 << bits) - 1
        gray = [one for one in maps if one.bits == bits and not one.palette]
        dense = any(top - 1 in one.labels for one in gray)
        alone = all((one.labels == top).all() for one in gray)
        alike = [one for one in maps if one.bits == bits and (one.palette or not (dense or alone))]
        found |= {one.path for one in alike if top in one.labels}
    return frozenset(found)


def _choose(image_id: str, maps: list[_Map], annotator: int | None) -> _Map:
    for one in maps:
        if annotator is not None and one.path.stem == f"{image_id}_{annotator}":
            return one
    if annotator is not None:
        return maps[0]
    return sorted(maps, key=lambda one: len(one.labels))[(len(maps) - 1) // 2]


def _read(image_id: str, one: _Map, void: frozenset[Path], before: int) -> Truth:
    values = png.read(one.path).gray()
    labels = one.labels[one.labels < one.largest] if one.path in void else one.labels
    check_count(len(labels), str(one.path))
    dense = np.zeros(one.largest + 1, np.int32)
    dense[labels] = np.arange(1, len(labels) + 1)
    codes = rle.compress(rle.of_labels(dense[values], len(labels)))
    truth = Truth(image_id, image_id, one.shape[0], one.shape[1], [])
    areas = np.bincount(dense[values].reshape(-1), minlength=len(labels) + 1)[1:].tolist()
    truth.annotations.extend(
        Annotation(before + i, code, area) for i, (code, area) in enumerate(zip(codes, areas, strict=True), start=1)
    )
    return truth


def _notes(
    folder: Path,
    groups: dict[str, list[_Map]],
    chosen: dict[str, _Map],
    annotator: int | None,
    void: frozenset[Path],
) -> list[str]:
    """What the files were taken for, in sentences."""
    notes = []
    several = [image_id for image_id, maps in groups.items() if len(maps) > 1]
    if several:
        whose = f"number {annotator}'s" if annotator is not None else "the one with the median number of regions"
        notes.append(
            f"{folder}: ID_k.png are taken for several people's maps of {len(several)} images; of each, {whose} counts"
        )
    others = [
        one for image_id, one in chosen.items() if annotator is not None and one.path.stem != f"{image_id}_{annotator}"
    ]
    if others:
        notes.append(
            f"{folder}: {len(others)} images have no map of number {annotator}; another counts ({others[0].path.name}, "
            f"for one)"
        )
    marked = [one for one in chosen.values() if one.path in void]
    if marked:
        notes.append(
            f"{folder}: the label {' or '.join(sorted({str(one.largest) for one in marked}))} is taken for void, "
            f"not for an entity, in {len(marked)} maps"
        )
    return notes
