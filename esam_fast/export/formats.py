"""The files of one image in every format, by the formats' names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from esam_fast import _check
from esam_fast._files import Pathish, make_folder, write_all
from esam_fast.export import as_json, coco_results, cvat, geojson, labelme, labels_file, marked, panoptic, yolo
from esam_fast.export.entities import Entities

Files = dict[str, bytes]


def _labels(entities: Entities, stem: str, file_name: str) -> Files:
    suffix, content = labels_file(entities.labels)
    return {f"{stem}{suffix}": marked(content)}


def _coco(entities: Entities, stem: str, file_name: str) -> Files:
    return {f"{stem}.json": as_json(coco_results(entities, stem))}


def _panoptic(entities: Entities, stem: str, file_name: str) -> Files:
    picture, description = panoptic(entities, stem, file_name, f"{Path(stem).name}.png")
    return {f"panoptic/{stem}.png": marked(picture), f"panoptic/{stem}.json": as_json(description)}


def _yolo(entities: Entities, stem: str, file_name: str) -> Files:
    return {f"yolo/{stem}.txt": yolo.text(entities), "yolo/data.yaml": yolo.DATASET}


def _labelme(entities: Entities, stem: str, file_name: str) -> Files:
    return {f"labelme/{stem}.json": as_json(labelme.description(entities, Path(file_name).name))}  # it lies beside it


def _geojson(entities: Entities, stem: str, file_name: str) -> Files:
    return {f"geojson/{stem}.geojson": as_json(geojson.features(entities))}


def _cvat(entities: Entities, stem: str, file_name: str) -> Files:
    return {f"cvat/{stem}.xml": (cvat.START + cvat.image(entities, 0, file_name) + cvat.END).encode()}


FORMATS: dict[str, Callable[[Entities, str, str], Files]] = {
    "labels": _labels,
    "coco": _coco,
    "panoptic": _panoptic,
    "yolo": _yolo,
    "labelme": _labelme,
    "geojson": _geojson,
    "cvat": _cvat,
}


def save(entities: Entities, folder: Pathish, stem: str, formats: Iterable[str], file_name: str) -> list[Path]:
    """Write the files of one image, all or none, and return their paths; see `EntityMap.save`."""
    if isinstance(formats, str):
        raise TypeError(f"formats must be a list of names, got the str {_check.brief(formats)}")
    if not Path(_check.instance("stem", stem, str)).name:
        raise ValueError(f"stem must be the name of a file, got {_check.brief(stem)}")
    _check.instance("file_name", file_name, str)
    made = Files()
    for name in formats:
        made |= FORMATS[_check.choice("formats", name, FORMATS)](entities, stem, file_name)
    for path in made:
        make_folder(folder, Path(path).parent)
    write_all({Path(folder, path): data for path, data in made.items()})
    return [Path(folder, path) for path in made]
