"""What to segment, and what to call the results: no two inputs share a name, no result replaces an input."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from esam_fast.images import SUFFIXES


@dataclass(frozen=True)
class Job:
    """One image and where its results go: `stem` plus a suffix."""

    path: Path
    stem: Path


def plan(inputs: Iterable[str], out: Path, suffixes: tuple[str, ...]) -> tuple[list[Job], list[str]]:
    """Jobs for files, folders and globs, and a line for each input that yields none.

    Args:
        inputs: as typed.
        out: the folder for results.
        suffixes: what a job writes, appended to its stem.

    Raises:
        click.UsageError: two inputs cannot be told apart in `out`, or a result would replace an input.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    failures = []
    for text in inputs:
        try:
            images = list(_images(text, out))
        except OSError as error:
            failures.append(f"{error.filename}: {error.strerror}")
            continue
        if not images:
            kind = "a folder without any" if Path(text).is_dir() else "a pattern that matches no file"
            failures.append(f"{text}: expected images, got {kind}")
        for path, root in images:
            found.setdefault(path.resolve(), (path, root))
    jobs = [Job(path, out / name) for (path, _), name in zip(found.values(), _names(list(found.values())), strict=True)]
    _refuse_clashes(jobs, suffixes)
    return jobs, failures


def _images(text: str, out: Path) -> Iterable[tuple[Path, Path]]:
    """The images an input stands for, each with the folder that its name is relative to."""
    given = Path(text)
    if given.is_dir():
        yield from ((path, given) for path in _walk(given, out))
    elif given.exists() or not glob.has_magic(text):
        yield given, given.parent
    else:
        for match in sorted(glob.glob(text, recursive=True)):
            if os.path.isfile(match):
                yield Path(match), Path(match).parent


def _walk(folder: Path, out: Path) -> Iterable[Path]:
    """Image files in a folder and below, hidden ones and earlier results under `out` left aside."""

    def fail(error: OSError) -> None:
        raise error

    skipped = out.resolve() if out.resolve() != folder.resolve() else None
    for parent, folders, files in os.walk(folder, onerror=fail):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and (Path(parent) / f).resolve() != skipped)
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(parent) / name


def _names(found: list[tuple[Path, Path]]) -> list[str]:
    """A name for each image, by the rule that the help of ``segment`` states."""
    names = [path.relative_to(root).with_suffix("") for path, root in found]
    if max(Counter(names).values(), default=0) > 1:
        common = os.path.commonpath([root.absolute() for _, root in found])
        names = [path.absolute().relative_to(common).with_suffix("") for path, _ in found]
    count = Counter(names)
    return [
        str(name.with_name(path.name) if count[name] > 1 else name)
        for name, (path, _) in zip(names, found, strict=True)
    ]


def _refuse_clashes(jobs: list[Job], suffixes: tuple[str, ...]) -> None:
    sources = {job.path.resolve() for job in jobs}
    written: dict[Path, Job] = {}
    for job in jobs:
        for suffix in suffixes:
            result = Path(f"{job.stem}{suffix}").resolve()
            if result in sources:
                raise click.UsageError(f"{result} is an input and would be replaced; choose another folder for --out")
            other = written.setdefault(result, job)
            if other is not job:
                raise click.UsageError(f"{other.path} and {job.path} would both write {result}; segment them apart")
