"""EntitySeg-LR from EntitySeg: short side 800, long side at most 1333, images and annotations alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from esam_fast import export, rle
from esam_fast.evaluate import codes
from esam_fast.evaluate.datasets import Truth, image_path, load
from esam_fast.images import load_image

SHORT, LONG = 800, 1333


def low_resolution(height: int, width: int) -> tuple[int, int]:
    """Height and width with the short side brought to 800, unless the long one then exceeds 1333."""
    scale = min(SHORT / min(height, width), LONG / max(height, width))
    return int(height * scale + 0.5), int(width * scale + 0.5)


def shrink_dataset(annotations: Path, images: Path, out: Path) -> Path:
    """Write the low-resolution twin of a COCO-style dataset: `out`/images_lr and `out`/NAME_lr.json.

    Images are resampled with PIL's bilinear filter (PNG stays PNG, all else becomes JPEG of quality 95); masks by
    nearest sampling, so that entities stay disjoint; areas are measured anew, entities that vanish are left out.
    Images already there are not written again, so a run that was stopped goes on.

    Returns:
        The new annotations.

    Raises:
        DatasetError, ImageError, OSError: a file that cannot be read or written.
    """
    dataset = load(annotations)
    described: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    for truth in tqdm(dataset, unit="image"):
        height, width = low_resolution(truth.height, truth.width)
        name = str(Path(truth.file).with_suffix(".png" if truth.file.lower().endswith(".png") else ".jpg"))
        _write_image(image_path(images, truth), out / "images_lr" / name, height, width)
        described.append({"id": truth.image_id, "file_name": name, "height": height, "width": width})
        entries += _annotations(truth, height, width)
    target = out / f"{annotations.stem}_lr.json"
    content = {"images": described, "annotations": entries, "categories": [export.CATEGORY]}
    export.write_bytes(target, json.dumps(content).encode())
    return target


def _write_image(source: Path, target: Path, height: int, width: int) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    small = Image.fromarray(load_image(source)).resize((width, height), Image.Resampling.BILINEAR)
    part = target.with_name(f".{target.stem}.part{target.suffix}")
    small.save(part, quality=95)  # which PNG has no use for
    part.replace(target)


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
