"""Files that strangers wrote or will read: only regular ones opened, names kept inside their folder, writes whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import sys
from pathlib import Path, PureWindowsPath
from typing import Any, BinaryIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

Pathish = str | os.PathLike[str]

MAX_JSON_BYTES = 4 << 30  # the largest annotation files in use have about 1 GB

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_LOCKED_BYTE = 1 << 40  # beyond any content: on Windows nobody can read a locked byte
_CHUNK = 1 << 20


class Busy(OSError):
    """A file that another process is writing."""


def open_regular(path: Pathish) -> BinaryIO:
    """Open a file for reading bytes, if it is a regular file; a pipe or a device could make the reader wait for ever.

    Raises:
        OSError: no such file, not to be read, or of another kind; `strerror` says which, `filename` is `path`.
    """
    path = os.fspath(path)
    _refuse_special(os.stat(path), path)
    # The name may mean another file by now: opened without waiting, and asked again.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    try:
        _refuse_special(os.fstat(file.fileno()), path)
    except OSError:
        file.close()
        raise
    return file


def _refuse_special(status: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EINVAL, f"expected a regular file, got {kind}", path)


def within(folder: Pathish, name: Any) -> Path:
    """The path of a file that another file names, relative to a folder which it must not leave.

    Args:
        folder: what the name is relative to.
        name: as written in the other file; backslashes count as slashes, as Windows writes them.

    Raises:
        ValueError: not a text, empty, absolute, with "..", or led outside by a symbolic link; the message holds the
            name.
    """
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise ValueError(f"expected a file name, got {name!r}")
    windows = PureWindowsPath(name)  # knows both slashes, and drives
    if windows.drive or windows.root or ".." in windows.parts:
        raise ValueError(f"expected a file name inside {folder}, got {name!r}")
    path = Path(folder, *windows.parts)
    try:
        inside = path.resolve().is_relative_to(Path(folder).resolve())
    except (OSError, RuntimeError) as error:  # a loop of links, or a name too long for the system
        raise ValueError(f"expected a file name inside {folder}, got {name[:200]!r}: {error}") from error
    if not inside:
        raise ValueError(f"expected a file inside {folder}, but {name!r} is a link to {path.resolve()}")
    return path


def lock(file: BinaryIO) -> None:
    """Make this process the only one that writes an open file, until it closes it or dies.

    Raises:
        Busy: another one is.
    """
    try:
        if sys.platform == "win32":
            position = file.tell()
            file.seek(_LOCKED_BYTE)
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            finally:
                file.seek(position)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            raise
        raise Busy(errno.EAGAIN, "another process is writing this file", file.name) from error


def write_bytes(path: Pathish, data: bytes) -> None:
    """Write a file whole or not at all: into a temporary file beside it, which then takes its name.

    The temporary file's name follows from `path`, so that the next writer takes over what a killed one left.

    Raises:
        OSError: it cannot be written (Busy: another process is writing it); names `path`. Nothing is left behind,
            and an older file stays.
    """
    path = Path(path)
    temporary = path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.tmp")
    try:
        file = _locked(temporary)
        try:
            with file:
                file.truncate()
                file.write(data)
                file.flush()
                if sys.platform != "win32":  # while still locked; Windows renames no open file
                    os.replace(temporary, path)
            if sys.platform == "win32":
                os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            raise
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


def _locked(path: Path) -> BinaryIO:
    """The file of this name, made if missing, locked."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b")
        try:
            lock(file)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # its writer has just given it another name


def sha256(path: Pathish) -> str:
    """SHA-256 of a regular file's content, in hexadecimal digits.

    Raises:
        OSError: see `open_regular`.
    """
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def read_json(path: Pathish) -> Any:
    """The content of a JSON file, by the letter of the standard: NaN and Infinity are refused.

    Raises:
        OSError: see `open_regular`. ValueError: not JSON, nested too deep, or over MAX_JSON_BYTES; names the file.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_JSON_BYTES:
            raise ValueError(f"{os.fspath(path)}: expected at most {MAX_JSON_BYTES} bytes of JSON, got {size}")
        data = file.read()
    try:
        return parse_json(data)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: not JSON: {error}") from error


def parse_json(data: bytes) -> Any:
    """The value of a JSON text; raises ValueError as `read_json`, without the file's name."""
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
