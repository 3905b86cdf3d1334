"""Records of SamAutomaticMaskGenerator, whoever made them, as other libraries take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check

Record = dict[str, Any]


def to_transformers(records: list[Record]) -> dict[str, Any]:
    """Records as the mask-generation pipeline of transformers returns them.

    Args:
        records: of output_mode "binary_mask".

    Returns:
        A dict with masks (bool [H, W] each) and scores (float32 tensor [N], the predicted IoU). Needs torch.
    """
    masks, scores = _masks(records), _scores(records)
    import torch

    return {"masks": masks, "scores": torch.tensor(scores, dtype=torch.float32)}


def to_supervision(records: list[Record]) -> Any:
    """Records as supervision.Detections in their order, with what `Detections.from_sam` leaves out: the confidence.

    Args:
        records: of output_mode "binary_mask".

    Returns:
        Detections with xyxy, mask, confidence (the predicted IoU) and class_id 0. Needs supervision.
    """
    import supervision

    masks = _masks(records)
    return supervision.Detections(
        xyxy=np.array([_box(mask) for mask in masks], np.float32).reshape(-1, 4),
        mask=np.array(masks, np.bool_) if masks else np.zeros((0, 1, 1), np.bool_),
        confidence=np.array(_scores(records), np.float32),
        class_id=np.zeros(len(masks), np.int64),
    )


def to_fiftyone(records: list[Record], label: str = "entity") -> Any:
    """Records as fiftyone.Detections, each with its mask and confidence.

    Args:
        records: of output_mode "binary_mask".
        label: of every detection; FiftyOne has no detections without one.

    Returns:
        What a sample takes: `sample["entities"] = to_fiftyone(records)`. Needs fiftyone.
    """
    import fiftyone

    detections = []
    for mask, score in zip(_masks(records), _scores(records), strict=True):
        (height, width), (x0, y0, x1, y1) = mask.shape, _box(mask)
        box = [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height]
        detections.append(fiftyone.Detection(label=label, bounding_box=box, mask=mask[y0:y1, x0:x1], confidence=score))
    return fiftyone.Detections(detections=detections)


def _masks(records: list[Record]) -> list[NDArray[np.bool_]]:
    masks = [_value(record, "segmentation") for record in records]
    for mask in masks:
        if not isinstance(mask, np.ndarray):
            raise TypeError(
                f"records must be of output_mode 'binary_mask', got a segmentation of {type(mask).__name__}"
            )
    return [_check.array("segmentation", mask, np.bool_, ("H", "W")) for mask in masks]


def _scores(records: list[Record]) -> list[float]:
    return [_check.real("predicted_iou", _value(record, "predicted_iou")) for record in records]


def _value(record: Record, name: str) -> Any:
    if not isinstance(record, dict) or name not in record:
        raise TypeError(f"records must be of SamAutomaticMaskGenerator, with {name}, got {_check.brief(record)}")
    return record[name]


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 of a mask, half-open: the records of the official generator give one pixel less."""
    y, x = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return (int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1) if len(x) else (0, 0, 0, 0)
