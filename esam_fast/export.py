"""Results out: COCO results, AMG records, label maps and panoptic files, each written whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast import rle

Pathish = str | os.PathLike[str]

CATEGORY = {"id": 1, "name": "entity", "supercategory": "entity", "isthing": 1, "color": [120, 120, 120]}
OUTPUT_MODES = ("binary_mask", "uncompressed_rle", "coco_rle")


class Entities(Protocol):
    """What is written of an image's K entities; `EntityMap` tells what each is."""

    @property
    def labels(self) -> NDArray[np.int32]: ...
    @property
    def scores(self) -> NDArray[np.float32]: ...
    @property
    def areas(self) -> NDArray[np.int64]: ...
    @property
    def boxes(self) -> NDArray[np.int32]: ...
    @property
    def points(self) -> NDArray[np.float32]: ...
    @property
    def stability(self) -> NDArray[np.float32]: ...
    def __len__(self) -> int: ...


def coco_results(entities: Entities, image_id: int | str) -> list[dict[str, Any]]:
    """One COCO results record an entity, by score descending.

    Each holds image_id, category_id (1), segmentation (compressed RLE, counts as str), bbox (XYWH in pixels,
    half-open: a single pixel is 1 wide), area (pixels) and score.
    """
    return [
        {
            "image_id": image_id,
            "category_id": CATEGORY["id"],
            "segmentation": code,
            "bbox": [float(v) for v in _xywh(box)],
            "area": int(area),
            "score": float(score),
        }
        for code, box, area, score in zip(
            encode_labels(entities.labels, len(entities)), entities.boxes, entities.areas, entities.scores, strict=True
        )
    ]


def amg_records(entities: Entities, output_mode: str = "binary_mask") -> list[dict[str, Any]]:
    """One record an entity with the keys of segment_anything's SamAutomaticMaskGenerator, by score descending.

    segmentation is bool [H, W], or what `output_mode` says; bbox XYWH in pixels with the box half-open,
    predicted_iou the entity's score; point_coords and stability_score belong to the entity's highest-scored mask.
    """
    height, width = entities.labels.shape
    return [
        {
            "segmentation": segmentation,
            "area": int(entities.areas[k]),
            "bbox": _xywh(entities.boxes[k]),
            "predicted_iou": float(entities.scores[k]),
            "point_coords": [entities.points[k].tolist()],
            "stability_score": float(entities.stability[k]),
            "crop_box": [0, 0, width, height],
        }
        for k, segmentation in enumerate(segmentations(entities.labels, entities.boxes, output_mode))
    ]


def segmentations(labels: NDArray[np.int32], boxes: NDArray[np.int32], output_mode: str) -> list[Any]:
    """The masks of a label map [H, W], whose labels 1..K have these boxes [K, 4], in one of AMG's OUTPUT_MODES."""
    if output_mode != "binary_mask":
        codes = rle.of_labels(labels, len(boxes))
        return rle.compress(codes) if output_mode == "coco_rle" else codes
    masks = []
    for label, (x0, y0, x1, y1) in enumerate(boxes.tolist(), start=1):
        mask = np.zeros(labels.shape, np.bool_)
        mask[y0:y1, x0:x1] = labels[y0:y1, x0:x1] == label
        masks.append(mask)
    return masks


def encode_labels(labels: NDArray[np.int32], count: int) -> list[rle.Code]:
    """COCO run-length codes of entities 1..count of a label map [H, W]: {"size": [H, W], "counts": str} each."""
    return rle.compress(rle.of_labels(labels, count))


def write_bytes(path: Pathish, data: bytes) -> None:
    """Write a file whole or not at all: into a temporary file beside it, which then takes its name.

    Raises:
        OSError: it cannot be written; names `path`. Nothing is left behind, and an older file stays.
    """
    path = Path(path)
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        file = open(temporary, "xb")  # noqa: SIM115
        try:
            with file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink()
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_labels(path: Pathish, labels: NDArray[np.int32]) -> None:
    """Write a label map [H, W] as 16-bit gray PNG, 0 where there is no entity.

    Raises:
        ValueError: a label does not fit 16 bits. OSError: the file cannot be written.
    """
    if labels.max() > 65535:
        raise ValueError(f"labels must be at most 65535 for a 16-bit PNG, got {labels.max()} entities")
    write_bytes(path, encoded(".png", labels.astype(np.uint16)))


def write_coco(path: Pathish, records: list[dict[str, Any]]) -> None:
    """Write COCO results records as JSON.

    Raises:
        ValueError: a number is NaN or infinite. OSError: the file cannot be written.
    """
    write_bytes(path, _json(records))


def write_panoptic(path: Pathish, entities: Entities, image_id: int | str, file_name: str) -> None:
    """Write COCO panoptic format: the PNG at `path` and, beside it, the JSON that describes it.

    A segment's id is its label; the PNG holds id = R + 256 G + 65536 B, and 0 where there is no entity.

    Args:
        path: of the PNG; the JSON has the suffix ".json" instead.
        entities: what to write.
        image_id: the image's id in the JSON.
        file_name: the image's file name in the JSON.

    Raises:
        ValueError: a label does not fit 24 bits. OSError: a file cannot be written.
    """
    path = Path(path)
    height, width = entities.labels.shape
    if len(entities) >= 1 << 24:
        raise ValueError(f"labels must fit the 24 bits of a panoptic PNG, got {len(entities)} entities")
    segments = [
        {"id": k + 1, "category_id": CATEGORY["id"], "area": int(area), "bbox": _xywh(box), "iscrowd": 0}
        for k, (area, box) in enumerate(zip(entities.areas, entities.boxes, strict=True))
    ]
    description = {
        "images": [{"id": image_id, "file_name": file_name, "height": height, "width": width}],
        "annotations": [{"image_id": image_id, "file_name": path.name, "segments_info": segments}],
        "categories": [CATEGORY],
    }
    digits = entities.labels.astype("<u4").view(np.uint8).reshape(height, width, 4)
    write_image(path, np.ascontiguousarray(digits[..., :3]))
    write_bytes(path.with_suffix(".json"), _json(description))


def write_image(path: Pathish, image: NDArray[np.uint8]) -> None:
    """Write uint8 [H, W, 3] RGB as PNG, or as JPEG of quality 92, by the path's suffix.

    Raises:
        OSError: the file cannot be written.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if Path(path).suffix == ".jpg" else []
    write_bytes(path, encoded(Path(path).suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options))


def encoded(suffix: str, pixels: NDArray[Any], options: list[int] | None = None) -> bytes:
    """An image file's bytes: pixels as OpenCV takes them (gray, or BGR), the format by the suffix."""
    return cv2.imencode(suffix, pixels, options or [])[1].tobytes()


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def _xywh(box: NDArray[np.int32]) -> list[int]:
    x0, y0, x1, y1 = box.tolist()
    return [x0, y0, x1 - x0, y1 - y0]
