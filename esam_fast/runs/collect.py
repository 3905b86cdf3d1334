"""The files for all images of a run, made at its end from those of each, such as coco.json and the page."""

from __future__ import annotations

import heapq
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

from esam_fast import _files, report
from esam_fast._errors import named, reason
from esam_fast._files import Pathish, within
from esam_fast.export import CATEGORY, as_json, cvat, yolo
from esam_fast.runs import record
from esam_fast.runs.listing import Shard
from esam_fast.runs.manifest import Entry, all_in, entry_of, last_line, lines, path_of

_CHUNK = 20_000  # entries sorted in memory at a time


@dataclass
class Collected:
    """What was made of a run.

    Attributes:
        images: how many are done.
        made: the files, as paths.
        failed: how many images failed.
        missing: a line for each file that is not there.
    """

    images: int = 0
    made: list[Path] = field(default_factory=list)
    failed: int = 0
    missing: list[str] = field(default_factory=list)


def collect(out: Pathish, failed: Callable[[str], object] = lambda line: None) -> Collected:
    """Make the files for all images that the manifests of a folder know, by the name of their file.

    Memory does not grow with the number of images, but that of the report's page. Images get the ids 1, 2, ... in the
    order of their file_name.

    Args:
        out: the run's folder.
        failed: called with a line for each image that failed.

    Raises:
        FileNotFoundError: there is no manifest in the folder. OSError: a file cannot be written.
    """
    if not all_in(out):
        raise FileNotFoundError(2, "expected a folder of a run, with its manifest, got none", os.fspath(out))
    found = Collected()
    with ExitStack() as stack:
        entries = _Latest(out, stack)
        kinds: set[str] = set()
        for entry in entries:
            if "error" in entry:
                found.failed += 1
                failed(named(entry["path"], entry["error"]))
            else:
                found.images += 1
                kinds |= entry["outputs"].keys()
        done = _Done(out, entries, found.missing)
        if "coco" in kinds:
            found.made.append(_coco(done))
        if "panoptic" in kinds:
            found.made.append(_panoptic(done))
        if "cvat" in kinds:
            found.made.append(_cvat(done))
        if "yolo" in kinds:
            _files.make_folder(out, "yolo")
            found.made.append(Path(out, "yolo", "data.yaml"))
            _files.write_bytes(found.made[-1], yolo.DATASET)
        if "report" in kinds:
            times = {entry["file_name"]: entry.get("timings", {}) for _, entry in done.each("report")}
            found.made.append(_page(out, times))
    return found


def unfinished(out: Pathish) -> list[str]:
    """What of a run has not come to its end: a line for each of its shards, or for the whole.

    What was stopped counts as done when all has ended after it, the whole or all shards of another number: that went on
    from what was there. What another config made has not ended in this one.
    """
    made = (record.read(out) or {}).get("hash")
    runs: dict[int, dict[Shard | None, dict[str, Any]]] = {}  # by the number of shards, 0: the whole; the last lines
    for path, shard in all_in(out).items():
        line = last_line(path)
        if not line or made not in (None, line.get("run")):
            line = {"time": path.stat().st_mtime}
        runs.setdefault(shard.parts if shard else 0, {})[shard] = line
    whole = (run for parts, run in runs.items() if len(run) == max(1, parts))
    ended = max((min(line.get("ended", 0.0) for line in run.values()) for run in whole), default=0.0)
    found = []
    for parts, run in sorted(runs.items()):
        if all((line["ended"] if "ended" in line else line["time"]) <= ended for line in run.values()):
            continue
        shards: list[Shard | None] = [Shard(part, parts) for part in range(parts)]
        for shard in shards or [None]:
            name, file = f"shard {shard.part}/{parts}" if shard else "the run", path_of(out, shard).name
            if shard not in run:
                found.append(f"{name} has not begun (no {file})")
            elif "ended" not in run[shard]:
                found.append(f"{name} has not ended: it is at work, or was stopped ({file})")
    return found


class _Latest:
    """The last entry of each image of a run, by file_name; may be iterated again and again."""

    def __init__(self, out: Pathish, stack: ExitStack) -> None:
        self._chunks: list[BinaryIO | list[bytes]] = []
        run = (record.read(out) or {}).get("hash")
        own = (entry for entry in lines(out) if run in (None, entry["run"]))
        ordered = ((_order(entry), as_json(entry) + b"\n") for entry in own)
        while content := [line for _, line in sorted(itertools.islice(ordered, _CHUNK))]:
            if len(content) < _CHUNK and not self._chunks:
                self._chunks.append(content)
                break
            file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            file.writelines(content)
            self._chunks.append(file)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Entry]:
        merged = heapq.merge(*map(_read, self._chunks), key=_order)
        for _, same in itertools.groupby(merged, key=lambda entry: entry["file_name"]):
            yield list(same)[-1]


