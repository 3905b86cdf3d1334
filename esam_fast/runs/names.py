"""What an image's results are called: decided by its path and the other files of its folder, never by a whole list."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from esam_fast.export import is_result
from esam_fast.images import SUFFIXES

FOLDERS = ("panoptic", "yolo", "labelme", "geojson", "cvat", "cutouts", "report")  # the run's own, in its folder
FILES = ("run", "coco", "panoptic")  # the same, less ".json"
PICTURES = (".png", ".jpg", ".tif")  # suffixes of results that could be taken for images

_RESERVED = re.compile(rf"(?:{'|'.join(FOLDERS)})_*", re.IGNORECASE)


class Job(NamedTuple):
    """One image and what its results are called.

    Attributes:
        path: of the image.
        file_name: of the image relative to its INPUT, with "/"; no two of a run are equal.
        name: of its results, relative to the run's folder, less their suffixes; no two of a run are equal.
        image_id: in NAME.json: the name, as a number if it is one; no two of a run are equal.
    """

    path: str
    file_name: str
    name: str
    image_id: int | str


class Namer:
    """Names the images of one folder.

    A name is that of the file, less its suffix; files that would get the same one keep it (a.jpg beside a.png). A
    first folder that is called as one of the run's own gets a "_" more.

    Args:
        folder: relative to INPUT, with "/", "" for INPUT itself.
        files: names of the folder's image files.
        path_of: gives a file's path.

    Attributes:
        files: those that are no results, as far as that had to be looked at.
    """

    def __init__(self, folder: str, files: Sequence[str], path_of: Callable[[str], str]) -> None:
        self._folder, self._path_of = folder, path_of
        self._kept = self._keepers(files)
        if self._kept:  # a.png beside a.jpg may be the result on it
            results = {file for file in self._kept if is_own(path_of(file))}
            files = [file for file in files if file not in results]
            self._kept = self._keepers(files)
        self.files = files
        self._equal = _twice(int(_stem(file)) for file in files if self._is_number(_stem(file)))  # 7 and 007
        first, slash, rest = folder.partition("/")
        self._place = f"{first}_{slash}{rest}" if _RESERVED.fullmatch(first) else folder

    def job(self, file: str) -> Job:
        """The job of one file."""
        keeps = file in self._kept or os.path.splitext(file)[1].lower() not in SUFFIXES
        name = file if keeps else _stem(file)
        whole = f"{self._place}/{name}" if self._place else name
        image_id = int(name) if self._is_number(name) and int(name) not in self._equal else whole
        return Job(self._path_of(file), f"{self._folder}/{file}" if self._folder else file, whole, image_id)

    def __iter__(self) -> Iterator[Job]:
        return map(self.job, self.files)

    def _keepers(self, files: Iterable[str]) -> set[str]:
        """The files that keep their suffix."""
        stems = {file: alike(_stem(file)) for file in files}
        twice = _twice(stems.values())
        own = FILES if not self._folder else ()
        kept = {file for file, stem in stems.items() if stem in twice or stem in own}
        names = set(map(alike, kept))
        while more := {f for f in stems if f not in kept and stems[f] in names}:  # a.png.tif by a.png and a.jpg
            kept |= more
            names |= set(map(alike, more))
        return kept

    def _is_number(self, name: str) -> bool:
        return not self._folder and name.isascii() and name.isdecimal() and len(name) < 19


def alike(name: str) -> str:
    """Equal for names that some file system takes for one: of another case, or composed of other characters."""
    return unicodedata.normalize("NFC", name).casefold()


def is_own(path: str) -> bool:
    """Whether a file is a picture that was written as a result."""
    return path.lower().endswith(PICTURES) and is_result(path)


def _twice(values: Iterable[Any]) -> set[Any]:
    return {a for a, b in pairwise(sorted(values)) if a == b}


def _stem(file: str) -> str:
    return os.path.splitext(file)[0]
