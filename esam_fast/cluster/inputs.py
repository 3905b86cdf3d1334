"""Datasets of images, and the bytes behind their addresses."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.fs
import ray
import ray.data

from esam_fast import _limits
from esam_fast.cluster import resume
from esam_fast.cluster.addresses import file_system
from esam_fast.images import SUFFIXES

_LISTED = 1000  # paths that the listing of a folder hands on together


def images(*inputs: str | os.PathLike[str]) -> ray.data.Dataset:
    """A dataset with the column "path" of the images in folders, with all below them, and of files named themselves.

    Folders are listed by Ray's tasks while the first images are segmented. Hidden files and folders are passed over.
    What cannot be listed becomes a row with a column "error", which `segment_dataset` hands on.

    Args:
        inputs: local paths, or addresses that pyarrow or fsspec reach, as "s3://bucket/photos".
    """
    given = [{"path": os.fspath(address)} for address in inputs]
    return (
        ray.data.from_items(given)
        .map_batches(_list, batch_format="pyarrow", batch_size=1)
        .repartition(target_num_rows_per_block=_LISTED)
    )


def webdataset(shards: str | list[str]) -> ray.data.Dataset:
    """A dataset with the columns "path" (SHARD/KEY.SUFFIX) and "bytes" of the images in WebDataset's tar files.

    Args:
        shards: tar files, or folders of them; local, or addresses that pyarrow reaches.
    """
    return ray.data.read_webdataset(shards, decoder=None).map_batches(_members, batch_format="pandas", batch_size=None)


def check_columns(names: Iterable[str]) -> None:
    """Refuse a dataset that does not name its images."""
    if "path" not in (names := list(names)):
        raise ValueError(f"dataset must have a column 'path', got {', '.join(names)}")


def fetch(table: pa.Table, done: Any = None) -> pa.Table:
    """The rows that are still to be done, with what an actor needs: path, bytes or image, error ("" for none).

    Args:
        table: rows as `esam_fast.cluster.segment_dataset` takes them.
        done: a reference to what `resume.finished` gave; None: nothing is done.
    """
    check_columns(table.column_names)
    if done is not None:
        table = resume.undone(table, ray.get(done))
    paths = table["path"].to_pylist()
    errors = table["error"].to_pylist() if "error" in table.column_names else [None] * len(paths)
    table = table.select([name for name in ("path", "bytes", "image") if name in table.column_names])
    if table.num_columns == 1:
        data: list[bytes | None] = [None] * len(paths)
        for i, path in enumerate(paths):
            if errors[i] is None and "://" in path:
                try:
                    data[i] = _content(path)
                except Exception as error:  # whatever a file system raises
                    errors[i] = f"{path}: cannot be read: {_line(error)}"
        table = table.append_column("bytes", pa.array(data, pa.large_binary()))
    return table.append_column("error", pa.array([error or "" for error in errors], pa.string()))


def _content(address: str) -> bytes:
    system, path = file_system(address)
    info = system.get_file_info(path)
    if info.type == pyarrow.fs.FileType.NotFound:
        raise FileNotFoundError("no such file")
    if info.size is not None and info.size > _limits.MAX_IMAGE_BYTES:
        raise ValueError(f"expected at most {_limits.MAX_IMAGE_BYTES / 1e9:.1f} GB, got {info.size} bytes")
    with system.open_input_stream(path) as file:
        return file.read()


def _list(table: pa.Table) -> Iterator[pa.Table]:
    for address in table["path"].to_pylist():
        rows = []
        for path, error in _walk(address):
            rows.append({"path": path, "error": error})
            if len(rows) == _LISTED:
                yield _rows(rows)
                rows = []
        yield _rows(rows)


def _rows(rows: list[dict[str, str | None]]) -> pa.Table:
    return pa.Table.from_pylist(rows, pa.schema({"path": pa.string(), "error": pa.string()}))


def _walk(address: str) -> Iterator[tuple[str, str | None]]:
    """The images at an address, each with None, and what cannot be listed, with the reason."""
    scheme = address[: address.index("://") + 3] if "://" in address else ""
    try:
        system, start = file_system(address)
        if system.get_file_info(start).type != pyarrow.fs.FileType.Directory:
            yield _address(scheme, start), None
            return
    except Exception as error:  # whatever a file system raises
        yield address, f"{address}: {_line(error)}"
        return
    folders, seen = [start], set()
    while folders:
        folder = folders.pop()
        real = folder if scheme else os.path.realpath(folder)
        if real in seen:  # a link to a folder that is listed already
            continue
        seen.add(real)
        try:
            entries = sorted(system.get_file_info(pyarrow.fs.FileSelector(folder)), key=lambda entry: entry.path)
        except Exception as error:
            yield _address(scheme, folder), f"{_address(scheme, folder)}: {_line(error)}"
            continue
        shown = [entry for entry in entries if not entry.base_name.startswith(".")]
        folders += [entry.path for entry in reversed(shown) if entry.type == pyarrow.fs.FileType.Directory]
        for entry in shown:
            if entry.type == pyarrow.fs.FileType.File and posixpath.splitext(entry.path)[1].lower() in SUFFIXES:
                yield _address(scheme, entry.path), None


def _address(scheme: str, path: str) -> str:
    """The address of a path in a file system; some of fsspec's have whole addresses for paths."""
    return path if "://" in path else scheme + path


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _members(frame: Any) -> Any:
    """A row for each image of each sample of a shard."""
    import pandas

    rows = []
    for sample in frame.to_dict("records"):
        for name, data in sample.items():
            if isinstance(data, bytes) and f".{name.rpartition('.')[2].lower()}" in SUFFIXES:
                rows.append({"path": f"{sample['__url__']}/{sample['__key__']}.{name}", "bytes": data})
    return pandas.DataFrame(rows, columns=["path", "bytes"])
