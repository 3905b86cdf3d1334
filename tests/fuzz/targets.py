"""What strangers' bytes reach, as functions of bytes: each returns, or raises what is a finding.

A target catches the errors that its functions document, and nothing else. It begins from `seeds`, made here, and knows
how to change them (`mutate`) where bytes at random would rarely be read at all.
"""

from __future__ import annotations

import copy
import io
import json
import struct
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import calls
import cv2
import numpy as np
import tifffile

from esam_fast import load_image
from esam_fast.evaluate import codes, datasets, results
from esam_fast.evaluate.truth import DatasetError
from esam_fast.images import ImageError, open_image
from esam_fast.weights import WeightsError, check_file

Mutate = Callable[[bytes, np.random.Generator], bytes]


class Target(NamedTuple):
    """A function of bytes, what it begins from, and how these are changed (None: any bytes, at random)."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    mutate: Mutate | None = None


def _file(data: bytes, name: str = "given") -> Path:
    """The bytes as a file, the same one each time."""
    global _folder
    if _folder is None:
        shared = Path("/dev/shm")
        _folder = tempfile.TemporaryDirectory(prefix="esam_fuzz", dir=shared if shared.is_dir() else None)
    path = Path(_folder.name) / name
    path.write_bytes(data)
    return path


_folder: tempfile.TemporaryDirectory[str] | None = None


# Images.


def read_image(data: bytes) -> None:
    for stretch in (False, True):
        try:
            image = load_image(_file(data), stretch=stretch)
        except ImageError:
            continue
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3


def read_windows(data: bytes) -> None:
    """The first and the last pixels of a TIFF file, or of another file all of it."""
    for stretch in (False, True):
        try:
            image = open_image(_file(data), stretch=stretch)
            height, width = image.shape[:2]
            last = slice(max(0, height - 30), height), slice(max(0, width - 30), width)
            pieces = image[:30, :30], image[last]
        except ImageError:
            continue
        assert all(piece.dtype == np.uint8 and piece.ndim == 3 and piece.shape[2] == 3 for piece in pieces)


def images() -> Iterator[bytes]:
    """A picture as gray, RGB and RGBA of 8 and 16 bits, in the formats that hold it."""
    noise = np.random.default_rng(0).integers(0, 256, (70, 90, 4), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (15, 15), 0)
    progressive, plain = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_TIFF_COMPRESSION, 1]
    kinds: dict[str, tuple[list[int], ...]] = {
        ".png": ([],), ".jpg": ([], progressive), ".tif": ([], plain), ".jp2": ([],), ".webp": ([],), ".bmp": ([],),
    }  # fmt: skip
    for picture in (smooth[..., 0], smooth[..., :3], smooth):
        for suffix, options in kinds.items():
            for option in options:
                yield cv2.imencode(suffix, picture[..., :3] if suffix == ".jpg" else picture, option)[1].tobytes()
            if suffix in (".png", ".tif"):
                yield cv2.imencode(suffix, picture.astype(np.uint16) * 257)[1].tobytes()


def tiffs() -> Iterator[bytes]:
    """The TIFF files among `images`, and some in tiles."""
    yield from (data for data in images() if data[:2] in (b"II", b"MM"))
    picture = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    for options in ({}, {"compression": "zlib"}, {"bigtiff": True}, {"byteorder": ">"}):
        file = io.BytesIO()
        tifffile.imwrite(file, picture, photometric="rgb", tile=(32, 32), metadata=None, **options)
        yield file.getvalue()


# Annotations and results.

KNOWN = {
    "images": [{"id": 1, "file_name": "a.jpg", "height": 6, "width": 8}, {"id": 2, "file_name": "b/c.jpg", "height": 4,
                "width": 4}],
    "categories": [{"id": 1, "name": "entity"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 6.0, "bbox": [0, 0, 3, 2],
         "segmentation": [[0, 0, 3, 0, 3, 2, 0, 2]]},
        {"id": 2, "image_id": 1, "category_id": 1, "iscrowd": 1, "area": 3, "bbox": [4, 3, 1, 3],
         "segmentation": {"size": [6, 8], "counts": [27, 3, 18]}},
        {"id": 3, "image_id": 2, "category_id": 1, "segmentation": {"size": [4, 4], "counts": "04<"}},
    ],
}  # fmt: skip
FOUND = [
    {"image_id": 1, "category_id": 1, "score": 0.5, "segmentation": {"size": [6, 8], "counts": "06Z1"}},
    {"image_id": 2, "category_id": 1, "score": 1, "segmentation": {"size": [4, 4], "counts": [2, 14]}},
    {"image_id": 1, "category_id": 1, "score": 0.25, "segmentation": [[1, 1, 4, 1, 4, 4]]},
]
PANOPTIC = {
    "images": KNOWN["images"],
    "categories": [{"id": 1, "name": "entity", "isthing": 1}],
    "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": [
        {"id": 1, "category_id": 1, "area": 4, "iscrowd": 0, "bbox": [0, 0, 2, 2]}]}],
}  # fmt: skip


def read_annotations(data: bytes) -> None:
    try:
        loaded = datasets.load(_file(data, "given.json"))
    except DatasetError:
        return
    assert len(loaded)


def read_results(data: bytes) -> None:
    try:
        results.load_results(_file(data, "given.json"), datasets.load(_file(json.dumps(KNOWN).encode(), "known.json")))
    except results.ResultsError:
        return


def mutate_json(data: bytes, rng: np.random.Generator) -> bytes:
    """One or a few values of a JSON text replaced, removed, doubled, or swapped; other texts byte by byte."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return mutate_bytes(data, rng)
    odd = [
        None, True, -1, 0, 1, 2, 6, 8, 2**31, 2**63, 10**30, -0.5, 1e308, float("nan"), float("inf"), "", "1", "\ud800",
        "../x", "a" * 300, "0" * 50, "P" * 20, [], {}, [[]], [1], [0.5], [2**62, -(2**62)], {"size": [6, 8]},
    ]  # fmt: skip
    for _ in range(int(rng.integers(1, 4))):
        places: list[tuple[Any, Any]] = []
        stack = [tree]
        while stack:
            at = stack.pop()
            for key in at if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else ():
                places.append((at, key))
                stack.append(at[key])
        if not places:
            break
        holder, key = places[rng.integers(len(places))]
        kind = rng.integers(6)
        if kind == 0:
            del holder[key]
        elif kind == 1:
            other, there = places[rng.integers(len(places))]
            holder[key] = copy.deepcopy(other[there])
        elif kind == 2 and isinstance(holder, list):
            holder.insert(int(rng.integers(len(holder) + 1)), copy.deepcopy(holder[key]))
        elif kind == 3 and isinstance(holder[key], str):
            holder[key] = mutate_bytes(holder[key].encode("utf-8", "replace"), rng).decode("latin-1")
        elif kind == 4 and isinstance(holder[key], (int, float)):
            holder[key] = holder[key] * int(rng.integers(-3, 4)) + int(rng.integers(-3, 4))
        else:
            holder[key] = copy.deepcopy(odd[rng.integers(len(odd))])
    return json.dumps(tree).encode()


