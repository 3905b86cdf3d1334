"""Who reads an address: a local path, or one that pyarrow or fsspec reach."""

from __future__ import annotations

import os
from urllib.parse import quote

import pyarrow as pa
import pyarrow.fs


def file_system(address: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """The file system of an address, and its path there: pyarrow's own, or fsspec's where pyarrow knows no such scheme.

    What follows the scheme is taken as it is: a blank, "%" or "?" is a character of a name. Whatever else a file
    system needs, such as an endpoint or credentials, it finds in the environment.

    Raises:
        ValueError, ImportError, OSError: nobody reads it.
    """
    if "://" not in address:
        return pyarrow.fs.LocalFileSystem(), os.path.abspath(address)
    try:
        scheme, _, rest = address.partition("://")
        return pyarrow.fs.FileSystem.from_uri(f"{scheme}://{quote(rest, safe='/:@')}")
    except pa.ArrowInvalid:
        import fsspec

        system, path = fsspec.core.url_to_fs(address)
        return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(system)), path
