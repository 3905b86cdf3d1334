"""AP^e: class-agnostic COCO mask AP over predictions that do not overlap, and what is reported beside it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from esam_fast.evaluate.covering import Coverage
from esam_fast.evaluate.results import Predictions
from esam_fast.evaluate.truth import Dataset

MAX_DETECTIONS = 100
AREAS = ("all", "small", "medium", "large")
KEYS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")

_CATEGORY = {"id": 1, "name": "entity"}


def evaluate(dataset: Dataset, predictions: Sequence[Predictions], *, keep_ids: bool = False) -> dict[str, Any]:
    """Everything `esam-fast eval` reports, on predictions painted apart.

    Args:
        dataset: the annotations.
        predictions: one for each image, in the dataset's order; they may overlap.
        keep_ids: see `average_precision`.

    Returns:
        AP AP50 AP75 AP_small AP_medium AP_large (percent; -1 where no annotation has that size), PQ SQ RQ covering
        uncovered (percent), images, images_without_predictions, predictions, annotations, and, where predictions
        overlapped, "raw": the AP keys of the predictions as they came.
    """
    painted = [one.painted() for one in predictions]
    report: dict[str, Any] = average_precision(dataset, painted, keep_ids=keep_ids)
    coverage = Coverage()
    for truth, one in zip(dataset, painted, strict=True):
        coverage.add(truth, one)
    report |= coverage.report()
    report |= {
        "images": len(dataset),
        "images_without_predictions": sum(not len(one) for one in painted),
        "predictions": sum(len(one) for one in painted),
        "annotations": sum(len(truth.annotations) for truth in dataset),
    }
    if any(one.overlapping for one in predictions):
        report["raw"] = average_precision(dataset, predictions, keep_ids=keep_ids)
    return report


def average_precision(
    dataset: Dataset, predictions: Sequence[Predictions], *, keep_ids: bool = False
) -> dict[str, float]:
    """COCO mask AP with one category, every annotation included, in percent.

    IoU .50:.05:.95, 101 recall points, at most 100 predictions an image, in score order (ties: as given). An image
    without predictions counts; crowd annotations are ignored as COCO does. A prediction's size is its mask's area
    (pycocotools takes the box's where a results file has boxes).

    Args:
        dataset: the annotations.
        predictions: one for each image, scored as they are.
        keep_ids: keep the file's annotation ids. Stock COCOeval counts a match with id 0 as a miss, so ids are
            renumbered from 1 unless asked.

    Raises:
        ValueError: ids are to be kept, and two are equal or one is a text.
    """
    if keep_ids:
        _check_ids(dataset)
    images: list[dict[str, Any]] = []
    truths: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    for number, (truth, found) in enumerate(zip(dataset, predictions, strict=True), start=1):
        images.append({"id": number, "height": truth.height, "width": truth.width})
        for one in truth.annotations:
            truths.append({**_entry(truths, number, one.code, one.area), "iscrowd": int(one.crowd)})
            if keep_ids:
                truths[-1]["id"] = one.id
        for code, area, score in zip(found.codes, found.pixels.tolist(), found.scores, strict=True):
            detections.append({**_entry(detections, number, code, float(area)), "score": float(score)})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Found annotation id 0")
        run = COCOeval_faster(_coco(images, truths), _coco(images, detections), "segm")
    run.params.maxDets = [MAX_DETECTIONS]
    run.evaluate()
    run.accumulate()
    precision = run.eval["precision"]  # [10 IoUs, 101 recalls, 1 category, 4 areas, 1]
    every = {"AP": precision[:, :, :, 0], "AP50": precision[0, :, :, 0], "AP75": precision[5, :, :, 0]}
    every |= {f"AP_{AREAS[a]}": precision[:, :, :, a] for a in (1, 2, 3)}
    return {key: _percent(values) for key, values in every.items()}


def _check_ids(dataset: Dataset) -> None:
    ids = [one.id for truth in dataset for one in truth.annotations]
    for one, count in Counter(ids).items():
        if isinstance(one, str) or count > 1:
            came = f"the text {one!r}" if isinstance(one, str) else f"{count} annotations with id {one}"
            raise ValueError(f"{dataset.name}: to keep ids, expected whole numbers that differ, got {came}")


def _entry(so_far: list[dict[str, Any]], image: int, code: Any, area: float) -> dict[str, Any]:
    return {"id": len(so_far) + 1, "image_id": image, "category_id": 1, "segmentation": code, "area": area}


def _coco(images: list[dict[str, Any]], entries: list[dict[str, Any]]) -> Any:
    return COCO({"images": images, "annotations": entries, "categories": [_CATEGORY]})


def _percent(precision: Any) -> float:
    counted = precision[precision > -1]
    return 100 * float(np.mean(counted)) if counted.size else -1.0
