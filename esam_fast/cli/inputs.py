"""What to segment, and what to call it: no two inputs share a name or an id, no result replaces an input."""

from __future__ import annotations

import glob
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from esam_fast.cli.folders import Images, search
from esam_fast.cli.record import FILE
from esam_fast.export import is_result


@dataclass(frozen=True)
class Job:
    """One image and what its results are called.

    Attributes:
        path: of the image.
        stem: where its results go, less their suffixes.
        image_id: in records; no two of a run are equal.
        file_name: of the image relative to its INPUT, with "/"; no two of a run are equal.
    """

    path: Path
    stem: Path
    image_id: int | str
    file_name: str


@dataclass(frozen=True)
class Plan:
    """What a run is to do: `failures` and `notes` have a line for each input that yields nothing, or not all."""

    jobs: list[Job]
    failures: list[str]
    notes: list[str]


def plan(inputs: Iterable[str], out: Path, suffixes: tuple[str, ...]) -> Plan:
    """Jobs for files, folders and globs.

    Args:
        inputs: as typed.
        out: the folder for results.
        suffixes: what a job writes, appended to its stem.

    Raises:
        click.UsageError: two inputs cannot be told apart in `out`, or a result would replace an input.
    """
    found: dict[str, tuple[Path, Path]] = {}
    everything = Images([], [], [])
    for text in inputs:
        try:
            images = _images(text, out)
        except (OSError, ValueError) as error:
            images = Images([], [f"{text}: {getattr(error, 'strerror', None) or error}"], [])
        everything.failures.extend(images.failures)
        everything.notes.extend(images.notes)
        for path, root in images.found:
            found.setdefault(os.path.realpath(path), (path, root))
    names, file_names = _names(list(found.values()))
    paths, stems = [path for path, _ in found.values()], [out / name for name in names]
    _refuse_clashes(paths, stems, suffixes)
    ids, clashes = _ids([path.stem for path in paths], names)
    jobs = [Job(*parts) for parts in zip(paths, stems, ids, file_names, strict=True)]
    return Plan(jobs, everything.failures, everything.notes + clashes)


def _images(text: str, out: Path) -> Images:
    """The images an input stands for, each with the folder that its name is relative to."""
    given = Path(text)
    if not text:
        return Images([], ["expected the name of an image, a folder or a pattern, got an empty one"], [])
    if given.is_dir():
        return search(given, out)
    if os.path.lexists(given) or not glob.has_magic(text):
        files = [given]
    else:
        files = [Path(match) for match in sorted(glob.glob(text, recursive=True)) if not os.path.isdir(match)]
        if not files:
            return Images([], [f"{text}: expected images, got a pattern that matches no file"], [])
    photos = [path for path in files if not is_result(path)]
    notes = [f"{path}: passed over, since it is a result of esam-fast" for path in files if path not in photos]
    failures = [] if photos else [f"{text}: expected images, got results of esam-fast"]
    return Images([(path, path.parent) for path in photos], failures, notes)


def _names(found: list[tuple[Path, Path]]) -> tuple[list[str], list[str]]:
    """A name for each image's results, by the rule that the help of ``segment`` states, and its own file name."""
    files = [path.relative_to(root) for path, root in found]
    if max(Counter(_plain(file) for file in files).values(), default=0) > 1:
        whole = [Path(os.path.abspath(path)) for path, _ in found]
        roots = [os.path.abspath(root) for _, root in found]
        try:
            common = os.path.commonpath(roots)
            files = [path.relative_to(common) for path in whole]
        except ValueError:  # on several drives of Windows
            files = [Path(path.drive.replace(":", ""), *path.parts[1:]) for path in whole]
    count = Counter(_plain(file) for file in files)
    own = {Path(FILE).stem}  # results of an image of that name would replace the run's own file
    keep = [count[_plain(file)] > 1 or _plain(file).lower() in own for file in files]
    names = [file.as_posix() if kept else _plain(file) for file, kept in zip(files, keep, strict=True)]
    return names, [file.as_posix() for file in files]


def _plain(file: Path) -> str:
    return file.with_suffix("").as_posix()


def _ids(stems: list[str], names: list[str]) -> tuple[list[int | str], list[str]]:
    """An id for each image: its stem, as a number if it is one; its name where ids would be equal, and a line then.

    Names are unique, so that the loop ends.
    """
    ids: list[int | str] = [int(stem) if stem.isdecimal() and len(stem) < 19 else stem for stem in stems]
    clashing: dict[str, list[int]] = {}
    while clash := {value for value, n in Counter(map(str, ids)).items() if n > 1}:
        for i, image_id in enumerate(ids):
            if str(image_id) in clash:
                clashing.setdefault(str(image_id), []).append(i)
                ids[i] = names[i]
    lines = [
        f"image_id {value!r} would stand for {len(which)} images: "
        f"{', '.join(names[i] for i in which[:3])}{', ...' if len(which) > 3 else ''}; their ids are these names"
        for value, which in clashing.items()
    ]
    return ids, lines if len(lines) <= 5 else [*lines[:5], f"and so on for {len(lines) - 5} more"]


def _refuse_clashes(paths: list[Path], stems: list[Path], suffixes: tuple[str, ...]) -> None:
    sources = {_same_name(path) for path in paths}
    written: dict[str, Path] = {}
    for path, stem in zip(paths, stems, strict=True):
        for suffix in suffixes:
            result = os.path.realpath(f"{stem}{suffix}")
            if _same_name(result) in sources:
                raise click.UsageError(f"{result} is an input and would be replaced; choose another folder for --out")
            other = written.setdefault(_same_name(result), path)
            if other is not path:
                raise click.UsageError(f"{other} and {path} would both write {result}; segment them apart")


def _same_name(path: str | Path) -> str:
    """Equal for names of one file: Windows and macOS ignore the case of letters, and macOS how they are composed."""
    name = os.path.normcase(os.path.realpath(path))
    return unicodedata.normalize("NFC", name).casefold() if sys.platform == "darwin" else name
