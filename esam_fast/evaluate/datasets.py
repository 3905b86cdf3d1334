"""Ground truth from files: COCO and EntitySeg JSON here, COCO panoptic pairs and folders of label maps in their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from esam_fast import _files
from esam_fast.evaluate import codes, fields, label_maps, panoptic
from esam_fast.evaluate.fields import Id
from esam_fast.evaluate.truth import Annotation as Annotation
from esam_fast.evaluate.truth import Dataset, DatasetError, Truth, annotated, check_count, check_size


def load(
    path: Path,
    *,
    panoptic_masks: Path | None = None,
    annotator: int | None = None,
    image_names: Collection[str] | None = None,
) -> Dataset:
    """Read annotations of any of the kinds above.

    Args:
        path: a JSON file, or a folder of label maps; see `label_maps.load`.
        panoptic_masks: the folder of a panoptic JSON's PNG files; None: the folder with the JSON's own stem
            beside it, else the JSON's own folder.
        annotator, image_names: of label maps, see `label_maps.load`.

    Returns:
        The images, at least one; `notes` tells what was left out.

    Raises:
        DatasetError: not such a file, or damaged; names the file and the entry, what came and what was expected.
    """
    try:
        if path.is_dir():
            return label_maps.load(path, annotator, image_names)
        content = _files.read_json(path, nan=True)
        if not isinstance(content, dict) or not {"images", "annotations"} <= set(content):
            raise ValueError(f"{path}: expected COCO annotations with 'images' and 'annotations'")
        images = _images(path, content["images"])
        entries = fields.records(content["annotations"], f"{path}: 'annotations'")
        if entries and "segments_info" in entries[0]:
            own = path.with_suffix("")
            return panoptic.load(path, *images, entries, panoptic_masks or (own if own.is_dir() else path.parent))
        return _instances(path, images, entries)
    except OSError as error:
        raise DatasetError(f"{error.filename}: {error.strerror}") from error
    except DatasetError:
        raise
    except ValueError as error:
        raise DatasetError(str(error)) from error


def _images(path: Path, entries: Any) -> tuple[dict[Id, Truth], list[str]]:
    """The images of a COCO file by their keys, not annotated yet, in the order of their ids; and notes."""
    found: dict[Id, Truth] = {}
    twice = 0
    for i, entry in enumerate(fields.records(entries, f"{path}: 'images'"), start=1):
        image_id = fields.identity(fields.field(entry, "id", f"{path}: image number {i}"), f"{path}: image number {i}")
        name = f"{path}: image {image_id}"
        height, width = (fields.integer(fields.field(entry, k, name), f"{name}: {k}", 1) for k in ("height", "width"))
        check_size(height, width, name)
        file = entry.get("file_name") or ""
        if not isinstance(file, str):
            raise ValueError(f"{name}: expected a text as file_name, got {fields.brief(file)}")
        truth = Truth(image_id, file, height, width, [])
        if found.setdefault(fields.match_key(image_id), truth) is not truth:
            if found[fields.match_key(image_id)] != truth:
                raise ValueError(f"{name}: expected one entry an image, got two different ones with this id")
            twice += 1
    if not found:
        raise ValueError(f"{path}: expected at least one image, got none")
    notes = [f"{path}: {twice} images stand there twice, with the same entry; each counts once"] if twice else []
    return dict(sorted(found.items(), key=lambda item: fields.in_order(item[1].image_id))), notes


def _instances(path: Path, images: tuple[dict[Id, Truth], list[str]], entries: list[dict[str, Any]]) -> Dataset:
    known, notes = images
    of_image: dict[Id, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    seen: dict[Id, dict[str, Any]] = {}
    strangers: list[str] = []
    twice = 0
    for i, entry in enumerate(entries, start=1):
        where = f"{path}: annotation number {i}"
        entry_id = fields.identity(fields.field(entry, "id", where), where)
        name = f"{path}: annotation {entry_id}"
        image_id = fields.identity(fields.field(entry, "image_id", name), f"{name}: image_id")
        if seen.setdefault(entry_id, entry) is not entry and seen[entry_id] == entry:
            twice += 1
        elif fields.match_key(image_id) in known:
            of_image[fields.match_key(image_id)].append((name, {**entry, "id": entry_id}))
        else:
            strangers.append(f"annotation {entry_id} of image {image_id}")
    if strangers:
        if not of_image:
            raise ValueError(f"{path}: no annotation is of an image that the file lists, as {strangers[0]}")
        notes.append(
            f"{path}: {len(strangers)} of {len(entries)} annotations are of images that the file does not list "
            f"({strangers[0]}, for one); left out"
        )
    if twice:
        notes.append(f"{path}: {twice} annotations stand there twice, with the same entry; each counts once")
    found = []
    empty = 0
    for key, truth in known.items():
        own = of_image[key]
        check_count(len(own), f"{path}: image {truth.image_id}")
        own_codes, pixels = codes.all_compressed(
            [fields.field(entry, "segmentation", name) for name, entry in own],
            truth.height,
            truth.width,
            [name for name, _ in own],
        )
        annotations = [
            annotated(entry["id"], code, size, entry, name)
            for (name, entry), code, size in zip(own, own_codes, pixels.tolist(), strict=True)
        ]
        found.append(replace(truth, annotations=annotations))
        vars(found[-1])["pixels"] = pixels  # known already
        empty += int((found[-1].pixels == 0).sum())
    if not entries:
        notes.append(f"{path}: nothing is annotated; AP is -1")
    if empty:
        notes.append(f"{path}: {empty} annotations have masks of no pixel; they count as entities that nobody finds")
    return Dataset(path.stem, found, tuple(notes))