def _order(entry: Entry) -> tuple[str, float]:
    return entry["file_name"], entry["time"]


def _read(chunk: BinaryIO | list[bytes]) -> Iterator[Entry]:
    if not isinstance(chunk, list):
        chunk.seek(0)
    return (entry for entry in map(entry_of, chunk) if entry is not None)


@dataclass
class _Done:
    """Entries of a run, numbered, with the contents of their files."""

    out: Pathish
    entries: _Latest
    missing: list[str]

    def each(self, kind: str) -> Iterator[tuple[int, Entry]]:
        """The images that have this output, with their ids."""
        of_kind = (entry for entry in self.entries if kind in entry.get("outputs", ()))
        return enumerate(of_kind, start=1)

    def contents(self, kind: str, suffix: str = "") -> Iterator[tuple[int, Path, bytes]]:
        """The path and content of each image's files of this output with this suffix; those not there are told."""
        for number, entry in self.each(kind):
            for name in (name for name in entry["outputs"][kind] if name.endswith(suffix)):
                try:
                    path = within(self.out, name, own=True)
                    content = _files.read_whole(path)
                except (OSError, ValueError) as error:
                    self.missing.append(reason(error))
                else:
                    yield number, path, content


def _coco(done: _Done) -> Path:
    def annotations() -> Iterator[dict[str, Any]]:
        ids = itertools.count(1)
        for number, source, content in done.contents("coco"):
            for annotation in _records(source, content, done.missing):
                yield {"id": next(ids), **annotation, "image_id": number, "iscrowd": 0}

    return _dataset(done, "coco", annotations())


def _panoptic(done: _Done) -> Path:
    """COCO's layout: panoptic.json, and the PNGs that it names in a folder of its name."""

    def annotations() -> Iterator[dict[str, Any]]:
        for number, source, content in done.contents("panoptic", ".json"):
            for annotation in _records(source, content, done.missing, "annotations"):
                picture = source.with_suffix(".png").relative_to(Path(done.out, "panoptic")).as_posix()
                yield {**annotation, "image_id": number, "file_name": picture}

    return _dataset(done, "panoptic", annotations())


def _dataset(done: _Done, kind: str, annotations: Iterator[dict[str, Any]]) -> Path:
    """Write KIND.json, a COCO file of all images that have this output."""
    path = Path(done.out, f"{kind}.json")
    with _files.writing(path) as file:
        file.write(b'{"info": {"description": "made by esam-fast"},\n"images": [')
        comma = b"\n"
        for number, entry in done.each(kind):
            image = {"id": number, **{key: entry[key] for key in ("file_name", "width", "height")}}
            file.write(comma + as_json(image))
            comma = b",\n"
        file.write(b'],\n"categories": [' + as_json(CATEGORY) + b'],\n"annotations": [')
        comma = b"\n"
        for annotation in annotations:
            file.write(comma + as_json(annotation))
            comma = b",\n"
        file.write(b"]}\n")
    return path


def _records(path: Path, content: bytes, missing: list[str], name: str | None = None) -> list[dict[str, Any]]:
    """The records that a file of JSON holds, under this name if one is given; none, and told, where it is another."""
    try:
        found = _files.parse_json(content, own=True)
    except ValueError as error:
        missing.append(f"{path}: not JSON: {error}")
        return []
    if name is not None:
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, list) and all(isinstance(record, dict) for record in found):
        return found
    missing.append(f"{path}: expected a list of records{f', {name!r}' if name else ''}")
    return []


def _page(out: Pathish, times: dict[str, dict[str, float]]) -> Path:
    about = record.brief(record.read(out) or {})
    report.build(out, f"{Path(out).absolute().name}: entities", about, times)
    return Path(out, "index.html")


def _cvat(done: _Done) -> Path:
    _files.make_folder(done.out, "cvat")
    path = Path(done.out, "cvat", "annotations.xml")
    with _files.writing(path) as file:
        file.write(cvat.START.encode())
        for number, _, content in done.contents("cvat"):
            file.write(content.replace(b'<image id="0"', b'<image id="%d"' % (number - 1), 1))
        file.write(cvat.END.encode())
    return path
