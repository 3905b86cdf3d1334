"""``manifest.jsonl``: a line for every image that is done, by which a run that was stopped goes on.

A run that has come to its end, having looked at every image, says so in the last line: {"run": HASH, "ended": TIME}.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from esam_fast import _files
from esam_fast._files import Pathish
from esam_fast.export import as_json
from esam_fast.runs import record
from esam_fast.runs.listing import Shard
from esam_fast.runs.names import Job
from esam_fast.runs.outputs import Outputs, Written
from esam_fast.runs.record import Made

Entry = dict[str, Any]
"""A line: path, file_name, size and mtime_ns of the image, name of its results, run (the hash of what made them) and
time (when, seconds since 1970); and then either error, or width, height, entities, covered, prompts, seconds, timings
(seconds by stage), and outputs: paths in the run's folder by what was asked for."""

_ALWAYS: dict[str, Any] = {"path": str, "file_name": str, "run": str, "time": (int, float)}
_FAILED = {"error": str}
_DONE = dict.fromkeys(("size", "mtime_ns", "width", "height", "entities"), int) | {
    "covered": float, "seconds": float, "outputs": dict
}  # fmt: skip
_OFFSET_BITS = 48
_TAIL = 1 << 16  # bytes at the end of a file that are read together


class Conflict(ValueError):
    """A folder that holds results of another config, or that another run writes; the message says what to do."""


def path_of(out: Pathish, shard: Shard | None = None) -> Path:
    """The manifest of a run, or of one shard."""
    return Path(out, "manifest.jsonl" if shard is None else f"manifest-{shard.part}-of-{shard.parts}.jsonl")


def all_in(out: Pathish) -> dict[Path, Shard | None]:
    """The manifests in a run's folder, and which shard's each is."""
    found: dict[Path, Shard | None] = {}
    for path in sorted(Path(out).glob("manifest*.jsonl")):
        if match := re.fullmatch(r"manifest(?:-(\d+)-of-(\d+))?\.jsonl", path.name):
            with contextlib.suppress(ValueError):  # a name that no shard writes
                found[path] = None if match[1] is None else Shard.parse(f"{match[1]}/{match[2]}")
    return found


class Manifest:
    """What is done in a run's folder, and the file to which this process alone writes what it does.

    Memory grows by 16 bytes for each image that is there already. The last line is cut off if a killed run left it
    torn, and if it says that an earlier run has ended. Temporary files that killed runs left are removed.

    Args:
        out: the run's folder; made if missing.
        made: what makes the results.
        shard: which part of the images this run does; the others may run at the same time.
        overwrite: begin anew, whatever is there; what other shards of the same number wrote is theirs to begin anew.

    Raises:
        Conflict: the folder holds results of another config, and `overwrite` is False; or another run writes this
            manifest. OSError: it cannot be written.
    """

    def __init__(self, out: Pathish, made: Made, shard: Shard | None = None, *, overwrite: bool = False) -> None:
        self._out, self._run, self._files = Path(out), made.hash, list[BinaryIO]()
        self._keys, self._places = array("Q"), array("Q")
        path = path_of(out, shard)
        self._out.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            own = stack.enter_context(self._locked(path))
            try:
                others = [p for p, s in all_in(out).items() if p != path and (s and s.parts) != (shard and shard.parts)]
                if overwrite:
                    for other in others:  # none is removed while its run is at work
                        self._locked(other).close()
                    for other in others:
                        other.unlink()
                    own.truncate(0)
                    others = []
                _cut_torn_line(own)
                self._files = [own, *(stack.enter_context(_files.open_regular(other)) for other in others)]
                if not overwrite:
                    self._refuse_others(made)
                for number, file in enumerate(self._files):
                    self._read(number, file)
            except (Conflict, OSError):
                if not own.seek(0, os.SEEK_END):  # made just now: it would say that a run has begun
                    path.unlink()
                raise
            if "ended" in last_line(path):
                own.truncate(_line_before(own, own.seek(0, os.SEEK_END) - 1))
            self._close = stack.pop_all().close
        order = np.argsort(np.asarray(self._keys), kind="stable")
        self._sorted, self._at = np.asarray(self._keys)[order], np.asarray(self._places)[order]
        if shard is None:  # shards may be at work
            _files.remove_leftovers(out)

    def done(self, job: Job, outputs: Outputs, status: os.stat_result) -> Entry | None:
        """The entry of an image of which all that is asked for is there, made of the same file; else None."""
        entry = self._same(job.file_name, status.st_size, status.st_mtime_ns)
        if entry is None or not set(outputs.kinds) <= entry["outputs"].keys():
            return None
        paths = [path for kind in outputs.kinds for path in entry["outputs"][kind]]
        return entry if all(os.path.isfile(os.path.join(self._out, path)) for path in paths) else None

    def undone(
        self, jobs: Iterable[Job], outputs: Outputs, skip: Callable[[Entry], object] = lambda entry: None
    ) -> Iterator[Job]:
        """The jobs that are not done; `skip` is called with the entries of the others."""
        for job in jobs:
            entry = None
            with contextlib.suppress(OSError, ValueError):  # whoever opens the file will say what is wrong
                entry = self.done(job, outputs, os.stat(job.path))
            if entry is None:
                yield job
            else:
                skip(entry)

    def add(self, entry: Entry) -> None:
        """Write down one image; what was made of the same file before, and is not replaced, is kept in its entry."""
        if "error" not in entry:
            before = self._same(entry["file_name"], entry["size"], entry["mtime_ns"])
            entry["outputs"] = _joined(before["outputs"] if before else {}, entry["outputs"])
        self._write(entry)

    def end(self) -> None:
        """Write down that the run has come to its end: every image was looked at."""
        self._write({"run": self._run, "ended": time.time()})

    def close(self) -> None:
        """Let others write."""
        with contextlib.suppress(OSError):  # what could not be written was told by `add`
            self._close()

    def __len__(self) -> int:
        return len(self._sorted)

    def _locked(self, path: Path) -> BinaryIO:
        try:
            return _files.locked(path)
        except _files.Busy as error:
            raise Conflict(
                f"{path}: another run is writing into {self._out}; wait for it, or choose another --out"
            ) from error

    def _write(self, line: dict[str, Any]) -> None:
        file = self._files[0]
        with _files.naming(Path(file.name)):
            file.write(as_json(line) + b"\n")
            file.flush()

    def _same(self, file_name: str, size: int, mtime_ns: int) -> Entry | None:
        """The last entry of an image, if it did not fail and its file was like this."""
        entry = self._last(file_name)
        if entry is None or "error" in entry or (entry["size"], entry["mtime_ns"]) != (size, mtime_ns):
            return None
        return entry

    def _last(self, file_name: str) -> Entry | None:
        key = _key(file_name)
        first, end = np.searchsorted(self._sorted, [key, key], "left")[0], np.searchsorted(self._sorted, key, "right")
        found: list[Entry] = []
        for place in self._at[first:end].tolist():
            file = self._files[place >> _OFFSET_BITS]
            file.seek(place & ((1 << _OFFSET_BITS) - 1))
            entry = entry_of(file.readline(_files.MAX_LINE_BYTES))
            if entry and entry["file_name"] == file_name:
                found.append(entry)
        return max(found, key=lambda entry: entry["time"], default=None)

    def _read(self, number: int, file: BinaryIO) -> None:
        file.seek(0)
        for offset, line in _files.lines(file, _files.MAX_LINE_BYTES):
            entry = entry_of(line)
            if entry is not None:
                if "error" not in entry and entry["run"] != self._run:
                    raise self._conflict(f"{entry['run']} in {Path(file.name).name}, {self._run} here")
                self._keys.append(_key(entry["file_name"]))
                self._places.append(number << _OFFSET_BITS | offset)

    def _refuse_others(self, made: Made) -> None:
        there = record.read(self._out) or {}
        if there.get("hash", made.hash) != made.hash and any(path.stat().st_size for path in all_in(self._out)):
            raise self._conflict("; ".join(record.differences(there, made)))

    def _conflict(self, what: str) -> Conflict:
        return Conflict(f"{self._out} holds results of another config: {what}; choose another --out, or --overwrite")


