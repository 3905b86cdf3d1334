"""What a run is, and which images it has done."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import pyarrow.fs
from numpy.typing import NDArray

from esam_fast import _files, weights
from esam_fast._version import __version__
from esam_fast.cluster.addresses import file_system
from esam_fast.config import EsamConfig


def named(segmenter: str) -> str:
    """The name that "auto" stands for on this machine, told without torch; every actor is to take the same."""
    if segmenter != "auto":
        return segmenter
    missing = any(find_spec(package) is None for package in ("torch", "torchvision", "segment_anything"))
    return "regions" if missing else next(iter(weights.available()), "regions")


def run_hash(load: Any, config: EsamConfig, **views: Any) -> str:
    """What decides about results, as 16 hexadecimal digits: version, segmenter, its checkpoint's bytes, config, views.

    Args:
        load: a function that makes the segmenter, told by its name and, of a `functools.partial`, its arguments.
        config: every threshold.
        views: tile, overlap and wrap.
    """
    about = {"version": __version__, "segmenter": _told(load), "config": dataclasses.asdict(config), **views}
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def finished(folder: str, run: str) -> NDArray[np.uint64]:
    """Sorted digests of the paths that have a row with this hash and no error in a folder's Parquet files."""
    system, path = file_system(folder)
    if system.get_file_info(path).type == pyarrow.fs.FileType.NotFound:
        return np.empty(0, np.uint64)
    files = pyarrow.dataset.dataset(path, filesystem=system, format="parquet", exclude_invalid_files=True)
    if not files.files:
        return np.empty(0, np.uint64)
    wanted = (pc.field("run_hash") == run) & pc.field("error").is_null()
    found = [digests(batch["path"]) for batch in files.to_batches(columns=["path"], filter=wanted)]
    return np.sort(np.concatenate([np.empty(0, np.uint64), *found]))


def digests(paths: pa.Array | pa.ChunkedArray) -> NDArray[np.uint64]:
    """The first 64 bits of each path's SHA-256.

    Two of 10^7 paths done and 10^7 to do agree by chance once in 10^5 runs.
    """
    codes = (hashlib.sha256(path.encode()).digest()[:8] for path in paths.to_pylist())
    return np.frombuffer(b"".join(codes), np.uint64)


def _told(load: Any) -> Any:
    if isinstance(load, functools.partial):
        return [_told(load.func), *map(_told, load.args), {name: _told(value) for name, value in load.keywords.items()}]
    if isinstance(load, (str, Path)):
        return _files.sha256(load) if Path(load).is_file() else str(load)
    if load is None or isinstance(load, (int, float)):
        return load
    if hasattr(load, "embed") and not isinstance(load, type):
        return [type(load).__module__, type(load).__qualname__, load.name, _told(getattr(load, "checkpoint", None))]
    return [getattr(load, "__module__", None), getattr(load, "__qualname__", type(load).__qualname__)]
