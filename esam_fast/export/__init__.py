"""Results out: COCO results, AMG records, label maps and panoptic files, each written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast import _check, rle
from esam_fast._files import Pathish, open_regular, write_all
from esam_fast._files import write_bytes as write_bytes
from esam_fast.export.entities import Entities, checked
from esam_fast.export.labels import MARK, MOST_IN_PNG, chunk, deep_tiff, gray_png, label_map, panoptic_png

MAX_MASK_BYTES = 16 << 30
OUTPUT_MODES = ("binary_mask", "uncompressed_rle", "coco_rle")
CATEGORY = {"id": 1, "name": "entity", "supercategory": "entity", "isthing": 1, "color": [120, 120, 120]}


def coco_results(entities: Entities, image_id: int | str) -> list[dict[str, Any]]:
    """One COCO results record an entity, by score descending.

    Each holds image_id, category_id (1), segmentation (compressed RLE, counts as str), bbox (XYWH in pixels,
    half-open: a single pixel is 1 wide), area (pixels) and score.

    Raises:
        TypeError: image_id is neither a whole number nor text.
    """
    entities, image_id = checked(entities), _id(image_id)
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
    height, width = checked(entities).labels.shape
    output_mode = _check.choice("output_mode", output_mode, OUTPUT_MODES)
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
        return rle.compress(codes) if output_mode == "coco_rle" else list(codes)
    size = len(boxes) * labels.size
    if size > MAX_MASK_BYTES:
        raise ValueError(
            f"expected at most {MAX_MASK_BYTES >> 30} GB of masks, got {size >> 30} for {len(boxes)} entities of "
            f"{labels.shape[1]} x {labels.shape[0]} pixels: run-length codes are small (output_mode='coco_rle')"
        )
    masks = []
    for label, (x0, y0, x1, y1) in enumerate(boxes.tolist(), start=1):
        mask = np.zeros(labels.shape, np.bool_)
        mask[y0:y1, x0:x1] = labels[y0:y1, x0:x1] == label
        masks.append(mask)
    return masks


def encode_labels(labels: NDArray[np.int32], count: int) -> list[rle.Code]:
    """COCO run-length codes of entities 1..count of a label map [H, W]: {"size": [H, W], "counts": str} each."""
    return rle.compress(rle.of_labels(labels, count))


def write_labels(path: Pathish, labels: NDArray[np.int32]) -> None:
    """Write a label map [H, W], 0 where there is no entity: 16-bit gray PNG, or 32-bit gray TIFF if the suffix is .tif.

    Raises:
        TypeError: no label map. ValueError: a label does not fit 16 bits, or is negative. OSError: the file cannot be
            written.
    """
    write_bytes(path, deep_tiff(labels) if Path(path).suffix == ".tif" else labels_png(labels))


def labels_png(labels: NDArray[np.int32]) -> bytes:
    """The PNG that `write_labels` writes."""
    return gray_png(labels)


def labels_file(labels: NDArray[np.int32]) -> tuple[str, bytes]:
    """The suffix and the content of a label map's file: ".png", or above 65,535 labels ".tif"; see `write_labels`."""
    return (".png", gray_png(labels)) if label_map(labels).max() <= MOST_IN_PNG else (".tif", deep_tiff(labels))


def write_coco(path: Pathish, records: list[dict[str, Any]]) -> None:
    """Write COCO results records as JSON.

    Raises:
        ValueError: a number is NaN or infinite. OSError: the file cannot be written.
    """
    write_bytes(path, as_json(records))


def write_panoptic(path: Pathish, entities: Entities, image_id: int | str, file_name: str) -> None:
    """Write COCO panoptic format: the PNG at `path` and, beside it, the JSON that describes it; both or none.

    Args:
        path: of the PNG; the JSON has the suffix ".json" instead.
        entities: what to write.
        image_id: the image's id in the JSON.
        file_name: the image's file name in the JSON.

    Raises:
        TypeError: image_id is neither a whole number nor text. ValueError: a label does not fit 24 bits. OSError: a
            file cannot be written.
    """
    picture, description = panoptic(entities, image_id, file_name, Path(path).name)
    write_all({path: picture, Path(path).with_suffix(".json"): as_json(description)})


