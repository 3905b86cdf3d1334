"""The images of a run, found one by one: of a folder, of a list, or of inputs as they are typed."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from esam_fast import _files
from esam_fast.export import is_result
from esam_fast.images import SUFFIXES, is_url
from esam_fast.runs.names import Job, Namer, alike, is_own
from esam_fast.runs.walk import Teller, Walk


class Refused(ValueError):
    """Inputs that cannot be segmented into this folder; the message says why."""


class Shard(NamedTuple):
    """One part of several, the first being 0: the images whose file_name has this SHA-256 modulo `parts`."""

    part: int
    parts: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From "I/N"; raises ValueError."""
        found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text, re.ASCII)
        if not found or not int(found[1]) < int(found[2]):
            raise ValueError(f"expected I/N with I from 0 to N - 1, and N below 100,000, got {text!r}")
        return cls(int(found[1]), int(found[2]))

    def holds(self, file_name: str) -> bool:
        return int.from_bytes(hashlib.sha256(os.fsencode(file_name)).digest(), "big") % self.parts == self.part


def find(
    inputs: Iterable[str],
    out: str,
    teller: Teller,
    *,
    listed: str | None = None,
    shard: Shard | None = None,
    writes: Callable[[str], Iterable[str]] = lambda name: (),
) -> Iterator[Job]:
    """The images of a run, each once, found as they are asked for.

    One folder is listed folder by folder, in the order of names; memory grows with the largest single one. Several
    inputs are listed before the first job is given, since their names depend on each other.

    Args:
        inputs: files, folders and patterns, as typed; with `listed` at most one folder, to which names are relative.
        out: the folder for results, in which nothing is taken, unless it is an input itself.
        teller: is told of every input that yields nothing, and of what is passed over.
        listed: a file with a path a line, or "-" for stdin.
        shard: gives only its images.
        writes: the paths, relative to `out`, that the results of a name take beside the images.

    Raises:
        Refused: a result would replace an input; or the list cannot be read.
    """
    inputs = list(inputs)
    if listed is not None:
        found = _of_list(listed, inputs[0] if inputs else None, teller)
    elif len(inputs) == 1 and os.path.isdir(inputs[0]):
        found = _of_folder(inputs[0], out, teller, writes)
    else:
        found = _of_inputs(inputs, out, teller, writes)
    return (job for job in found if shard is None or shard.holds(job.file_name))


def count(inputs: Iterable[str], out: str, *, listed: str | None = None, shard: Shard | None = None) -> int | None:
    """About how many images `find` gives, by names alone; None where the list can be read only once."""
    total = 0
    if listed is not None:
        if listed == "-" or not os.path.isfile(listed):  # a pipe: what is read here would be missing in the run
            return None
        with open(listed, "rb") as file:
            total = sum(1 for _, line in _files.lines(file, _files.MAX_PATH_BYTES) if line.strip())
    else:
        for text in inputs:
            if os.path.isdir(text):
                total += sum(len(files) for _, files in Walk(text, out, Teller.silent()))
            else:
                total += len(glob.glob(text, recursive=True)) if glob.has_magic(text) else 1
    return total if shard is None else total // shard.parts


# -- One folder


def _of_folder(root: str, out: str, teller: Teller, writes: Callable[[str], Iterable[str]]) -> Iterator[Job]:
    walk, any_ = Walk(root, out, teller), False
    for parent, files in walk:
        folder = _relative(parent, root)
        namer = Namer(folder, files, partial(os.path.join, parent))
        walk.pass_over_results(len(files) - len(namer.files))
        if os.path.realpath(os.path.join(out, folder)) == os.path.realpath(parent):
            _check_clashes(namer, out, writes, {os.path.realpath(os.path.join(parent, file)) for file in files})
        for job in namer:
            if walk.is_photo(job.path):
                any_ = True
                yield job
    walk.summary(any_)


def _joined(folder: str, file: str) -> str:
    return f"{folder}/{file}" if folder else file


def _relative(parent: str, root: str) -> str:
    """A folder below another, with "/"; "" for itself."""
    path = os.path.relpath(parent, root).replace(os.sep, "/")
    return "" if path == "." else path


def _check_clashes(jobs: Iterable[Job], out: str, writes: Callable[[str], Iterable[str]], inputs: set[str]) -> None:
    """Refuse jobs of which a result would replace an input; `inputs` holds real paths."""
    same = alike if sys.platform in ("darwin", "win32") else str
    inputs = set(map(same, inputs))
    for job in jobs:
        for path in writes(job.name):
            result = os.path.realpath(os.path.join(out, path))
            if same(result) in inputs and not is_own(result):
                raise Refused(f"{result} is an input and would be replaced; choose another folder for --out")


# -- Several inputs


