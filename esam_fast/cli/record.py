"""``run.json`` in every folder of results: what made them, and the mark by which the folder is known."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esam_fast import __version__

if TYPE_CHECKING:
    from esam_fast.pipeline import Esam

FILE = "run.json"
_PROGRAM = "esam-fast"


def write(out: Path, esam: Esam, inputs: Iterable[Path], **options: Any) -> None:
    """Write down what a run is, and clear away what killed ones left unfinished.

    Args:
        out: the folder of results.
        esam: what makes them.
        inputs: the images.
        options: of the command, beside those of the model.

    Raises:
        OSError: the file cannot be written, or the checkpoint not be read.
    """
    from esam_fast import _files
    from esam_fast.export import as_json

    _files.remove_leftovers(out)
    segmenter = esam.segmenter
    checkpoint: Path | None = getattr(segmenter, "checkpoint", None)
    here = Path(os.path.realpath(out))
    about = {
        "program": _PROGRAM,
        "version": __version__,
        "segmenter": segmenter.name,
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "sha256": None if checkpoint is None else _files.sha256(checkpoint),
        "device": str(getattr(segmenter, "device", "cpu")),
        "dtype": str(getattr(segmenter, "dtype", "float32")).removeprefix("torch."),
        "backend": esam.backend,
        "config": dataclasses.asdict(esam.config),
        **options,
        "inputs_inside": any(Path(os.path.realpath(path)).is_relative_to(here) for path in inputs),
    }
    with contextlib.suppress(_files.Busy):  # another run into this folder is writing its own
        _files.write_bytes(out / FILE, as_json(about, indent=1))


def is_result_folder(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds results and nothing else: no images that are inputs themselves."""
    from esam_fast import _files

    path = os.path.join(folder, FILE)
    try:
        about = _files.read_json(path) if os.path.getsize(path) < 1 << 20 else None
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and about.get("program") == _PROGRAM and about.get("inputs_inside") is False