def panoptic(entities: Entities, image_id: int | str, file_name: str, png_name: str) -> tuple[bytes, dict[str, Any]]:
    """A PNG in COCO panoptic format, of this name, and what its JSON says of it.

    A segment's id is its label; the PNG holds id = R + 256 G + 65536 B, and 0 where there is no entity.
    """
    height, width = checked(entities).labels.shape
    image_id = _id(image_id)
    segments = [
        {"id": k + 1, "category_id": CATEGORY["id"], "area": int(area), "bbox": _xywh(box), "iscrowd": 0}
        for k, (area, box) in enumerate(zip(entities.areas, entities.boxes, strict=True))
    ]
    description = {
        "images": [{"id": image_id, "file_name": file_name, "height": height, "width": width}],
        "annotations": [{"image_id": image_id, "file_name": png_name, "segments_info": segments}],
        "categories": [CATEGORY],
    }
    return panoptic_png(entities.labels), description


def write_image(path: Pathish, image: NDArray[np.uint8]) -> None:
    """Write uint8 [H, W, 3] RGB as PNG, or as JPEG of quality 92, by the path's suffix; or [H, W, 4] RGBA as PNG.

    Raises:
        TypeError: no such image. ValueError: no such image, another suffix, or too large for the format. OSError: the
            file cannot be written.
    """
    write_bytes(path, picture(Path(path).suffix, image))


def picture(suffix: str, image: NDArray[np.uint8]) -> bytes:
    """The file that `write_image` writes."""
    suffix = _check.choice("suffix", suffix, (".png", ".jpg", ".jpeg"))
    image = _check.array("image", image, np.uint8, ("H", "W", "C"))
    if image.size == 0:
        raise ValueError(f"image must have pixels, got shape {list(image.shape)}")
    if image.shape[2] != 3 and (image.shape[2], suffix) != (4, ".png"):
        raise ValueError(f"image must have 3 channels, or as PNG 4, got {image.shape[2]}")
    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if suffix != ".png" else []
    order = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return _encoded(suffix, cv2.cvtColor(image, order), options)


def as_json(value: Any, indent: int | None = None) -> bytes:
    """Strict JSON: ValueError where a number is NaN or infinite, or the value is nested too deep."""
    try:
        return json.dumps(value, allow_nan=False, indent=indent).encode()
    except RecursionError:
        raise ValueError("nested too deep for JSON") from None


def marked(data: bytes) -> bytes:
    """A PNG or JPEG file with a comment that `is_result` knows; other files as they are."""
    if data.startswith(b"\x89PNG"):  # after the signature and IHDR
        return data[:33] + chunk(b"tEXt", b"Comment\0" + MARK) + data[33:]
    if data.startswith(b"\xff\xd8\xff\xe0"):  # after JFIF's own segment
        end = 4 + int.from_bytes(data[4:6], "big")
        return data[:end] + b"\xff\xfe" + (len(MARK) + 2).to_bytes(2, "big") + MARK + data[end:]
    return data


def is_result(path: Pathish) -> bool:
    """Whether a file was written as a result, and is no photograph."""
    try:
        with open_regular(path) as file:
            return MARK in file.read(100)
    except OSError:
        return False


def _encoded(suffix: str, pixels: NDArray[Any], options: list[int] | None = None) -> bytes:
    try:
        done, data = cv2.imencode(suffix, pixels, options or [])
    except cv2.error:
        done = False
    if not done:
        height, width = pixels.shape[:2]
        raise ValueError(f"a picture of {width} x {height} pixels cannot be written as {suffix}")
    return data.tobytes()


def _id(image_id: Any) -> int | str:
    return image_id if isinstance(image_id, str) else _check.integer("image_id", image_id, -(2**63))


def _xywh(box: NDArray[np.int32]) -> list[int]:
    x0, y0, x1, y1 = box.tolist()
    return [x0, y0, x1 - x0, y1 - y0]
