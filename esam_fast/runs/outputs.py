"""The files of one image."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check, render, report
from esam_fast._files import Pathish, check_name, write_all, write_bytes
from esam_fast.entities import EntityMap
from esam_fast.export import as_json, coco_results, cvat, marked, picture
from esam_fast.export.formats import FORMATS, Files
from esam_fast.images import TiffWindows
from esam_fast.runs.names import PICTURES, Job, is_own

Written = dict[str, list[str]]  # by what was asked for, the paths of its files, relative to the run's folder

OVERLAY, STEPS = "_overlay.jpg", "_steps.jpg"


@dataclass(frozen=True)
class Outputs:
    """What is written for each image.

    Attributes:
        formats: of `esam_fast.export.formats.FORMATS`; labels and coco lie in the run's folder, others each in its own.
        overlay: a picture to look at. ids: with each entity's label in it.
        steps: the stages side by side.
        cutouts: each entity as a picture, cutouts/NAME/LABEL.png.
        report: the image's files of the page that `esam_fast.report` makes.

    Raises:
        ValueError: an unknown format, or none.
    """

    formats: tuple[str, ...] = ("labels", "coco")
    overlay: bool = True
    ids: bool = False
    steps: bool = False
    cutouts: bool = False
    report: bool = False

    def __post_init__(self) -> None:
        for name in self.formats:
            _check.choice("formats", name, FORMATS)
        if not self.formats:
            raise ValueError(f"formats must hold at least one of {', '.join(FORMATS)}, got none")
        object.__setattr__(self, "formats", tuple(dict.fromkeys(self.formats)))

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is asked for, in words that a manifest holds."""
        overlay = "overlay with ids" if self.ids else "overlay"
        flags = {overlay: self.overlay, "steps": self.steps, "cutouts": self.cutouts, "report": self.report}
        return self.formats + tuple(word for word, asked in flags.items() if asked)

    def beside(self, name: str) -> list[str]:
        """The paths of the files that do not lie in a folder of their own, relative to the run's."""
        suffixes = {
            ".png": "labels" in self.formats, ".json": "coco" in self.formats, OVERLAY: self.overlay, STEPS: self.steps
        }  # fmt: skip
        return [f"{name}{suffix}" for suffix, asked in suffixes.items() if asked]

    def check(self, out: Pathish, job: Job) -> None:
        """Refuse names that no result can have, before anything is computed.

        Raises:
            OSError: a name is too long or a folder's, or that of a picture that is no result; names the path.
        """
        Path(out, job.name).parent.mkdir(parents=True, exist_ok=True)
        for beside in self.beside(job.name):
            _check_result(os.path.join(out, beside))

    def write(self, out: Pathish, job: Job, image: NDArray[np.uint8] | TiffWindows, entities: EntityMap) -> Written:
        """Write an image's files, all or none; those of the report and the cut-outs come first, one by one.

        Args:
            out: the run's folder.
            job: what they are called.
            image: uint8 [H, W, 3] RGB, or a file read by windows.
            entities: of the image; with its stages if `steps` is asked for.

        Returns:
            The paths of what was written, by `kinds`.

        Raises:
            ValueError: a format cannot hold the result. OSError: a file cannot be written.
        """
        made = {
            kind: self._made(kind, job, image, entities) for kind in self.kinds if kind not in ("cutouts", "report")
        }
        written = {kind: list(files) for kind, files in made.items()}
        if self.report:
            written["report"] = report.add(out, job.file_name, image, entities)
        if self.cutouts:
            written["cutouts"] = _write_cutouts(Path(out), f"cutouts/{job.name}", image, entities)
        contents: dict[Pathish, bytes] = {
            Path(out, path): data for files in made.values() for path, data in files.items()
        }
        for folder in {Path(path).parent for path in contents}:
            folder.mkdir(parents=True, exist_ok=True)
        for path in contents:
            _check_result(os.fspath(path))  # which of two suffixes a label map has, only its labels tell
        write_all(contents)
        return written

    def _made(self, kind: str, job: Job, image: NDArray[np.uint8] | TiffWindows, entities: EntityMap) -> Files:
        name = job.name
        if kind == "coco":
            return {f"{name}.json": as_json(coco_results(entities, job.image_id))}
        if kind == "cvat":  # `collect` makes one file of them
            return {f"cvat/images/{name}.xml": cvat.image(entities, 0, job.file_name).encode()}
        if kind in FORMATS:
            files = FORMATS[kind](entities, name, job.file_name)
            return {path: data for path, data in files.items() if path != "yolo/data.yaml"}  # `collect` makes it
        if kind == "steps":
            return {f"{name}{STEPS}": marked(picture(".jpg", render.steps(image[:], entities)))}
        return {f"{name}{OVERLAY}": marked(picture(".jpg", render.overlay(image, entities.labels, ids=self.ids)))}


def _check_result(path: str) -> None:
    """Refuse a path that no result can have; see `Outputs.check`."""
    check_name(path)
    if path.endswith(PICTURES) and os.path.exists(path) and not is_own(path):
        raise FileExistsError(errno.EEXIST, "expected a result of esam-fast, got another picture", path)


def _write_cutouts(out: Path, folder: str, image: NDArray[np.uint8] | TiffWindows, entities: EntityMap) -> list[str]:
    """Write each entity as a picture, and remove those of an earlier result that had more."""
    paths = [f"{folder}/{entity.label}.png" for entity in entities]
    (out / folder).mkdir(parents=True, exist_ok=True)
    for label, path in enumerate(paths, start=1):
        write_bytes(out / path, marked(picture(".png", entities.cutout(image, label))))
    for old in (out / folder).glob("*.png"):
        if f"{folder}/{old.name}" not in paths and old.stem.isdecimal() and is_own(str(old)):
            old.unlink()
    return paths
