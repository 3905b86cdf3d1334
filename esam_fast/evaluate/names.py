"""Which annotated image is meant by a name, and which file holds an image."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import TypeVar

from esam_fast import _files
from esam_fast.evaluate.truth import Truth
from esam_fast.images import SUFFIXES, ImageError

Key = TypeVar("Key", bound=Hashable)


def file_name(truth: Truth) -> str:
    """The name of an image's file, with slashes; its id where the annotations name none."""
    return truth.file.replace("\\", "/") or str(truth.image_id)


def bare(name: str) -> str:
    """A name without the suffix of an image file."""
    stem, _, suffix = name.rpartition(".")
    return stem if stem and f".{suffix.lower()}" in SUFFIXES else name


def _last(name: str) -> str:
    return name.rpartition("/")[2]


# How names may agree, from best to worst.
_AGREEMENTS: tuple[Callable[[str], str], ...] = (
    lambda name: name,
    bare,
    _last,
    lambda name: bare(_last(name)),
)


def join(names: dict[Key, str], truths: Iterable[Truth]) -> dict[Key, Truth]:
    """The image that each name means; names that mean none are left out.

    Whole names count before names without suffix, and these before names without their folder.

    Raises:
        ValueError: a name may mean two images, or two names mean one.
    """
    joined: dict[Key, Truth] = {}
    taken: dict[int, str] = {}
    truths = list(truths)
    for form in _AGREEMENTS:
        free: dict[str, list[Truth]] = defaultdict(list)
        for truth in truths:
            if id(truth) not in taken:
                free[form(file_name(truth))].append(truth)
        for key, name in names.items():
            candidates = free.get(form(name), []) if key not in joined else []
            if len(candidates) > 1:
                raise ValueError(f"{name!r} may mean {file_name(candidates[0])} or {file_name(candidates[1])}")
            for truth in candidates:
                if id(truth) in taken:
                    raise ValueError(f"{taken[id(truth)]!r} and {name!r} both mean {file_name(truth)}")
                joined[key], taken[id(truth)] = truth, name
    return joined


class ImageFiles:
    """The files of annotated images in a folder, which no name leads out of.

    Args:
        folder: of the images.
        truths: all that the annotations hold.
    """

    def __init__(self, folder: Path, truths: Iterable[Truth]) -> None:
        self._folder = folder
        self._last = Counter(_last(file_name(truth)) for truth in truths)

    def path(self, truth: Truth) -> Path:
        """The image's file: its name below the folder, else the name's last part if no other image has the same.

        A name without suffix means the one image file of that name.

        Raises:
            ImageError: no such file, more than one, or a name that leads out of the folder.
        """
        name = file_name(truth)
        try:
            whole = _files.within(self._folder, name)
            found = self._existing(name) or (self._existing(_last(name)) if self._last[_last(name)] == 1 else [])
        except ValueError as error:
            raise ImageError(f"image {truth.image_id}: {error}") from error
        if len(found) > 1:
            raise ImageError(f"{whole}: expected one image of this name, got {' and '.join(p.name for p in found)}")
        if not found:
            raise ImageError(f"{whole}: no such file")
        return found[0]

    def _existing(self, name: str) -> list[Path]:
        path = _files.within(self._folder, name)
        if path.exists():
            return [path]
        if bare(name) != name:
            return []
        others = [_files.within(self._folder, name + suffix) for suffix in sorted(SUFFIXES)]
        return [other for other in others if other.is_file()]
