"""Predictions of any method: COCO results from a file, or from a folder that `segment` wrote."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast import _files, rle
from esam_fast.evaluate import codes, fields, names
from esam_fast.evaluate.fields import Id, match_key
from esam_fast.evaluate.limits import MAX_PREDICTIONS
from esam_fast.evaluate.truth import Dataset, Truth
from esam_fast.masks import Int, by_score

Records = list[dict[str, Any]]

# What else `segment` writes: files, and folders of other formats.
_OTHER_FILES = {"coco", "run"}
_OTHER_FOLDERS = {"labelme", "geojson", "yolo", "cvat", "panoptic"}


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
    def none(cls) -> Predictions:
        """No predictions."""
        return cls([], np.zeros(0, np.float64))

    @classmethod
    def of_records(cls, records: Records, truth: Truth, prompts: int = 0) -> Predictions:
        """From records with 'segmentation' (polygons or a code) and 'score'; whatever else they hold is ignored.

        Raises:
            ResultsError: a mask that is damaged or of another size than annotated, a score that is no finite number, a
                missing key, or more than MAX_PREDICTIONS.
        """
        if len(records) > MAX_PREDICTIONS:
            raise ResultsError(
                f"image {truth.image_id}: expected at most {MAX_PREDICTIONS} predictions, got {len(records)}"
            )
        called = [f"prediction {i} for image {truth.image_id}" for i in range(1, len(records) + 1)]
        try:
            masks = [fields.field(r, "segmentation", name) for r, name in zip(records, called, strict=True)]
            scores = [_score(r, name) for r, name in zip(records, called, strict=True)]
            found, pixels = codes.all_compressed(masks, truth.height, truth.width, called)
        except ValueError as error:
            raise ResultsError(str(error)) from error
        predictions = cls(found, np.array(scores, np.float64), prompts)
        vars(predictions)["pixels"] = pixels  # known already
        return predictions

    @cached_property
    def pixels(self) -> Int:
        """Pixels of each mask: int64 [N]."""
        return codes.areas(self.codes)

    @cached_property
    def overlapping(self) -> bool:
        """Whether any pixel lies in two masks."""
        return bool(codes.areas(codes.union(self.codes)).sum() != self.pixels.sum())

    def painted(self) -> Predictions:
        """Without overlaps: the higher score paints over the lower; by score, empty ones dropped (AP^e)."""
        return self._painted

    @cached_property
    def _painted(self) -> Predictions:
        if not self.overlapping:
            order = by_score(np.asarray(self.scores))
            return self.take(order[self.pixels[order] > 0])
        left, kept = codes.paint(self.codes, self.scores)
        return Predictions(left, self.scores[kept])

    def take(self, which: Int) -> Predictions:
        """The predictions with these indices, in their order."""
        taken = Predictions([self.codes[i] for i in which], self.scores[which])
        vars(taken)["pixels"] = self.pixels[which]
        return taken

    def common(self, truth: Truth) -> Int:
        """Common pixels of every mask with every annotation of its image: int64 [N, M]."""
        return codes.common(self.codes, self.pixels, [a.code for a in truth.annotations])

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class Results:
    """Records as they were read, not yet matched with annotations.

    Attributes:
        path: of the file, or of the folder.
        records: by the keys of their image ids (`match_key`); of a folder, by the names of its files, not read yet.
        names: the images' names, by the same keys, where they are known.
    """

    path: Path
    records: dict[Id, Records | Path]
    names: dict[Id, str]

    def image_names(self) -> set[str]:
        """What the images may be called, without folder and suffix."""
        last = {name.replace("\\", "/").rpartition("/")[2] for name in self.names.values()}
        return {str(key) for key in self.records} | last | {name.rpartition(".")[0] for name in last}

    def matched(self, dataset: Dataset) -> tuple[list[Predictions], list[str]]:
        """Predictions for every image of the dataset, in its order, none where there are none; and notes.

        Names match before ids, if the results hold any that is annotated.

        Raises:
            ResultsError: nothing matches, an image is not annotated (files of a folder are left out), a name may mean
                two images, or predictions that cannot be scored.
        """
        annotated = [*dataset, *dataset.set_aside]
        try:
            of_key = names.join(self.names, annotated)
        except ValueError as error:
            raise ResultsError(f"{self.path}: {error}") from error
        is_folder = self.path.is_dir()
        if not of_key and not is_folder:
            of_id: dict[Id, Truth] = {}
            for truth in annotated:
                other = of_id.setdefault(match_key(truth.image_id), truth)
                if other is not truth:
                    raise ResultsError(
                        f"{self.path}: image ids cannot tell {other.image_id} and {truth.image_id} of the annotations "
                        f"apart"
                    )
            of_key = {key: of_id[key] for key in self.records if key in of_id}
        strangers = [key for key in self.records if key not in of_key]
        notes = []
        if strangers and is_folder:
            if not of_key:
                raise ResultsError(
                    f"{self.path}: expected NAME.json for images of the annotations, as "
                    f"{names.file_name(annotated[0])}, got {len(strangers)} others, as {strangers[0]}.json"
                )
            notes.append(
                f"{self.path}: {len(strangers)} JSON files are of no annotated image ({strangers[0]}.json, for one); "
                f"left out"
            )
        elif strangers:
            named = self.names.get(strangers[0], strangers[0])
            raise ResultsError(f"{self.path}: image {named} is not in the annotations ({len(strangers)} such images)")
        key_of = {id(truth): key for key, truth in of_key.items()}
        return [self._predictions(key_of.get(id(truth)), truth) for truth in dataset], notes

    def _predictions(self, key: Id | None, truth: Truth) -> Predictions:
        if key is None:
            return Predictions.none()
        path, records = self.path, self.records.get(key, [])
        if isinstance(records, Path):
            path, records = records, _records(_json(records), records)
        try:
            return Predictions.of_records(records, truth)
        except ResultsError as error:
            raise ResultsError(f"{path}: {error}") from None


def read(path: Path) -> Results:
    """Read results.

    Args:
        path: a JSON file, a list of COCO results or {"annotations": [...]}, in which "images" may name the images; or
            the folder that `segment` wrote, in which NAME.json is that list for the image NAME.

    Raises:
        ResultsError: not such a file or folder; names it.
    """
    return _folder(path) if path.is_dir() else _file(path)


def load_results(path: Path, dataset: Dataset) -> list[Predictions]:
    """Read results, and match them with annotations; see `read` and `Results.matched`."""
    return read(path).matched(dataset)[0]


def _file(path: Path) -> Results:
    content = _json(path)
    of_image: dict[Id, Records] = defaultdict(list)
    names_of: dict[Id, str] = {}
    try:
        for i, record in enumerate(_records(content, path), start=1):
            where = f"{path}: prediction number {i}"
            image_id = fields.identity(fields.field(record, "image_id", where), f"{where}: image_id")
            of_image[match_key(image_id)].append(record)
        for image in fields.records(
            content.get("images", []) if isinstance(content, dict) else [], f"{path}: 'images'"
        ):
            image_id = fields.identity(fields.field(image, "id", f"{path}: an image"), f"{path}: an image")
            if isinstance(image.get("file_name"), str) and image["file_name"]:
                names_of[match_key(image_id)] = image["file_name"].replace("\\", "/")
    except ValueError as error:
        raise ResultsError(str(error)) from error
    return Results(path, dict(of_image), names_of)


def _folder(path: Path) -> Results:
    files: dict[Id, Path] = {}
    for file in sorted(path.rglob("*.json")):
        name = file.relative_to(path).with_suffix("").as_posix()
        if not any(part.startswith(".") for part in name.split("/")) and name.split("/")[0] not in _OTHER_FOLDERS:
            files[name] = file
    own = {name: file for name, file in files.items() if name not in _OTHER_FILES}
    if not own and "coco" in files:
        return _file(files["coco"])
    if not own:
        raise ResultsError(f"{path}: expected what segment writes, a NAME.json for every image, got no JSON file")
    return Results(path, dict(own), {name: str(name) for name in own})


def _json(path: Path) -> Any:
    try:
        return _files.read_json(path, nan=True)
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ResultsError(str(error)) from error


def _records(content: Any, path: Path) -> Records:
    records = content.get("annotations") if isinstance(content, dict) else content
    try:
        return fields.records(records, f"{path}: COCO results")
    except ValueError as error:
        raise ResultsError(str(error)) from error


def _score(record: dict[str, Any], name: str) -> float:
    value = fields.field(record, "score", name)
    try:
        return fields.number(value, name)
    except ValueError:
        raise ValueError(f"{name}: expected a finite score, got {fields.brief(value)}") from None
