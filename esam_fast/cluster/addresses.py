"""Who reads an address: a local path, or one that pyarrow or fsspec reach."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.fs


def file_system(address: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """The file system of an address, and its path there: pyarrow's own, or fsspec's where pyarrow knows no such scheme.

    Raises:
        ValueError, ImportError, OSError: nobody reads it.
    """
    if "://" not in address:
        return pyarrow.fs.LocalFileSystem(), os.path.abspath(address)
    try:
        return pyarrow.fs.FileSystem.from_uri(address)
    except pa.ArrowInvalid:
        import fsspec

        system, path = fsspec.core.url_to_fs(address)
        return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(system)), path