def mutate_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes changed, a piece removed, doubled, or cut off."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at, kind = int(rng.integers(len(changed) + 1)), rng.integers(6)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << int(rng.integers(8))
        elif kind == 1 and at < len(changed):
            changed[at] = int(rng.choice([0, 1, 127, 128, 255, 48, 111, 80]))
        elif kind == 2:
            del changed[at : at + int(rng.integers(1, 9))]
        elif kind == 3:
            changed[at:at] = changed[at : at + int(rng.integers(1, 33))]
        elif kind == 4 and rng.integers(4) == 0:
            del changed[at:]
        else:
            changed[at : at + 4] = struct.pack("<I", int(rng.choice([0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1])))
    return bytes(changed)


# Run-length codes.


def read_code(data: bytes) -> None:
    """The height, the width, and COCO's string."""
    height, width = (1 + value for value in data[:2].ljust(2, b"\0"))
    try:
        found, pixels = codes.all_compressed(
            [{"size": [height, width], "counts": data[2:]}], height, width, ["the code"]
        )
    except ValueError:
        return
    mask = codes.decoded(found[0])
    assert mask.shape == (height, width)
    assert mask.sum() == pixels[0]


def run_lengths() -> Iterator[bytes]:
    for height, width, text in ((6, 8, "06Z1"), (4, 4, "04<"), (4, 4, "0`0"), (255, 255, "Qo1Po1"), (3, 3, "123432")):
        yield bytes([height - 1, width - 1]) + text.encode()


# Checkpoints.


_SAM = bool(find_spec("torch") and find_spec("segment_anything"))


def read_checkpoint(data: bytes) -> None:
    path = _file(data, "given.pth")
    try:
        check_file(path)
        if _SAM:
            from esam_fast.segmenters.sam.models import read_checkpoint

            read_checkpoint(path)
    except WeightsError:
        return


def checkpoints() -> Iterator[bytes]:
    def safetensors(header: Any, tensors: bytes) -> bytes:
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + tensors

    values = np.arange(6, dtype=np.float32).tobytes()
    entry = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    yield safetensors({"a.weight": entry}, values)
    yield safetensors(
        {"__metadata__": {"format": "pt"}, "a": entry, "b": {**entry, "data_offsets": [24, 48]}}, values * 2
    )
    yield safetensors({}, b"")
    yield b"<!DOCTYPE html><html></html>"
    if not _SAM:
        return
    import torch

    for new_format in (True, False):
        file = io.BytesIO()
        state = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.float16)}
        torch.save({"model": state, "epoch": 3}, file, _use_new_zipfile_serialization=new_format)
        yield file.getvalue()


def mutate_checkpoint(data: bytes, rng: np.random.Generator) -> bytes:
    """The header of a .safetensors file as JSON, now and then; else bytes."""
    size = int.from_bytes(data[:8], "little")
    if data[8:9] != b"{" or size > len(data) - 8 or rng.integers(4) == 0:
        return mutate_bytes(data, rng)
    header = mutate_json(data[8 : 8 + size], rng)
    return struct.pack("<Q", len(header)) + header + data[8 + size :]


TARGETS = {
    "images": Target(read_image, images, mutate_bytes),
    "windows": Target(read_windows, tiffs, mutate_bytes),
    "annotations": Target(
        read_annotations, lambda: (json.dumps(text).encode() for text in (KNOWN, PANOPTIC)), mutate_json
    ),
    "results": Target(
        read_results, lambda: (json.dumps(text).encode() for text in (FOUND, {"annotations": FOUND})), mutate_json
    ),
    "codes": Target(read_code, run_lengths, mutate_bytes),
    "checkpoints": Target(read_checkpoint, checkpoints, mutate_checkpoint),
    "calls": Target(calls.call, calls.seeds),
}
