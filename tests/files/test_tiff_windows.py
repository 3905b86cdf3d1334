"""TIFF files read by windows: each slice is that of the whole image; what a file may claim; who is read whole."""

from __future__ import annotations

import io
import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from esam_fast import _limits
from esam_fast.images import ImageError, ImageWarning, TiffWindows, load_image, open_image

RNG = np.random.default_rng(3)
RGB = np.repeat(np.repeat(RNG.integers(0, 256, (29, 23, 3), np.uint8), 7, axis=0), 9, axis=1)  # 203 x 207
DEEP = (RGB.astype(np.uint16) << 8) + RNG.integers(0, 256, RGB.shape).astype(np.uint16)
LZW, JPEG = 5, 7


def compressed(tile: np.ndarray, kind: int) -> bytes:
    """The bytes of one tile, as a TIFF file holds them."""
    file = io.BytesIO()
    if kind == JPEG:
        Image.fromarray(tile).save(file, "JPEG", quality=90, subsampling=0)
        return file.getvalue()
    Image.fromarray(tile).save(file, "TIFF", compression="tiff_lzw", tiffinfo={278: len(tile)})
    with Image.open(file) as image:
        (offset,), (size,) = image.tag_v2[273], image.tag_v2[279]
    return file.getvalue()[offset : offset + size]


def in_tiles(path: Path, kind: int, side: int = 64, **options: Any) -> Path:
    """RGB in a TIFF file of tiles that are compressed so, which tifffile alone does not write."""
    padded = np.pad(RGB, [(0, -n % side) for n in RGB.shape[:2]] + [(0, 0)], mode="edge")
    corners = itertools.product(range(0, len(padded), side), range(0, padded.shape[1], side))
    tiles = (compressed(np.ascontiguousarray(padded[y : y + side, x : x + side]), kind) for y, x in corners)
    written(path, tiles, shape=RGB.shape, dtype="u1", tile=(side, side), compression="zlib", **options)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags[259].overwrite(kind)
    return path


def written(path: Path, image: Any, **options: Any) -> Path:
    options.setdefault("photometric", "minisblack" if isinstance(image, np.ndarray) and image.ndim == 2 else "rgb")
    tifffile.imwrite(path, image, metadata=None, **options)
    return path


