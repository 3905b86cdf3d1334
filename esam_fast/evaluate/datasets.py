"""Ground truth from files: COCO and EntitySeg JSON, COCO panoptic pairs, folders of label maps (BSDS)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from esam_fast import rle
from esam_fast.evaluate import codes
from esam_fast.images import SUFFIXES
from esam_fast.masks import Labels


class DatasetError(ValueError):
    """Annotations that cannot be used; the message names the file and the reason."""


@dataclass(frozen=True)
class Annotation:
    """One annotated entity: compressed run-length code, area in pixels as the file gives it, COCO's crowd flag."""

    id: int
    code: rle.Code
    area: float
    crowd: bool = False


@dataclass(frozen=True)
class Truth:
    """One image's annotations. `file` is the image's name inside the image folder; height and width in pixels."""

    image_id: int | str
    file: str
    height: int
    width: int
    annotations: list[Annotation]

    def label_map(self) -> Labels:
        """int32 [H, W]: 0 where nothing is annotated, 1..N in the annotations' order; the smaller lies on top."""
        labels = np.zeros((self.height, self.width), np.int32)
        sizes = codes.areas([a.code for a in self.annotations])
        for i in np.argsort(-sizes, kind="stable"):
            labels[codes.decoded(self.annotations[i].code)] = i + 1
        return labels


@dataclass(frozen=True)
class Dataset:
    """Annotated images in the order of their ids, and a name for tables."""

    name: str
    images: list[Truth]

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[Truth]:
        return iter(self.images)

    def limited(self, count: int | None) -> Dataset:
        """The first `count` images; all for None."""
        return self if count is None else replace(self, images=self.images[:count])


def load(path: Path, *, panoptic_masks: Path | None = None, annotator: int | None = None) -> Dataset:
    """Read annotations of any of the kinds above.

    Args:
        path: a JSON file, or a folder of label maps `ID_k.png` or `ID.png`.
        panoptic_masks: the folder of a panoptic JSON's PNG files; None: the folder with the JSON's own stem
            beside it, else the JSON's own folder.
        annotator: of BSDS, the k of `ID_k.png`; None: the one with the median number of regions.

    Raises:
        DatasetError: not such a file, or damaged.
    """
    if path.is_dir():
        return _label_maps(path, annotator)
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise DatasetError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict) or not {"images", "annotations"} <= set(content):
        raise DatasetError(f"{path}: expected COCO annotations with 'images' and 'annotations'")
    try:
        if content["annotations"] and "segments_info" in content["annotations"][0]:
            own = path.with_suffix("")
            return _panoptic(path, content, panoptic_masks or (own if own.is_dir() else path.parent))
        return _instances(path, content)
    except KeyError as error:
        raise DatasetError(f"{path}: an entry has no {error}") from error


def image_path(folder: Path, truth: Truth) -> Path:
    """The image's file: its name below the folder, else the name's last part; without suffix, any that is there."""
    for path in (folder / truth.file, folder / Path(truth.file).name):
        if path.is_file():
            return path
        for suffix in sorted(SUFFIXES):
            if not path.suffix and path.with_suffix(suffix).is_file():
                return path.with_suffix(suffix)
    return folder / truth.file


def _instances(path: Path, content: dict[str, Any]) -> Dataset:
    of_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for entry in content["annotations"]:
        of_image[entry["image_id"]].append(entry)
    images = []
    for image in sorted(content["images"], key=lambda entry: entry["id"]):
        height, width = int(image["height"]), int(image["width"])
        found = []
        for entry in of_image[image["id"]]:
            name = f"{path}: annotation {entry['id']}"
            try:
                code = codes.compressed(entry["segmentation"], height, width, name)
            except ValueError as error:
                raise DatasetError(str(error)) from error
            area = entry["area"] if "area" in entry else int(codes.areas([code])[0])
            found.append(Annotation(entry["id"], code, area, bool(entry.get("iscrowd", 0))))
        images.append(Truth(image["id"], image.get("file_name", ""), height, width, found))
    return Dataset(path.stem, images)


def _panoptic(path: Path, content: dict[str, Any], masks: Path) -> Dataset:
    files = {image["id"]: image for image in content["images"]}
    images = []
    number = 0
    for entry in sorted(content["annotations"], key=lambda entry: entry["image_id"]):
        image = files[entry["image_id"]]
        pixels = _read(masks / entry["file_name"], cv2.IMREAD_COLOR)  # B G R
        ids = pixels.astype(np.int64) @ np.array([65536, 256, 1])
        segments = entry["segments_info"]
        labels: Labels = np.zeros(ids.shape, np.int32)
        for i, segment in enumerate(segments, start=1):
            labels[ids == segment["id"]] = i
        found = []
        for segment, code in zip(segments, _codes(labels, len(segments)), strict=True):
            number += 1
            found.append(Annotation(number, code, segment["area"], bool(segment.get("iscrowd", 0))))
        images.append(Truth(entry["image_id"], image["file_name"], labels.shape[0], labels.shape[1], found))
    return Dataset(path.stem, images)


def _label_maps(folder: Path, annotator: int | None) -> Dataset:
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.glob("*.png")):
        stem, _, k = path.stem.rpartition("_")
        files[stem if stem and k.isdecimal() else path.stem].append(path)
    if not files:
        raise DatasetError(f"{folder}: expected label maps ID_k.png or ID.png, got none")
    images = []
    number = 0
    for image_id, paths in sorted(files.items()):
        if annotator is None:
            maps = sorted((_read(path, cv2.IMREAD_UNCHANGED) for path in paths), key=lambda m: len(np.unique(m)))
            labels = maps[(len(maps) - 1) // 2]
        else:
            wanted = folder / f"{image_id}_{annotator}.png"
            labels = _read(wanted if wanted.exists() else paths[0], cv2.IMREAD_UNCHANGED)
        if labels.ndim != 2:
            raise DatasetError(f"{paths[0]}: expected a gray label map, got {labels.shape[2]} channels")
        values = np.unique(labels[labels > 0])
        dense = np.searchsorted(values, labels).astype(np.int32) + (labels > 0)
        found = []
        for code in _codes(dense.astype(np.int32), len(values)):
            number += 1
            found.append(Annotation(number, code, int(codes.areas([code])[0])))
        images.append(Truth(image_id, image_id, labels.shape[0], labels.shape[1], found))
    return Dataset(folder.name, images)


def _codes(labels: Labels, count: int) -> list[rle.Code]:
    return rle.compress(rle.of_labels(labels, count))


def _read(path: Path, mode: int) -> Any:
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), mode) if path.exists() else None
    if pixels is None:
        raise DatasetError(f"{path}: expected a PNG, got {'a damaged file' if path.exists() else 'none'}")
    return pixels
