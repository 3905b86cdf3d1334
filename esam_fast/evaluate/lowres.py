"""EntitySeg-LR from EntitySeg: short side 800, long side at most 1333, images and annotations alike."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from esam_fast import _files, export, rle
from esam_fast._errors import named, reason
from esam_fast._files import printable
from esam_fast._version import __version__
from esam_fast.evaluate import codes, datasets
from esam_fast.evaluate.journal import Journal
from esam_fast.evaluate.names import ImageFiles, bare, file_name
from esam_fast.evaluate.predict import load_checked
from esam_fast.evaluate.truth import Dataset, DatasetError, Truth

SHORT, LONG = 800, 1333
FOLDER, JOURNAL = "images_lr", "images_lr.jsonl"


class IncompleteError(ValueError):
    """Some images could not be resized; everything else is written."""


def low_resolution(height: int, width: int) -> tuple[int, int]:
    """Height and width with the short side brought to 800, unless the long one then exceeds 1333; at least 1."""
    scale = min(SHORT / min(height, width), LONG / max(height, width))
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def is_low_resolution(dataset: Dataset) -> bool:
    """Whether every image has a size of EntitySeg-LR, to a pixel."""
    return all(
        max(abs(a - b) for a, b in zip(low_resolution(t.height, t.width), (t.height, t.width), strict=True)) <= 1
        for t in dataset
    )


def shrink_dataset(annotations: Path, images: Path, out: Path) -> Path:
    """Write the low-resolution twin of a COCO-style dataset: `out`/images_lr and `out`/NAME_lr.json.

    Images are resampled with PIL's bilinear filter (PNG stays PNG, all else becomes JPEG of quality 95); masks by
    nearest sampling, so that entities stay disjoint; areas are measured anew, entities that vanish are left out. Two
    images that would get one name keep their suffix (a.webp.jpg).

    An image that was made of the same source is not made again, so a run that was stopped goes on.

    Returns:
        The new annotations. Notes on the old ones, and what failed, are written to stderr.

    Raises:
        DatasetError: annotations that cannot be used, or a name that leads out of a folder. JournalError: `out` holds
            another dataset, or another run writes there. OSError: a file cannot be written. IncompleteError: images
            failed; each was named on stderr, the others are done, and the annotations hold them all.
    """
    dataset = datasets.load(annotations)
    for note in dataset.notes:
        print(printable(f"Note: {note}"), file=sys.stderr)
    files = ImageFiles(images, dataset)
    targets = _targets(dataset, annotations, images, out / FOLDER)
    described: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    failed: list[str] = []
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    header = {"version": __version__, "dataset": dataset.name, "short": SHORT, "long": LONG}
    journal = Journal(out / JOURNAL, header, work="images", option="--out")
    try:
        with tqdm(dataset, unit="image") as bar:
            for truth in bar:
                name = targets[file_name(truth)]
                height, width = low_resolution(truth.height, truth.width)
                try:
                    _shrink_image(files, truth, out / FOLDER / name, (height, width), journal)
                except _Unreadable as error:
                    failed.append(str(error))
                    bar.write(printable(f"Error: {error}"), file=sys.stderr)
                described.append({"id": truth.image_id, "file_name": name, "height": height, "width": width})
                entries += _annotations(truth, height, width)
    finally:
        journal.close()
    target = out / f"{annotations.stem}_lr.json"
    content = {"images": described, "annotations": entries, "categories": [export.CATEGORY]}
    _files.write_bytes(target, json.dumps(content, allow_nan=False).encode())
    if failed:
        raise IncompleteError(
            f"{target}: {len(failed)} of {len(dataset)} images failed, the first with: {printable(failed[0])}"
        )
    return target


class _Unreadable(Exception):
    """A source that failed; the message names it and the reason."""


def _targets(dataset: Dataset, annotations: Path, images: Path, folder: Path) -> dict[str, str]:
    """The new name of each image file; no two get the same, on a file system without upper case either."""
    sizes: dict[str, tuple[int, int]] = {}
    for truth in dataset:
        name = f"{annotations}: image {truth.image_id}"
        try:
            for place in (images, folder):
                _files.within(place, truth.file or file_name(truth))
        except ValueError as error:
            raise DatasetError(f"{name}: {error}") from error
        size = (truth.height, truth.width)
        if sizes.setdefault(file_name(truth), size) != size:
            raise DatasetError(f"{name}: expected {file_name(truth)} in one size, got it in two")
    suffixes = {name: ".png" if name.lower().endswith(".png") else ".jpg" for name in sizes}
    short = {name: bare(name) + suffixes[name] for name in sizes}
    times = Counter(name.lower() for name in short.values())
    targets = {name: target for name, target in short.items() if times[target.lower()] == 1}
    taken = {target.lower() for target in targets.values()}
    for name in sorted(sizes.keys() - targets.keys()):
        more = (f"_{n}" if n > 1 else "" for n in itertools.count(1))
        targets[name] = next(t for extra in more if (t := name + extra + suffixes[name]).lower() not in taken)
        taken.add(targets[name].lower())
    return targets


def _shrink_image(files: ImageFiles, truth: Truth, target: Path, size: tuple[int, int], journal: Journal) -> None:
    """Write the small image, unless it is there and was made of the same source."""
    key = file_name(truth)
    try:
        path = files.path(truth)
        source = {"sha256": _files.sha256(path), "size": list(size), "target": target.name}
        if target.is_file() and journal.find(key, source) == _files.sha256(target):
            return
        small = Image.fromarray(load_checked(path, truth)).resize(size[::-1], Image.Resampling.BILINEAR)
        data = io.BytesIO()
        small.save(data, "PNG" if target.suffix == ".png" else "JPEG", quality=95)  # which PNG has no use for
    except Exception as error:  # whatever it is, it is this image's; the others go on
        with contextlib.suppress(FileNotFoundError):
            target.unlink()  # of another source
        raise _Unreadable(named(key, reason(error))) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    _files.write_bytes(target, data.getvalue())
    journal.add(key, source, _files.sha256(target))


def _annotations(truth: Truth, height: int, width: int) -> list[dict[str, Any]]:
    found = []
    for one in truth.annotations:
        mask = codes.decoded(one.code).astype(np.uint8)
        code = rle.encode(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.bool_))
        packed = rle.compress([code])[0]
        area = int(codes.areas([packed])[0])
        if area:
            found.append(
                {
                    "id": one.id,
                    "image_id": truth.image_id,
                    "category_id": export.CATEGORY["id"],
                    "segmentation": packed,
                    "area": area,
                    "iscrowd": int(one.crowd),
                }
            )
    return found