def entry_of(line: bytes) -> Entry | None:
    """A line's entry; None where it is torn or none of ours."""
    try:
        entry = _files.parse_json(line, own=True) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and _is_whole(entry) else None


def _is_whole(entry: Entry) -> bool:
    """Whether an entry holds what a run writes, so that whoever reads it need not ask again."""
    kinds = _ALWAYS | (_FAILED if "error" in entry else _DONE)
    outputs, timings = entry.get("outputs", {}), entry.get("timings", {})
    of_kind = all(isinstance(entry.get(name), kind) for name, kind in kinds.items())
    if not (of_kind and isinstance(outputs, dict) and isinstance(timings, dict)):
        return False
    if not all(isinstance(seconds, float) for seconds in timings.values()):
        return False
    try:
        os.fsencode(entry["file_name"])
    except UnicodeEncodeError:  # no name of a file
        return False
    return all(isinstance(paths, list) and all(isinstance(path, str) for path in paths) for paths in outputs.values())


def _key(file_name: str) -> int:
    return int.from_bytes(blake2b(os.fsencode(file_name), digest_size=8).digest(), "little")


def _joined(before: Written, now: Written) -> Written:
    replaced = {path for paths in now.values() for path in paths}
    return {kind: paths for kind, paths in before.items() if kind not in now and not replaced & set(paths)} | now


def _cut_torn_line(file: BinaryIO) -> None:
    """Cut off what a killed run wrote of its last line."""
    file.truncate(_line_before(file, file.seek(0, os.SEEK_END)))


def _line_before(file: BinaryIO, end: int) -> int:
    """The place behind the last line that ends before this one; 0 if there is none."""
    while end:
        begin = max(0, end - _TAIL)
        file.seek(begin)
        at = file.read(end - begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0


def last_line(path: Path) -> dict[str, Any]:
    """The last line of a manifest, an entry or what says that the run has ended; {}: torn, or none of ours."""
    with _files.open_regular(path) as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(_line_before(file, end - 1) if end else 0)
        line = file.read(_files.MAX_LINE_BYTES)
    try:
        found = _files.parse_json(line, own=True) if line.endswith(b"\n") else None
    except ValueError:
        return {}
    if isinstance(found, dict) and isinstance(found.get("ended", found.get("time")), float):
        return found
    return {}


def lines(out: Pathish) -> Iterator[Entry]:
    """The entries of all manifests in a run's folder, as they come."""
    for path in all_in(out):
        with _files.open_regular(path) as file:
            found = (entry_of(line) for _, line in _files.lines(file, _files.MAX_LINE_BYTES))
            yield from (entry for entry in found if entry)
