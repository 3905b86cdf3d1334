"""Every kind of image that may come in, and every kind that must be refused with a clear word."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from esam_fast.images import MAX_PIXELS, ImageError, ImageWarning, as_rgb, load_image

RGB = np.random.default_rng(7).integers(0, 256, (13, 17, 3), np.uint8)
GRAY = np.ascontiguousarray(RGB[..., 0])
ALPHA = np.ascontiguousarray(RGB[..., 1])


def over_white(colour, alpha):
    """The exact blend, rounded to nearest."""
    a = alpha[..., None] / 255.0
    return np.floor(colour * a + 255.0 * (1 - a) + 0.5).astype(np.uint8)


def three(gray):
    return np.repeat(gray[..., None], 3, axis=2)


def saved(folder: Path, name: str, image: Image.Image, **options) -> Path:
    image.save(folder / name, **options)
    return folder / name


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100)))


# Files


def test_rgb_file(tmp_path):
    loaded = load_image(saved(tmp_path, "a.png", Image.fromarray(RGB)))
    assert loaded.dtype == np.uint8
    assert loaded.flags.c_contiguous
    assert loaded.flags.writeable
    np.testing.assert_array_equal(loaded, RGB)


def test_path_as_string(tmp_path):
    np.testing.assert_array_equal(load_image(str(saved(tmp_path, "a.png", Image.fromarray(RGB)))), RGB)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif", "pgm", "jp2"])
def test_gray_file(tmp_path, suffix):
    path = saved(tmp_path, f"a.{suffix}", Image.fromarray(GRAY))
    np.testing.assert_array_equal(load_image(path), three(GRAY))


def test_bilevel_file(tmp_path):
    path = saved(tmp_path, "a.png", Image.fromarray(GRAY > 127))
    np.testing.assert_array_equal(load_image(path), three(np.where(GRAY > 127, 255, 0)))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_gray_alpha_file_is_laid_over_white(tmp_path, suffix):
    path = saved(tmp_path, f"a.{suffix}", Image.fromarray(np.dstack([GRAY, ALPHA])))
    np.testing.assert_array_equal(load_image(path), over_white(three(GRAY), ALPHA))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_rgba_file_is_laid_over_white(tmp_path, suffix):
    path = saved(tmp_path, f"a.{suffix}", Image.fromarray(np.dstack([RGB, ALPHA])))
    np.testing.assert_array_equal(load_image(path), over_white(RGB, ALPHA))


@pytest.mark.parametrize("suffix", ["png", "gif", "tif", "bmp"])
def test_palette_file(tmp_path, suffix):
    image = Image.fromarray(RGB).quantize(16)
    path = saved(tmp_path, f"a.{suffix}", image)
    np.testing.assert_array_equal(load_image(path), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_palette_file_with_transparency(tmp_path, suffix):
    image = Image.fromarray(np.where(GRAY > 127, 1, 0).astype(np.uint8))
    image.putpalette([10, 20, 30, 200, 100, 50])
    path = saved(tmp_path, f"a.{suffix}", image, transparency=0)
    expected = np.where((GRAY > 127)[..., None], [200, 100, 50], [255, 255, 255])
    np.testing.assert_array_equal(load_image(path), expected)


def test_rgb_file_with_a_transparent_colour(tmp_path):
    pixels = RGB.copy()
    pixels[0, 0] = (1, 2, 3)
    expected = np.where((pixels == (1, 2, 3)).all(2, keepdims=True), 255, pixels)
    path = saved(tmp_path, "a.png", Image.fromarray(pixels), transparency=(1, 2, 3))
    np.testing.assert_array_equal(load_image(path), expected)


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_file(tmp_path, suffix):
    flat = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    path = saved(tmp_path, f"a.{suffix}", Image.fromarray(flat).convert("CMYK"))
    assert np.abs(load_image(path).astype(int) - flat).max() <= 3


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_gray_file(tmp_path, suffix):
    values = GRAY.astype(np.uint16) * 257
    values[0, :3] = 0, 32768, 65535
    path = saved(tmp_path, f"a.{suffix}", Image.fromarray(values))
    np.testing.assert_array_equal(load_image(path), three(values >> 8))


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_file(tmp_path, suffix, channels):
    pixels = np.dstack([RGB[..., ::-1], ALPHA])[..., :channels].astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), pixels)
    expected = RGB if channels == 3 else over_white(RGB, ALPHA)
    np.testing.assert_array_equal(load_image(tmp_path / f"a.{suffix}"), expected)


def test_float_tiff(tmp_path):
    path = saved(tmp_path, "a.tif", Image.fromarray(GRAY.astype(np.float32) / 255))
    np.testing.assert_array_equal(load_image(path), three(GRAY))


def test_float_tiff_outside_unit_range(tmp_path):
    path = saved(tmp_path, "a.tif", Image.fromarray(GRAY.astype(np.float32)))
    with pytest.raises(ImageError, match=r"a\.tif: image must lie in \[0, 1\] when it is float, got .* to"):
        load_image(path)


def test_32_bit_tiff(tmp_path):
    ramp = np.arange(20, dtype=np.int32).reshape(4, 5) * 1000
    np.testing.assert_array_equal(load_image(saved(tmp_path, "a.tif", Image.fromarray(ramp))), three(ramp >> 8))
    path = saved(tmp_path, "b.tif", Image.fromarray(ramp * 1000))
    with pytest.raises(
        ImageError, match=r"b\.tif: expected integers of at most 16 bits, got values from 0 to 19000000"
    ):
        load_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_once(tmp_path, suffix, orientation):
    """The displayed frame of each orientation, worked out by hand from the EXIF table."""
    quadrants = np.zeros((16, 32, 3), np.uint8)
    quadrants[:8, :16], quadrants[:8, 16:], quadrants[8:, :16], quadrants[8:, 16:] = (
        (250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 250),
    )  # fmt: skip
    shown = {
        1: quadrants,
        2: quadrants[:, ::-1],
        3: quadrants[::-1, ::-1],
        4: quadrants[::-1],
        5: quadrants.transpose(1, 0, 2),
        6: np.rot90(quadrants, -1),
        7: quadrants[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(quadrants, 1),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    options = {"quality": 100, "subsampling": 0} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
    loaded = load_image(saved(tmp_path, f"a.{suffix}", Image.fromarray(quadrants), exif=exif, **options))
    assert loaded.shape == shown.shape
    assert np.abs(loaded.astype(int) - shown).max() <= 8


def test_exif_rotation_of_16_bits(tmp_path):
    values = np.arange(20, dtype=np.uint16).reshape(4, 5) * 3000
    exif = Image.Exif()
    exif[274] = 6
    path = saved(tmp_path, "a.png", Image.fromarray(values), exif=exif)
    np.testing.assert_array_equal(load_image(path), three(np.rot90(values >> 8, -1)))


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.fromarray(np.full((4, 4), v, np.uint8)) for v in (10, 200)]
    path = saved(tmp_path, "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert load_image(path).max() == 10


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_thin_files(tmp_path, size):
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    np.testing.assert_array_equal(load_image(saved(tmp_path, "a.png", Image.fromarray(pixels))), pixels)


def test_missing_file(tmp_path):
    with pytest.raises(ImageError, match=r"no\.jpg: no such file"):
        load_image(tmp_path / "no.jpg")


def test_not_a_path():
    with pytest.raises(TypeError, match=r"path must be a str or an os\.PathLike, got ndarray"):
        load_image(np.zeros((4, 4, 3), np.uint8))


def test_folder(tmp_path):
    with pytest.raises(ImageError, match="expected an image file, got a folder"):
        load_image(tmp_path)


def test_path_through_a_file(tmp_path):
    saved(tmp_path, "a.png", Image.fromarray(RGB))
    with pytest.raises(ImageError, match=r"b\.png: cannot be read: Not a directory"):
        load_image(tmp_path / "a.png" / "b.png")


def test_empty_file(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ImageError, match=r"a\.jpg: expected an image, got an empty file"):
        load_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("content", [b"dear diary, today ...", b"x", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_text_named_jpg(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.jpg: expected an image \(JPEG, .*\), got a file of another kind"):
        load_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp", "gif", "ppm", "webp", "jp2"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_truncated_file(tmp_path, suffix, share):
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    content = saved(tmp_path, f"whole.{suffix}", Image.fromarray(noise)).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ImageError, match=rf"cut\.{suffix}: cannot be read: ."):
        load_image(path)


@pytest.mark.parametrize("suffix", ["png", "ppm"])
def test_header_that_claims_too_much(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(png_header(60000, 60000) if suffix == "png" else b"P6 60000 60000 255\n" + bytes(100))
    with pytest.raises(
        ImageError, match=rf"a\.{suffix}: expected at most 300 megapixels, but its header says 60000 x 60000"
    ):
        load_image(path)


@pytest.mark.parametrize("shape", [(10_000, 10_000), (13_400, 13_400)])
def test_a_hundred_megapixels_pass_in_silence(tmp_path, shape):
    """Pillow would warn at 89 and refuse at 179 megapixels; its global limit is neither heeded nor touched."""
    assert 100_000_000 <= shape[0] * shape[1] <= MAX_PIXELS
    before = Image.MAX_IMAGE_PIXELS
    (tmp_path / "a.pgm").write_bytes(b"P5 %d %d 255\n" % shape[::-1] + bytes(shape[0] * shape[1]))
    loaded = load_image(tmp_path / "a.pgm")
    assert loaded.shape == (*shape, 3)
    assert before == Image.MAX_IMAGE_PIXELS


# Arrays


def test_array_passes_through():
    assert as_rgb(RGB) is RGB


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (GRAY, three(GRAY)),
        (GRAY[..., None], three(GRAY)),
        (GRAY[None], three(GRAY)),
        (np.dstack([GRAY, ALPHA]), over_white(three(GRAY), ALPHA)),
        (np.dstack([RGB, ALPHA]), over_white(RGB, ALPHA)),
        (np.dstack([RGB, ALPHA]).transpose(2, 0, 1), over_white(RGB, ALPHA)),
        (RGB.transpose(2, 0, 1), RGB),
        (GRAY > 99, three(np.where(GRAY > 99, 255, 0))),
        (RGB.astype(np.uint16) * 257, RGB),
        (RGB.astype(">u2") * 257, RGB),
        (np.array([[0, 255, 256, 65535]], np.uint16), three(np.array([[0, 0, 1, 255]]))),
        (RGB.astype(np.float32) / 255, RGB),
        (RGB.astype(np.float64) / 255, RGB),
        (RGB.transpose(2, 0, 1).astype(np.float32) / 255, RGB),
        (np.array([[0, 0.5, 1]], np.float16), three(np.array([[0, 128, 255]]))),
        (np.dstack([RGB, ALPHA]) / 255, over_white(RGB, ALPHA)),
    ],
)
def test_array_kinds(image, expected):
    kept = image.copy()
    result = as_rgb(image)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(image, kept)


@pytest.mark.parametrize("shape", [(3, 9, 3), (3, 5, 4), (4, 3, 3), (1, 1, 1), (3, 3, 3)])
def test_channels_are_last_where_both_would_do(shape):
    image = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    assert as_rgb(image).shape == (*shape[:2], 3)


def test_thin_arrays():
    assert as_rgb(RGB[:1, :1]).shape == (1, 1, 3)
    assert as_rgb(np.zeros((1, 5000, 3), np.uint8)).shape == (1, 5000, 3)
    assert as_rgb(np.zeros((5000, 1), np.uint8)).shape == (5000, 1, 3)


def read_only(image):
    image = image.copy()
    image.flags.writeable = False
    return image


LAYOUTS = {
    "strided": lambda image: np.repeat(np.repeat(image, 2, 0), 3, 1)[::2, ::3],
    "mirrored": lambda image: image[::-1, ::-1].copy()[::-1, ::-1],
    "bgr view": lambda image: image[..., ::-1].copy()[..., ::-1] if image.ndim == 3 else image,
    "fortran": np.asfortranarray,
    "read-only": read_only,
    "broadcast": lambda image: np.broadcast_to(image[:1], image.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "image", [RGB, GRAY, np.dstack([RGB, ALPHA]), RGB / 255, RGB.astype(np.uint16) * 257, GRAY > 99]
)
def test_layout_makes_no_difference(layout, image):
    view = LAYOUTS[layout](image)
    kept = view.copy(order="C")
    result = as_rgb(view)
    assert result.flags.c_contiguous
    assert result.flags.writeable
    np.testing.assert_array_equal(result, as_rgb(kept.copy()))
    np.testing.assert_array_equal(view, kept)


def test_blocks_leave_no_seam(monkeypatch):
    monkeypatch.setattr("esam_fast.images.convert._BLOCK", 100)
    np.testing.assert_array_equal(as_rgb(np.dstack([RGB, ALPHA])), over_white(RGB, ALPHA))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(bad):
    image = RGB / 255
    image[3, 4, 1] = bad
    with pytest.raises(ValueError, match="image must be finite, got NaN or infinity"):
        as_rgb(image)


@pytest.mark.parametrize("image", [RGB.astype(np.float32), np.full((4, 4), -0.1), np.full((4, 4), 1.01)])
def test_float_outside_unit_range(image):
    with pytest.raises(ValueError, match=r"image must lie in \[0, 1\] when it is float, got values from .* to"):
        as_rgb(image)


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0, 3), (0, 0), (3, 0, 0)])
def test_no_pixels(shape):
    with pytest.raises(ValueError, match=r"image must have at least one pixel, got shape \["):
        as_rgb(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(), (5,), (5, 6, 7), (2, 5, 6), (5, 6, 0), (1, 5, 6, 3)])
def test_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"image must have shape \[H, W\], .*, got \["):
        as_rgb(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", [object, np.int64, np.int16, np.uint32, np.complex64, "U3", "S3", "M8[s]"])
def test_wrong_dtype(dtype):
    with pytest.raises(TypeError, match="image must be uint8, uint16, bool or float, got"):
        as_rgb(np.zeros((4, 4, 3), dtype))


# What a program holds


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_a_pil_image_is_what_its_file_is(tmp_path, mode):
    image = Image.fromarray(RGB).convert("L").convert(mode) if mode != "RGB" else Image.fromarray(RGB)
    if mode == "F":
        image = Image.fromarray(GRAY.astype(np.float32) / 255)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(ALPHA))
    path = saved(tmp_path, "a.tif" if mode in ("CMYK", "F", "I;16") else "a.png", image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageWarning)  # 8 bits in 16
        expected = load_image(path)
        np.testing.assert_array_equal(as_rgb(image), expected)
        with Image.open(path) as opened:
            np.testing.assert_array_equal(as_rgb(opened), expected)


def test_a_pil_image_is_rotated_as_its_file_is(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path, "a.png", Image.fromarray(RGB), exif=exif)
    with Image.open(path) as image:
        np.testing.assert_array_equal(as_rgb(image), np.rot90(RGB, -1))


def test_a_path_is_read(tmp_path):
    path = saved(tmp_path, "a.png", Image.fromarray(RGB))
    np.testing.assert_array_equal(as_rgb(path), RGB)
    np.testing.assert_array_equal(as_rgb(str(path)), RGB)


def test_nested_lists():
    np.testing.assert_array_equal(as_rgb(RGB.tolist()), RGB)
    np.testing.assert_array_equal(as_rgb(tuple(map(tuple, GRAY.tolist()))), three(GRAY))
    np.testing.assert_array_equal(as_rgb([[0.0, 1.0], [0.5, 0.25]]), three(np.array([[0, 255], [128, 64]])))


class Tensor:
    """What is asked of a torch tensor."""

    def __init__(self, array):
        self.array, self.dtype = array, array.dtype

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        if self.dtype == np.complex64:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array


def test_a_tensor_and_what_numpy_takes_for_an_array():
    np.testing.assert_array_equal(as_rgb(Tensor(RGB)), RGB)
    np.testing.assert_array_equal(as_rgb(Tensor(RGB.transpose(2, 0, 1))), RGB)
    np.testing.assert_array_equal(as_rgb(numpys(RGB)), RGB)
    with pytest.raises(TypeError, match="image must be uint8, bool or float, got a tensor of complex64"):
        as_rgb(Tensor(np.zeros((4, 4), np.complex64)))


def numpys(array):
    class Held:
        def __array__(self, dtype=None, copy=None):
            return array

    return Held()


def test_of_two_axes_that_may_be_channels_the_last_is():
    image = RGB[:3]  # [3, W, 3]
    np.testing.assert_array_equal(as_rgb(image[:, :3]), image[:, :3])
    np.testing.assert_array_equal(as_rgb(image), image)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (None, TypeError, "image must be a path, a NumPy array, a PIL image, .*, got NoneType"),
        (5, TypeError, "image must be a path, .*, got int"),
        (b"photo.jpg", TypeError, "image must be a path, .*, got bytes"),
        (["a.jpg", "b.jpg"], TypeError, r"got a list of str \(segment_many takes several images\)"),
        ([RGB, RGB], TypeError, r"got a list of ndarray \(segment_many takes several images\)"),
        ([[1, 2], [3]], ValueError, "image must have rows of one length"),
        ([[1, 2], [3, 256]], ValueError, r"image must lie in 0..255 as nested lists, got values from 1 to 256"),
        ([], ValueError, r"image must have shape"),
        ([["a"]], TypeError, "image must be uint8, uint16, bool or float, got <U1"),
        ("no.jpg", ImageError, "no.jpg: no such file"),
        ("https://example.org/a.jpg", ImageError, r"^https://example.org/a.jpg: expected a file, got a URL; download"),
        ("s3://bucket/a.jpg", ImageError, "got a URL"),
    ],
)
def test_what_is_no_image(image, error, message):
    with pytest.raises(error, match=message):
        as_rgb(image)
