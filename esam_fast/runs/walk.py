"""The image files of a folder and below, and what is passed over there, with the reason."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator

from esam_fast.images import SUFFIXES
from esam_fast.runs.names import is_own
from esam_fast.runs.record import is_result_folder

# Images too, but not read here.
_FOREIGN = frozenset((
    ".heic", ".heif", ".hif", ".jxl", ".psd", ".svg", ".pdf", ".exr", ".hdr", ".tga", ".ico", ".jxr", ".dng", ".cr2",
    ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".raw",
))  # fmt: skip


class Teller:
    """Takes what a listing has to say: `fail` for an input that yields nothing, `note` for what is passed over."""

    def __init__(self, fail: Callable[[str], object], note: Callable[[str], object]) -> None:
        self.fail, self.note = fail, note

    @classmethod
    def silent(cls) -> Teller:
        return cls(lambda _: None, lambda _: None)


class Walk:
    """The image files of a folder and below, by folder; hidden files and folders of results are passed over."""

    def __init__(self, root: str, out: str, teller: Teller) -> None:
        self._root, self._teller = root, teller
        self._aside = os.path.realpath(out) if os.path.realpath(out) != os.path.realpath(root) else None
        self._passed: Counter[str] = Counter()
        self._failed = False

    def __iter__(self) -> Iterator[tuple[str, list[str]]]:
        for parent, folders, files in os.walk(self._root, onerror=self._fail):
            folders[:] = [name for name in sorted(folders) if self._enters(os.path.join(parent, name), name)]
            photos = sorted(name for name in files if self._takes(name))
            files.clear()
            yield parent, photos

    def is_photo(self, path: str) -> bool:
        """Whether a file is no result of ours."""
        if is_own(path):
            self.pass_over_results(1)
            return False
        return True

    def pass_over_results(self, count: int) -> None:
        """Results that were found in another way."""
        if count:
            self._passed["results of esam-fast"] += count

    def summary(self, any_: bool) -> None:
        """Tell what was passed over, and if there was nothing at all."""
        if self._passed:
            counted = ", ".join(_counted(*item) for item in sorted(self._passed.items()))
            self._teller.note(f"{self._root}: passed over {counted}")
        if not any_ and not self._failed:
            self._teller.fail(f"{self._root}: expected images, got a folder without any")

    def _enters(self, path: str, name: str) -> bool:
        if name.startswith("."):
            self._passed["hidden"] += 1
        elif os.path.islink(path):
            self._teller.note(f"{path}: passed over, since it is {_link(path)}")
        elif os.path.realpath(path) == self._aside or is_result_folder(path):
            self._teller.note(f"{path}: passed over, since it is a folder of results")
        else:
            return True
        return False

    def _takes(self, name: str) -> bool:
        suffix = os.path.splitext(name)[1].lower()
        if name.startswith("."):
            self._passed["hidden"] += 1
        elif suffix not in SUFFIXES:
            self._passed[suffix or "without suffix"] += 1
        else:
            return True
        return False

    def _fail(self, error: OSError) -> None:
        self._failed = True
        self._teller.fail(f"{error.filename}: {error.strerror}")


def _link(path: str) -> str:
    above = os.path.realpath(path)
    if os.path.commonpath([os.path.realpath(os.path.dirname(path)), above]) == above:
        return "a link to a folder above it, a loop"
    return "a link to a folder (give that as an INPUT if it is meant)"


def _counted(kind: str, count: int) -> str:
    return f"{count} {kind}{' (not read here: convert to JPEG or PNG)' if kind in _FOREIGN else ''}"
