"""Predictions of any method: COCO results files in, checked against the annotations."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast import rle
from esam_fast.evaluate import codes
from esam_fast.evaluate.datasets import Dataset, Truth


class ResultsError(ValueError):
    """Predictions that cannot be scored; the message says which and why."""


@dataclass(frozen=True)
class Predictions:
    """One image's predictions: compressed run-length codes, N of the image's size, and scores float64 [N].

    `prompts` is how many points were asked for them; 0 where that is not known.
    """

    codes: list[rle.Code]
    scores: NDArray[np.float64]
    prompts: int = 0

    @classmethod
    def of_records(cls, records: list[dict[str, Any]], truth: Truth) -> Predictions:
        """From records with 'segmentation' (polygons or a code) and 'score'; whatever else they hold is ignored.

        Raises:
            ResultsError: a mask of another size than annotated, a score that is no finite number, a missing key.
        """
        found, scores = [], []
        for i, record in enumerate(records):
            name = f"prediction {i + 1} for image {truth.image_id}"
            for key in ("segmentation", "score"):
                if key not in record:
                    raise ResultsError(f"{name}: expected the key {key!r}, got {', '.join(record)}")
            if not (isinstance(record["score"], (int, float)) and math.isfinite(record["score"])):
                raise ResultsError(f"{name}: expected a finite score, got {record['score']!r}")
            try:
                found.append(codes.compressed(record["segmentation"], truth.height, truth.width, name))
            except ValueError as error:
                raise ResultsError(str(error)) from error
            scores.append(float(record["score"]))
        return cls(found, np.array(scores, np.float64))

    def painted(self) -> Predictions:
        """Without overlaps: the higher score paints over the lower; by score, empty ones dropped (AP^e)."""
        left, kept = codes.paint(self.codes, self.scores)
        return Predictions(left, self.scores[kept])

    def overlapping(self) -> bool:
        """Whether any pixel lies in two masks."""
        return bool(codes.areas(self.codes).sum() != codes.union_area(self.codes))

    def __len__(self) -> int:
        return len(self.codes)


def load_results(path: Path, dataset: Dataset) -> list[Predictions]:
    """Read a COCO results file: a list of records, or {"annotations": [...]}; category_id is ignored.

    Args:
        path: the JSON file of any method.
        dataset: what it predicts. Ids match as text, so "12" is image 12.

    Returns:
        Predictions for every image of the dataset, in its order; empty for an image that the file leaves out.

    Raises:
        ResultsError: not such a file, an image that is not annotated, or predictions that cannot be scored.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ResultsError(f"{path}: not JSON: {error}") from error
    records = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ResultsError(f"{path}: expected a list of COCO results")
    of_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        if "image_id" not in record:
            raise ResultsError(f"{path}: expected the key 'image_id', got {', '.join(record)}")
        of_image[str(record["image_id"])].append(record)
    strangers = sorted(of_image.keys() - {str(truth.image_id) for truth in dataset})
    if strangers:
        raise ResultsError(f"{path}: image {strangers[0]} is not in the annotations ({len(strangers)} such images)")
    try:
        return [Predictions.of_records(of_image[str(truth.image_id)], truth) for truth in dataset]
    except ResultsError as error:
        raise ResultsError(f"{path}: {error}") from None
