"""Files that strangers wrote or will read: only regular ones opened, names kept inside their folder, writes whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any, BinaryIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

Pathish = str | os.PathLike[str]

MAX_JSON_BYTES = 4 << 30  # the largest annotation files in use have about 1 GB
MAX_LINE_BYTES = 64 << 20  # of JSON: an image of 65,535 entities with a file for each has some 7 MB
MAX_PATH_BYTES = 1 << 16  # of a line that is a path; no system takes one so long
MAX_DEPTH = 16  # of what the package itself writes

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
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


def within(folder: Pathish, name: Any, *, own: bool = False) -> Path:
    """The path of a file that another file names, relative to a folder which it must not leave.

    Args:
        folder: what the name is relative to.
        name: as written in the other file; backslashes count as slashes, as Windows writes them.
        own: the name was written on this system, where a backslash may be a character like any other.

    Raises:
        ValueError: not a text, empty, absolute, with "..", or led outside by a symbolic link; the message holds the
            name.
    """
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise ValueError(f"expected a file name, got {name!r}")
    relative = PurePath(name) if own else PureWindowsPath(name)  # the latter knows both slashes, and drives
    if relative.drive or relative.root or ".." in relative.parts:
        raise ValueError(f"expected a file name inside {folder}, got {name!r}")
    path = Path(folder, *relative.parts)
    try:
        inside = path.resolve().is_relative_to(Path(folder).resolve())
    except (OSError, RuntimeError, UnicodeError) as error:  # a loop of links, or no name for this system
        raise ValueError(f"expected a file name inside {folder}, got {name[:200]!r}: {error}") from error
    if not inside:
        raise ValueError(f"expected a file inside {folder}, but {name!r} is a link to {path.resolve()}")
    return path


def make_folder(root: Pathish, name: Pathish) -> None:
    """Make a folder below `root`, with those above it.

    Raises:
        OSError: it cannot be made, or a symbolic link leads out of `root`; names it.
    """
    folder, root = Path(root, name), Path(root).resolve()
    try:
        real = folder.resolve()
    except RuntimeError as error:  # a loop of links, in older Pythons
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(folder)) from error
    if not real.is_relative_to(root):
        raise OSError(errno.EINVAL, f"expected a folder inside {root}, got a link to {real}", os.fspath(folder))
    folder.mkdir(parents=True, exist_ok=True)


def printable(text: str, keep: str = "") -> str:
    """A text that a terminal shows and does not obey: control characters, and what is no character, as escapes."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


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
    """Write a file whole or not at all; see `write_all`."""
    write_all({path: data})


def write_all(contents: Mapping[Pathish, bytes]) -> None:
    """Write files whole, all of them or none: into temporary files beside them, which then take their names.

    A temporary file's name follows from the file's, so that the next writer takes over what a killed one left.

    Raises:
        OSError: one cannot be written (Busy: another process is writing it); names it. Nothing is left behind, and
            older files stay.
    """
    with contextlib.ExitStack() as stack:
        staged = []
        for path, data in contents.items():
            staged.append(_Staged(Path(path)))
            stack.callback(staged[-1].discard)
            staged[-1].fill(data)
        for file in staged:
            file.publish()


@contextlib.contextmanager
def writing(path: Pathish) -> Iterator[BinaryIO]:
    """A file to be written bit by bit, which takes its name at the end: whole, or not at all if the block raises.

    Raises:
        OSError: see `write_all`.
    """
    staged = _Staged(Path(path))
    try:
        with staged.filling() as file:
            yield file
        staged.publish()
    finally:
        staged.discard()


