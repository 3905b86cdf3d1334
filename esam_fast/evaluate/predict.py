"""Predictions for the images of a dataset, one image at a time, written down as they come."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from esam_fast import _check, _files
from esam_fast._errors import named, reason
from esam_fast._files import printable
from esam_fast.evaluate.journal import Journal
from esam_fast.evaluate.names import ImageFiles, file_name
from esam_fast.evaluate.results import Predictions, ResultsError
from esam_fast.evaluate.truth import Dataset, Truth
from esam_fast.images import ImageError, load_image

Answer = Callable[[int, Truth, NDArray[np.uint8]], dict[str, Predictions]]


@dataclass(frozen=True)
class Outcome:
    """What came of a dataset.

    Attributes:
        found: by the names of methods, predictions for every image of every round, round by round; none where an image
            failed.
        failed: the images that failed, by their names, and why.
    """

    found: dict[str, list[Predictions]]
    failed: dict[str, str] = field(default_factory=dict)


def predict(
    dataset: Dataset,
    images: Path,
    methods: Sequence[str],
    answer: Answer,
    journal: Journal,
    *,
    rounds: int = 1,
    strict: bool = False,
) -> Outcome:
    """Predictions of some methods for every image; what the journal holds of the same image is not done again.

    An image that fails is named on stderr and counted, and the others go on.

    Args:
        dataset: what to predict. images: the folder of its images.
        methods: their names.
        answer: from a round's number, annotations and the image uint8 [H, W, 3] to predictions of every method.
        journal: where predictions are kept; closed in the end.
        rounds: times that the dataset is gone through, for what is random.
        strict: let the first failure through.

    Raises:
        ResultsError: every image failed. JournalError: the journal holds what no run wrote. OSError: it cannot be
            written.
    """
    files = ImageFiles(images, [*dataset, *dataset.set_aside])
    outcome = Outcome({name: [] for name in methods})
    try:
        with tqdm(total=rounds * len(dataset), unit="image") as bar:
            for number in range(rounds):
                for truth in dataset:
                    name = file_name(truth)
                    found = None
                    if name not in outcome.failed:
                        try:
                            found = _one(files, truth, number, methods, answer, journal)
                        except _Failed as error:
                            if strict:
                                raise (error.__cause__ or error) from None
                            outcome.failed[name] = str(error)
                            bar.write(printable(f"Error: {error}"), file=sys.stderr)
                    for method in methods:
                        outcome.found[method].append(Predictions.none() if found is None else found[method])
                    bar.update()
    finally:
        journal.close()
    if len(outcome.failed) == len(dataset):
        first = printable(next(iter(outcome.failed.values())))
        raise ResultsError(f"all {len(dataset)} images failed, the first with: {first}")
    return outcome


class _Failed(Exception):
    """One image failed; the message names its file and the reason."""


def _one(
    files: ImageFiles, truth: Truth, number: int, methods: Sequence[str], answer: Answer, journal: Journal
) -> dict[str, Predictions]:
    """The predictions of all methods for one image, from the journal if they are there.

    Raises:
        _Failed: the image cannot be read, is of another size than annotated, or the methods failed on it.
    """
    try:
        path = files.path(truth)
        source = {"sha256": _files.sha256(path), "size": [truth.height, truth.width]}
    except (ImageError, OSError) as error:
        raise _Failed(reason(error)) from error
    key = f"{number}/{truth.image_id}"
    kept = journal.find(key, source)
    if kept is not None:
        try:
            return {name: _from_json(kept["found"][name], truth) for name in methods}
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise journal.damaged(f"the predictions {key}: {error}") from error
    start = time.perf_counter()
    try:
        found = answer(number, truth, load_checked(path, truth))
    except Exception as error:  # whatever it is, it is this image's; the others go on
        raise _Failed(named(str(path), reason(error))) from error
    seconds = round(time.perf_counter() - start, 3)
    journal.add(key, source, {"found": {name: _to_json(one) for name, one in found.items()}, "seconds": seconds})
    return found


def load_checked(path: Path, truth: Truth) -> NDArray[np.uint8]:
    """The image uint8 [H, W, 3] of these annotations.

    Raises:
        ImageError: it cannot be read, or has another size than annotated.
    """
    image = load_image(path)
    if image.shape[:2] != (truth.height, truth.width):
        raise ImageError(
            f"{path}: expected {truth.height} x {truth.width} pixels (height x width, as annotated), "
            f"got {image.shape[0]} x {image.shape[1]}"
        )
    return image


def _to_json(found: Predictions) -> dict[str, Any]:
    """Counts, scores and the number of prompts, which are all that a journal keeps."""
    counts = [code["counts"] for code in found.codes]
    return {"counts": counts, "scores": found.scores.tolist(), "prompts": found.prompts}


def _from_json(kept: dict[str, Any], truth: Truth) -> Predictions:
    """What `_to_json` kept, for an image of this size, checked like a file of results."""
    size = [truth.height, truth.width]
    return Predictions.of_records(
        [
            {"segmentation": {"size": size, "counts": counts}, "score": score}
            for counts, score in zip(kept["counts"], kept["scores"], strict=True)
        ],
        truth,
        _check.integer("prompts", kept["prompts"], 0),
    )
