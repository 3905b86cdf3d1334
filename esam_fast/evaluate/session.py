"""One run of a method over a dataset, written down image by image."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from esam_fast.evaluate.baselines import Method
from esam_fast.evaluate.datasets import Dataset, Truth, image_path
from esam_fast.evaluate.journal import Journal
from esam_fast.evaluate.results import Predictions, ResultsError
from esam_fast.images import load_image


def predict(dataset: Dataset, images: Path, method: Method, journal: Path, header: dict[str, Any]) -> list[Predictions]:
    """Predictions for every image, each written to the journal as it comes; what it already holds is not done again.

    Args:
        dataset: what to predict. images: the folder of its images.
        method: see `baselines.method`.
        journal: the file of predictions. header: what the run is; see `Journal`.

    Raises:
        JournalError: the journal belongs to another run. ImageError: an image that cannot be read.
        ResultsError: an image of another size than annotated.
    """
    book = Journal(journal, header)
    try:
        left = [truth for truth in dataset if str(truth.image_id) not in book.done]
        with tqdm(total=len(dataset), initial=len(dataset) - len(left), unit="image") as bar:
            for truth in left:
                start = time.perf_counter()
                found = method(load_checked(images, truth))
                book.add(str(truth.image_id), {**to_json(found), "seconds": round(time.perf_counter() - start, 3)})
                bar.update()
        return [from_json(book.done[str(truth.image_id)], truth) for truth in dataset]
    finally:
        book.close()


def load_checked(images: Path, truth: Truth) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The image uint8 [H, W, 3] of these annotations.

    Raises:
        ImageError: it cannot be read. ResultsError: it has another size than annotated.
    """
    path = image_path(images, truth)
    image = load_image(path)
    if image.shape[:2] != (truth.height, truth.width):
        raise ResultsError(
            f"{path}: expected {truth.height} x {truth.width} pixels (height x width, as annotated), "
            f"got {image.shape[0]} x {image.shape[1]}"
        )
    return image


def to_json(found: Predictions) -> dict[str, Any]:
    """Counts, scores and the number of prompts, which are all that a journal keeps."""
    counts = [code["counts"] for code in found.codes]
    return {"counts": counts, "scores": found.scores.tolist(), "prompts": found.prompts}


def from_json(kept: dict[str, Any], truth: Truth) -> Predictions:
    """What `to_json` kept, for an image of this size."""
    size = [truth.height, truth.width]
    found = [{"size": size, "counts": counts} for counts in kept["counts"]]
    return Predictions(found, np.array(kept["scores"], np.float64), kept["prompts"])
