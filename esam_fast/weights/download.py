"""One official checkpoint from its publisher: one writer, no more bytes than are known, a name when it is verified."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from esam_fast import _files
from esam_fast.weights.official import FOLDER_VARIABLE, Weights, WeightsError

_BLOCK = 1 << 16  # bytes; what a broken connection loses at most
_TIMEOUT = 30.0  # seconds without an answer
_POLL = 0.2  # seconds between looks at another process's download


def download(model: Weights, folder: Path) -> Path:
    """See `esam_fast.weights.download`."""
    target = folder / model.file
    part = folder / f"{model.file}.part"
    try:
        if not _is_here(model, target):
            folder.mkdir(parents=True, exist_ok=True)
            with _only_writer(part) as file:
                if not _is_here(model, target):  # another process may have brought it meanwhile
                    _fetch(model, file, part)
                    _verify(model, file)
                    if sys.platform == "win32":  # it renames no open file
                        file.close()
                    os.replace(part, target)
    except OSError as error:
        raise WeightsError(
            f"cannot write {error.filename or part}: {error.strerror}; {FOLDER_VARIABLE} names another folder"
        ) from error
    return target


def _is_here(model: Weights, target: Path) -> bool:
    if not target.is_file():
        return False
    if _files.sha256(target) != model.sha256:
        raise WeightsError(
            f"{target} is not the official {model.name} (its sha256 differs): remove it and download again"
        )
    return True


@contextmanager
def _only_writer(part: Path) -> Iterator[BinaryIO]:
    """The file `part`, once this process is the only one that has it; removed in the end if it is empty."""
    waiting = False
    while True:
        try:
            file = _files.locked(part)
            break
        except _files.Busy:
            if not waiting:
                print(f"waiting: another process is downloading {part}", file=sys.stderr)
            waiting = True
            time.sleep(_POLL)
    status = os.fstat(file.fileno())
    try:
        yield file
    finally:
        if not file.closed:
            empty = file.seek(0, os.SEEK_END) == 0
            if sys.platform == "win32":
                file.close()
            if empty:
                _files.remove(part, status)
            file.close()


def _fetch(model: Weights, file: BinaryIO, part: Path) -> None:
    """Bring the file to the model's length, from where it stands.

    Raises:
        WeightsError: that is not possible; what cannot become the model is cleared away.
    """
    from tqdm import tqdm

    have = file.seek(0, os.SEEK_END)
    if have > model.size:
        _clear(file)
        have = 0
    if have == model.size:
        return
    with _asked(model, have, part.parent) as answer:
        if answer.status_code == 416:  # nothing is left to send: the checksum decides
            return
        if not answer.ok:
            raise WeightsError(f"{model.url}: the server answered {answer.status_code} {answer.reason}")
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            raise WeightsError(_web_page(model))
        if answer.status_code != 206:  # all of it, not the rest
            _clear(file)
            have = 0
        announced = answer.headers.get("Content-Length", "")
        whole = have + int(announced) if announced.isascii() and announced.isdigit() else None
        blocks = answer.iter_content(_BLOCK)
        with tqdm(total=model.size, initial=have, unit="B", unit_scale=True, desc=model.file) as bar:
            while block := _next(blocks, model, have):
                have += len(block)
                if have > model.size:
                    _clear(file)
                    raise WeightsError(
                        f"{model.url}: the server sends more than the {model.size} bytes of the official {model.name}"
                    )
                file.write(block)
                bar.update(len(block))
    if have < model.size and have != whole:
        raise _broken_off(model, have)


def _asked(model: Weights, have: int, folder: Path) -> Any:
    """The server's answer to the request for what follows the first `have` bytes."""
    import requests

    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        return requests.get(model.url, headers=headers, stream=True, timeout=_TIMEOUT)
    except requests.ConnectionError as error:
        raise WeightsError(
            f"no connection to {model.url}: check the network, or put the file, fetched elsewhere, into {folder}"
        ) from error
    except Exception as error:  # redirected to no address, a length of two values: every layer has errors of its own
        raise WeightsError(f"{model.url}: the server's answer makes no sense ({type(error).__name__})") from error


def _next(blocks: Iterator[bytes], model: Weights, have: int) -> bytes:
    """The next bytes; none when the server has no more."""
    try:
        return next(blocks, b"")
    except Exception as error:
        raise _broken_off(model, have) from error


def _verify(model: Weights, file: BinaryIO) -> None:
    """Clear away what is not the official file."""
    file.flush()
    file.seek(0)
    digest, head = hashlib.sha256(), b""
    while block := file.read(_BLOCK):
        head = head or block[:512]
        digest.update(block)
    if digest.hexdigest() == model.sha256:
        return
    _clear(file)
    if is_web_page(head):
        raise WeightsError(_web_page(model))
    raise WeightsError(f"{model.url}: what came is not the official {model.name} (its sha256 differs) and was removed")


def _clear(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def is_web_page(head: bytes) -> bool:
    """Whether a file that begins like this is HTML or XML."""
    return head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<head", b"<?xml"))


def _web_page(model: Weights) -> str:
    return f"{model.url}: the server answered with a web page instead of the file; is a proxy or a login in between?"


def _broken_off(model: Weights, have: int) -> WeightsError:
    return WeightsError(
        f"the download of {model.name} broke off after {have / 1e6:.1f} of {model.size / 1e6:.1f} MB: "
        f"run it again to continue"
    )