def _of_inputs(inputs: list[str], out: str, teller: Teller, writes: Callable[[str], Iterable[str]]) -> Iterator[Job]:
    found: dict[str, tuple[str, str]] = {}  # by real path: path and root
    for text in inputs:
        try:
            for path, root in _typed(text, out, teller):
                found.setdefault(os.path.realpath(path), (path, root))
        except (OSError, ValueError) as error:
            teller.fail(f"{text}: {getattr(error, 'strerror', None) or error}")
    paths = _shared_root(list(found.values()))
    groups: dict[str, list[str]] = {}
    for file_name in paths:
        groups.setdefault(file_name.rpartition("/")[0], []).append(file_name.rpartition("/")[2])
    named: dict[str, Job] = {}
    for folder, files in groups.items():
        namer = Namer(folder, files, lambda file, folder=folder: paths[_joined(folder, file)])  # type: ignore[misc]
        named.update((job.file_name, job) for job in namer)
    jobs = [named[file_name] for file_name in paths if file_name in named]
    _check_clashes(jobs, out, writes, set(found))
    yield from jobs


def _typed(text: str, out: str, teller: Teller) -> Iterator[tuple[str, str]]:
    """The images that an input stands for, each with the folder to which its name is relative."""
    if not text:
        teller.fail("expected the name of an image, a folder or a pattern, got an empty one")
    elif is_url(text):
        teller.fail(f"{text}: expected a file or a folder, got an address; download it first, or use esam_fast.cluster")
    elif os.path.isdir(text):
        walk, any_ = Walk(text, out, teller), False
        for parent, files in walk:
            for path in (os.path.join(parent, name) for name in files):
                if walk.is_photo(path):
                    any_ = True
                    yield path, text
        walk.summary(any_)
    else:
        files = [text]
        if glob.has_magic(text) and not os.path.lexists(text):
            files = sorted(path for path in glob.glob(text, recursive=True) if not os.path.isdir(path))
            if not files:
                teller.fail(f"{text}: expected images, got a pattern that matches no file")
                return
        photos = [path for path in files if not is_result(path)]
        for path in files:
            if path not in photos:
                teller.note(f"{path}: passed over, since it is a result of esam-fast")
        if not photos:
            teller.fail(f"{text}: expected images, got results of esam-fast")
        yield from ((str(Path(path)), os.path.dirname(path)) for path in photos)


def _shared_root(found: list[tuple[str, str]]) -> dict[str, str]:
    """Paths by file_name: relative to each one's root, or where two would be alike, to the folder above all roots."""
    paths = [path for path, _ in found]
    files = [_relative(path, root or os.curdir) for path, root in found]
    stems = [os.path.splitext(file)[0] for file in files]
    if len(set(stems)) < len(stems):
        whole = [os.path.abspath(path) for path in paths]
        try:
            common = os.path.commonpath([os.path.abspath(root) for _, root in found])
            files = [_relative(path, common) for path in whole]
        except ValueError:  # on several drives of Windows
            files = [path.replace(":", "").replace(os.sep, "/") for path in whole]
    return dict(zip(files, paths, strict=True))


# -- A list


def _of_list(listed: str, root: str | None, teller: Teller) -> Iterator[Job]:
    """The images of a list, in its order; names are relative to `root`, or to the folder that all of them share."""
    with ExitStack() as stack:
        try:
            file = sys.stdin.buffer if listed == "-" else stack.enter_context(open(listed, "rb"))
        except OSError as error:
            raise Refused(f"--files-from {listed}: {error.strerror}") from error
        if root is None:
            if not file.seekable():  # it is read twice
                copy = stack.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(file, copy)
                copy.seek(0)
                file = copy
            root = _shared_folder(_lines(file))
            file.seek(0)
        root = os.path.abspath(root)
        namer, any_ = lru_cache(16)(partial(_namer, root)), False
        for path in _lines(file):
            any_ = True
            folder, name = os.path.split(path)
            if "\0" in path:
                teller.fail(f"--files-from {listed}: expected a path, got {path[:80]!r}")
            elif _relative(folder, root).split("/")[0] == "..":
                teller.fail(f"{path}: expected a file in {root}, to which names are relative")
            elif is_own(path):
                teller.note(f"{path}: passed over, since it is a result of esam-fast")
            else:
                yield namer(folder).job(name)
        if not any_:
            teller.fail(f"--files-from {listed}: expected paths, got an empty list")


def _namer(root: str, folder: str) -> Namer:
    """What names the images of a folder, as if all of it were segmented."""
    try:
        with os.scandir(folder) as entries:
            names = (entry.name for entry in entries)
            files = [n for n in names if os.path.splitext(n)[1].lower() in SUFFIXES and not n.startswith(".")]
    except OSError:  # its images will tell
        files = []
    namer = Namer(_relative(folder, root), files, partial(os.path.join, folder))
    namer.files = ()  # not to be kept
    return namer


def _lines(file: BinaryIO) -> Iterator[str]:
    """The paths of a list, absolute."""
    for _, line in _files.lines(file, _files.MAX_PATH_BYTES):
        if text := os.fsdecode(line.rstrip(b"\r\n")):
            yield os.path.abspath(text)


def _shared_folder(paths: Iterable[str]) -> str:
    """The folder that all paths have in common."""
    shared: str | None = None
    for folder in map(os.path.dirname, paths):
        if shared is None or folder != shared:
            shared = folder if shared is None else os.path.commonpath([shared, folder])
    return shared or os.curdir
