"""What a checkpoint file claims, checked before anything is loaded. Knows the two formats, never torch."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from esam_fast import _limits
from esam_fast._files import open_regular, parse_json
from esam_fast.weights.download import is_web_page
from esam_fast.weights.official import WeightsError


def check(path: Path) -> str:
    """See `esam_fast.weights.check_file`."""
    if path.is_dir():
        raise WeightsError(f"{path} is a folder, not a checkpoint")
    try:
        with open_regular(path) as file:
            return _check(path, file)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    except MemoryError as error:
        raise WeightsError(f"cannot read {path}: it needs more memory than there is") from error


def _check(path: Path, file: BinaryIO) -> str:
    size = os.fstat(file.fileno()).st_size
    head = file.read(512)
    if not head:
        raise WeightsError(f"{path} is empty")
    if size > _limits.MAX_CHECKPOINT_BYTES:
        raise WeightsError(f"{path} has {size} bytes: expected at most {_limits.MAX_CHECKPOINT_BYTES}")
    if is_web_page(head):
        raise WeightsError(f"{path} is a web page, not a checkpoint: download it again")
    if head.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path} is a pointer of Git LFS, not a checkpoint: run `git lfs pull` where it lies")
    if head.startswith(b"PK\x03\x04"):  # torch.save since 1.6
        _check_zip(path, file, size)
        return "zip"
    if head[:1] == b"\x80" and head[1:2] in b"\2\3\4\5":  # torch.save before 1.6
        return "pickle"
    if head[8:9] == b"{":
        _check_safetensors(path, file, size)
        return "safetensors"
    raise WeightsError(_other_kind(path))


def _check_zip(path: Path, file: BinaryIO, size: int) -> None:
    """A ZIP archive: a pickle, and one stored member for each storage."""
    if _directory_size(file, size) > _limits.MAX_ZIP_DIRECTORY_BYTES:
        raise WeightsError(
            f"{path} is not a checkpoint: its ZIP directory has more than {_limits.MAX_ZIP_DIRECTORY_BYTES} bytes"
        )
    try:
        whole = zipfile.is_zipfile(file)
        members = zipfile.ZipFile(file).infolist() if whole else []
    except Exception as error:  # zipfile raises whatever it trips over
        raise WeightsError(f"{path} is damaged: its ZIP directory cannot be read") from error
    if not whole:
        raise _cut_off(path, size)
    _check_count(path, len(members))
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED:
            raise WeightsError(f"{path} is not a checkpoint: its member {member.filename!r} is compressed")
        pickled = member.filename.endswith(".pkl")
        _check_part(path, f"member {member.filename!r}", member.file_size, pickled=pickled)
    if sum(member.file_size for member in members) > size:
        raise WeightsError(f"{path} is damaged: its members claim more than its {size} bytes")


def _directory_size(file: BinaryIO, size: int) -> int:
    """Bytes of a ZIP archive's directory as the archive's end says; 0 where there is no end."""
    file.seek(max(0, size - (1 << 16) - 22))
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        return 0
    (length,) = struct.unpack("<I", tail[end + 12 : end + 16])
    locator = tail[max(0, end - 20) : end]
    if len(locator) == 20 and locator.startswith(b"PK\x06\x07"):  # ZIP64
        at = struct.unpack("<Q", locator[8:16])[0]
        file.seek(min(at, size))
        record = file.read(48)
        if record.startswith(b"PK\x06\x06") and len(record) == 48:
            length = max(length if length != 0xFFFFFFFF else 0, struct.unpack("<Q", record[40:48])[0])
    return int(length)


def _check_safetensors(path: Path, file: BinaryIO, size: int) -> None:
    """The header's length in 8 bytes, the header, the tensors."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if 8 + length > size:
        raise _cut_off(path, size)
    if length > _limits.MAX_HEADER_BYTES:
        raise WeightsError(
            f"{path} is not a checkpoint: its header has {length} bytes, more than {_limits.MAX_HEADER_BYTES}"
        )
    try:
        header = parse_json(file.read(length))
    except ValueError as error:
        raise WeightsError(_other_kind(path)) from error
    if not isinstance(header, dict):
        raise WeightsError(_other_kind(path))
    _check_count(path, len(header))
    end = 0
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, last = _offsets(entry)
        if not 0 <= first <= last:
            raise WeightsError(f"{path} is damaged: its header gives no place to the tensor {name[:80]!r}")
        _check_part(path, f"tensor {name[:80]!r}", last - first)
        end = max(end, last)
    if 8 + length + end > size:
        raise _cut_off(path, size)


def _offsets(entry: Any) -> tuple[int, int]:
    """First and last byte of a tensor by its entry in the header; (-1, -1): it has none."""
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if isinstance(offsets, list) and len(offsets) == 2 and all(type(offset) is int for offset in offsets):
        return offsets[0], offsets[1]
    return -1, -1


def _check_count(path: Path, count: int) -> None:
    if count > _limits.MAX_TENSORS:
        raise WeightsError(
            f"{path} is not a checkpoint of SAM: it holds {count} parts, and none of SAM's more than "
            f"{_limits.MAX_TENSORS}"
        )


def _check_part(path: Path, what: str, size: int, *, pickled: bool = False) -> None:
    most = _limits.MAX_PICKLE_BYTES if pickled else _limits.MAX_TENSOR_BYTES
    if size > most:
        raise WeightsError(
            f"{path} is not a checkpoint of SAM: its {what} has {size} bytes, and none of SAM's more than {most}"
        )


def _cut_off(path: Path, size: int) -> WeightsError:
    return WeightsError(f"{path} is cut off after {size} bytes: download it again")


def _other_kind(path: Path) -> str:
    return f"{path} is not a checkpoint: expected a .pth or .safetensors file"