def in_long8(path: Path) -> Path:
    """With the sizes of tiles in 64 bits each."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        for tag in (322, 323):
            file.pages[0].tags[tag].overwrite(64, dtype="Q")
    return path


def by_pillow(path: Path, image: np.ndarray, **options: Any) -> Path:
    Image.fromarray(image).save(path, **options)
    return path


FILES = {
    "strips": lambda p: written(p, RGB, rowsperstrip=20),
    "one strip": lambda p: written(p, RGB),
    "strips in planes": lambda p: written(p, RGB.transpose(2, 0, 1).copy(), planarconfig="separate", rowsperstrip=30),
    "tiles": lambda p: written(p, RGB, tile=(32, 48)),
    "tiles in planes": lambda p: written(p, RGB.transpose(2, 0, 1).copy(), planarconfig="separate", tile=(48, 32)),
    "BigTIFF": lambda p: written(p, RGB, tile=(64, 64), bigtiff=True, compression="zlib"),
    "BigTIFF strips": lambda p: written(p, RGB, rowsperstrip=20, bigtiff=True),
    "BigTIFF, sizes of 64 bits": lambda p: in_long8(written(p, RGB, tile=(64, 64), bigtiff=True, compression="zlib")),
    "big-endian": lambda p: written(p, RGB, tile=(64, 64), byteorder=">", compression="zlib"),
    "big-endian 16 bits": lambda p: written(p, DEEP, rowsperstrip=50, byteorder=">"),
    "deflate strips": lambda p: written(p, RGB, rowsperstrip=16, compression="zlib", predictor=False),
    "deflate, predictor": lambda p: by_pillow(p, RGB, compression="tiff_adobe_deflate", tiffinfo={317: 2, 278: 40}),
    "LZW strips": lambda p: by_pillow(p, RGB, compression="tiff_lzw", tiffinfo={278: 16}),
    "LZW tiles": lambda p: in_tiles(p, LZW, photometric="rgb"),
    "JPEG strips": lambda p: by_pillow(p, RGB, compression="jpeg", quality=80, tiffinfo={278: 48}),
    "JPEG tiles": lambda p: in_tiles(p, JPEG, photometric="ycbcr"),
    "gray": lambda p: written(p, RGB[..., 0], rowsperstrip=20),
    "white is 0": lambda p: written(p, RGB[..., 0], photometric="miniswhite", tile=(32, 32)),
    "bits": lambda p: by_pillow(p, RGB[..., 0] > 99, compression="group4", tiffinfo={278: 16}),
    "bits of one strip": lambda p: by_pillow(p, RGB[..., 0] > 99),
    "palette": lambda p: by_pillow(p, np.asarray(Image.fromarray(RGB).quantize(50)), tiffinfo={278: 16}),
    "alpha": lambda p: written(p, np.dstack([RGB, RGB[..., 1]]), extrasamples="unassalpha", tile=(32, 32)),
    "CMYK": lambda p: written(p, np.dstack([RGB, RGB[..., 1] // 3]), photometric="separated", tile=(32, 32)),
    "16 bits": lambda p: written(p, DEEP, tile=(32, 32), compression="zlib"),
    "16 bits, gray": lambda p: written(p, DEEP[..., 0], tile=(32, 32)),
    "floats": lambda p: written(p, (RGB[..., 0] / np.float32(255)), tile=(32, 32)),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("stretch", [False, True])
def test_a_window_is_that_of_the_whole_image(tmp_path: Path, kind: str, stretch: bool) -> None:
    path = tmp_path / "a.tif"
    FILES[kind](path)
    whole, image = load_image(path, stretch=stretch), open_image(path, stretch=stretch)
    assert isinstance(image, TiffWindows)
    assert image.shape == whole.shape == RGB.shape
    assert len(image) == len(RGB)
    for _ in range(12):
        (top, bottom), (left, right) = (np.sort(RNG.choice(n + 1, 2, replace=False)).tolist() for n in RGB.shape[:2])
        assert np.array_equal(image[top:bottom, left:right], whole[top:bottom, left:right])
    assert np.array_equal(image[:], whole)
    assert np.array_equal(image[5:9], whole[5:9])


def test_only_what_is_asked_for_is_decoded(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", RGB, tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(path) as file:
        offset, size = file.pages[0].dataoffsets[5], file.pages[0].databytecounts[5]
    data = bytearray(path.read_bytes())
    data[offset : offset + size] = bytes(size)  # the tile of rows 64 to 128, columns 64 to 128
    path.write_bytes(data)
    image = open_image(path)
    assert np.array_equal(image[:64, 50:200], RGB[:64, 50:200])
    assert np.array_equal(image[128:, 50:200], RGB[128:, 50:200])
    with pytest.raises(ImageError, match=r"a\.tif: cannot be read: "):
        image[60:70, 60:70]


def test_the_neighbourhood_of_what_was_decoded_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", RGB, rowsperstrip=50, compression="zlib")
    image = open_image(path)
    first = image[10:20, 3:30]
    path.write_bytes(b"")
    assert np.array_equal(first, RGB[10:20, 3:30])
    assert np.array_equal(image[0:50], RGB[:50])
    with pytest.raises(ImageError, match=r"a\.tif: cannot be read: it is cut off"):
        image[50:60]


def test_deep_values_are_stretched_and_warned_of_as_a_whole(tmp_path: Path) -> None:
    dark = DEEP // 16
    dark[:20] = 0
    path = written(tmp_path / "a.tif", dark, tile=(32, 32))
    with pytest.warns(ImageWarning, match=r"a\.tif: nearly black, since its 16-bit values reach only"):
        image = open_image(path)
    dark[150:] = DEEP[150:]
    image = open_image(written(path, dark, tile=(32, 32)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (image[20:50, :30] < 16).all()


def test_what_must_be_turned_or_is_no_tiff_is_read_whole(tmp_path: Path) -> None:
    turned = by_pillow(tmp_path / "a.tif", RGB, tiffinfo={274: 6, 278: 16})
    png = by_pillow(tmp_path / "a.png", RGB)
    assert np.array_equal(open_image(turned), np.rot90(RGB, -1))
    assert np.array_equal(open_image(png), RGB)
    assert not isinstance(open_image(turned), TiffWindows)


@pytest.mark.parametrize("kind", ["one strip, compressed", "32-bit integers", "64-bit floats", "damaged", "missing"])
def test_what_cannot_be_read_by_windows_is_refused_as_ever(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    if kind == "damaged":
        path.write_bytes(b"II*\0\xff\xff\xff\0")
    elif kind == "one strip, compressed":
        monkeypatch.setattr(_limits, "MAX_PIXELS", RGB[..., 0].size - 1)
        written(path, RGB, compression="zlib", rowsperstrip=len(RGB))
    elif kind != "missing":
        written(path, RGB[..., 0].astype(np.int32) * 1000 if kind == "32-bit integers" else RGB[..., 0] / 255)
    with pytest.raises(ImageError) as expected:
        load_image(path)
    with pytest.raises(ImageError) as caught:
        open_image(path)
    assert str(caught.value) == str(expected.value)


def test_the_limit_of_pixels_holds_for_a_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.tif", RGB, tile=(32, 32))
    strips = written(tmp_path / "b.tif", RGB, rowsperstrip=40, compression="zlib")
    png = by_pillow(tmp_path / "c.png", RGB)
    monkeypatch.setattr(_limits, "MAX_PIXELS", 26_000)
    for whole in (path, strips, png):
        with pytest.raises(ImageError, match="at most 0 megapixels, but its header says 207 x 203; a TIFF file in"):
            load_image(whole)
    with pytest.raises(ImageError, match=r"c\.png: .*; a TIFF file in tiles or short strips may have more where it is"):
        open_image(png)
    assert np.array_equal(open_image(path)[30:150, 30:150], RGB[30:150, 30:150])
    assert np.array_equal(open_image(strips)[70:130], RGB[70:130])
    with pytest.raises(ImageError, match=r"b\.tif: .* megapixels in a window, but .* that hold it have 207 x 160$"):
        open_image(strips)[79:161, 5:9]


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_DIVIDED_PIXELS", 42_000, r"a\.tif: expected at most 0 megapixels, but its header says 207 x 203$"),
        ("MAX_IMAGE_BYTES", 9_000, r"a\.tif: expected at most 0\.0 GB a window, got tiles or strips of 12288 bytes"),
    ],
)
def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, message: str) -> None:
    path = written(tmp_path / "a.tif", RGB, tile=(32, 32))
    monkeypatch.setattr(_limits, limit, value)
    with pytest.raises(ImageError, match=message):
        open_image(path)[20:40, 20:40]


@pytest.mark.parametrize("options", [{"tile": (64, 64)}, {"rowsperstrip": 203}])
@pytest.mark.parametrize("claim", [40_000, 4_000_000_000])
def test_few_bytes_for_many_pixels_are_refused(tmp_path: Path, options: dict[str, Any], claim: int) -> None:
    path = written(tmp_path / "a.tif", RGB, **options)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for tag in (256, 257, 278):
            if tag in file.pages[0].tags:
                file.pages[0].tags[tag].overwrite(claim, dtype="I")
    with pytest.raises(ImageError, match=rf"a\.tif: .*{claim} x {claim}"):
        open_image(path)


@pytest.mark.parametrize("key", [np.s_[::2], np.s_[:, ::-1], np.s_[5:5], np.s_[:, 300:]])
def test_slices_that_hold_no_window(tmp_path: Path, key: Any) -> None:
    image = open_image(written(tmp_path / "a.tif", RGB, tile=(32, 32)))
    with pytest.raises(IndexError, match="expected slices of step 1 that hold pixels of"):
        image[key]