class _Staged:
    """A temporary file beside `path`, locked, that is to take its name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.tmp")
        with naming(path):
            check_name(path)
            if self._temporary.is_symlink():  # none of ours
                self._temporary.unlink()
            self._file = locked(self._temporary)
            self._status = os.fstat(self._file.fileno())

    def fill(self, data: bytes) -> None:
        with self.filling() as file:
            file.write(data)

    @contextlib.contextmanager
    def filling(self) -> Iterator[BinaryIO]:
        with naming(self._path):
            self._file.truncate(0)
            yield self._file
            self._file.flush()

    def publish(self) -> None:
        with naming(self._path):
            if sys.platform == "win32":  # it renames no open file
                self._file.close()
            os.replace(self._temporary, self._path)

    def discard(self) -> None:
        """Remove the temporary file where it is still there: before the lock is given up, if the system allows that."""
        if sys.platform == "win32":
            self._file.close()
        remove(self._temporary, self._status)
        with contextlib.suppress(OSError):  # what could not be flushed was told by `fill`
            self._file.close()


def remove(path: Path, status: os.stat_result) -> None:
    """Remove a file, unless its name is another file's by now."""
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(status, path.stat()):
            path.unlink()


def remove_leftovers(folder: Pathish) -> None:
    """Remove the temporary files that killed writers left in a folder and below; those in use stay."""
    for path in Path(folder).rglob(".*.tmp"):
        if re.fullmatch(r"\.[0-9a-f]{16}\.tmp", path.name):
            with contextlib.suppress(OSError):
                with locked(path) as file:
                    status = os.fstat(file.fileno())
                    if sys.platform != "win32":
                        remove(path, status)
                if sys.platform == "win32":  # it removes no open file
                    remove(path, status)


def check_name(path: Pathish) -> None:
    """Refuse a name that no file can be given here, before anything is written.

    Raises:
        OSError: it is too long, or a folder's, a pipe's or a device's; names `path`.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "expected a file, got a folder", os.fspath(path))
    _refuse_special(status, os.fspath(path))  # a device would be replaced by a file


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the system name this path instead of a temporary file."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


def locked(path: Path) -> BinaryIO:
    """The regular file of this name, made if missing, open for reading and appending and locked.

    A link is not followed: what is written would land where it leads.

    Raises:
        OSError: it cannot be opened, is a link or no regular file, or (Busy) another process has locked it.
    """
    while True:
        with contextlib.suppress(FileNotFoundError):
            _refuse_special(path.lstat(), os.fspath(path))
        file = open(path, "a+b", opener=_open_itself)  # noqa: SIM115
        try:
            lock(file)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return file
        except BaseException:
            file.close()
            raise
        file.close()  # its writer has just given it another name


def _open_itself(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


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


def read_whole(path: Pathish) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: see `open_regular`. ValueError: it has more than MAX_JSON_BYTES; names the file.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_JSON_BYTES:
            raise ValueError(f"{os.fspath(path)}: expected at most {MAX_JSON_BYTES} bytes, got {size}")
        return file.read()


def lines(file: BinaryIO, most: int) -> Iterator[tuple[int, bytes]]:
    """Where each line of a file begins, and the line; the first `most` bytes of one that is longer."""
    offset, begins = file.tell(), True
    while piece := file.readline(most):
        if begins:
            yield offset, piece
        offset += len(piece)
        begins = piece.endswith(b"\n")


def read_json(path: Pathish, *, nan: bool = False, own: bool = False) -> Any:
    """The content of a JSON file.

    Args:
        path: of the file.
        nan: let NaN and Infinity in, which are no JSON but which some programs write; who uses the numbers checks them.
        own: it is to be what this package writes; see `parse_json`.

    Raises:
        OSError: see `open_regular`. ValueError: not JSON, nested too deep, or over MAX_JSON_BYTES; names the file.
    """
    data = read_whole(path)
    try:
        return parse_json(data, nan=nan, own=own)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: not JSON: {error}") from error


def parse_json(data: bytes, *, nan: bool = False, own: bool = False) -> Any:
    """The value of a JSON text; raises ValueError as `read_json`, without the file's name.

    What this package writes (`own`) has no number beyond float64, such as 1e999, and at most MAX_DEPTH levels: it can
    be written again.
    """
    try:
        value = json.loads(data, parse_constant=None if nan else _refuse_constant, parse_float=_finite if own else None)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if own and not _is_shallow(value):
        raise ValueError("nested too deep")
    return value


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner for v in level if isinstance(v, (dict, list)) for inner in (v.values() if isinstance(v, dict) else v)
        ]
    return not level


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:80]} is beyond float64")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
