"""The images in a folder and below; what is passed over is told, with the reason."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from esam_fast.cli.record import is_result_folder
from esam_fast.export import is_result
from esam_fast.images import SUFFIXES

# Images too, but not read here.
_FOREIGN = frozenset((
    ".heic", ".heif", ".hif", ".jxl", ".psd", ".svg", ".pdf", ".exr", ".hdr", ".tga", ".ico", ".jxr", ".dng", ".cr2",
    ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".raw",
))  # fmt: skip


class Images(NamedTuple):
    """Images with the folder that their names are relative to, and lines on what failed and what was passed over."""

    found: list[tuple[Path, Path]]
    failures: list[str]
    notes: list[str]


def search(folder: Path, out: Path) -> Images:
    """The images of a folder and below, less hidden files, results wherever they lie, and what links lead to.

    Args:
        folder: where to look.
        out: the folder for results; unless it is `folder` itself, nothing in it is taken.
    """
    images = Images([], [], [])
    passed: Counter[str] = Counter()
    aside = os.path.realpath(out) if os.path.realpath(out) != os.path.realpath(folder) else None

    def fail(error: OSError) -> None:
        images.failures.append(f"{error.filename}: {error.strerror}")

    for parent, folders, files in os.walk(folder, onerror=fail):
        kept = []
        for name in sorted(folders):
            path = os.path.join(parent, name)
            if name.startswith("."):
                passed["hidden"] += 1
            elif os.path.islink(path):
                images.notes.append(f"{path}: passed over, since it is {_link(path)}")
            elif os.path.realpath(path) == aside or is_result_folder(path):
                images.notes.append(f"{path}: passed over, since it is a folder of results")
            else:
                kept.append(name)
        folders[:] = kept
        for name in sorted(files):
            path = os.path.join(parent, name)
            suffix = os.path.splitext(name)[1].lower()
            if name.startswith("."):
                passed["hidden"] += 1
            elif suffix not in SUFFIXES:
                passed[suffix or "without suffix"] += 1
            elif suffix in (".png", ".jpg") and is_result(path):
                passed["results of esam-fast"] += 1
            else:
                images.found.append((Path(path), folder))
    if passed:
        images.notes.append(f"{folder}: passed over {', '.join(_counted(*item) for item in sorted(passed.items()))}")
    if not images.found and not images.failures:
        images.failures.append(f"{folder}: expected images, got a folder without any")
    return images


def _link(path: str) -> str:
    if Path(os.path.realpath(os.path.dirname(path))).is_relative_to(os.path.realpath(path)):
        return "a link to a folder above it, a loop"
    return "a link to a folder (give that as an INPUT if it is meant)"


def _counted(kind: str, count: int) -> str:
    return f"{count} {kind}{' (not read here: convert to JPEG or PNG)' if kind in _FOREIGN else ''}"
