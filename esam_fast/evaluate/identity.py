"""What a run is made of, for the header of its journal: two runs with the same header give the same predictions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from esam_fast import _files
from esam_fast._version import __version__
from esam_fast.config import EsamConfig
from esam_fast.evaluate.truth import Dataset
from esam_fast.segmenters.protocol import Segmenter


def of_run(dataset: Dataset, config: EsamConfig, segmenter: dict[str, Any], methods: list[str]) -> dict[str, Any]:
    """The version, the content of the annotations, the settings, the methods, and what `segmenter` says.

    Images are no part of it: a journal keeps each one's SHA-256 with its predictions. Nor is the number of them that
    `Dataset.limited` leaves, so that a run over a few goes on with the others.
    """
    every = dataclasses.replace(dataset, images=[*dataset.images, *dataset.set_aside])
    return {
        "version": __version__,
        "annotations": every.digest(),
        "config": dataclasses.asdict(config),
        "methods": methods,
        **segmenter,
    }


def of_segmenter(segmenter: Segmenter, checkpoint: str | None) -> dict[str, Any]:
    """A segmenter's name, the SHA-256 of each file of its weights, its device and its number format."""
    device = getattr(segmenter, "device", None)
    return {
        "segmenter": segmenter.name,
        "weights": {path.name: _files.sha256(path) for path in _weights(segmenter, checkpoint)},
        "device": getattr(device, "type", "cpu"),
        "dtype": str(getattr(segmenter, "dtype", None)),
    }


def _weights(segmenter: Segmenter, checkpoint: str | None) -> list[Path]:
    """The files of a segmenter's weights."""
    if checkpoint is not None:
        path = Path(checkpoint)
        return sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    if segmenter.name == "regions":
        folder = Path(__file__).parents[1] / "segmenters" / "regions"
        return [folder / "calibration.json", folder / "contours.onnx"]
    found: Path | None = getattr(segmenter, "checkpoint", None)
    return [] if found is None else [found]
