"""What strangers' image files may do: deep values, cut-off pictures, claims that cost memory or time."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esam_fast.images import ImageError, ImageWarning, as_rgb, load_image

RNG = np.random.default_rng(11)
NOISE = RNG.integers(0, 256, (64, 64, 3), np.uint8)
TWELVE = RNG.integers(0, 4096, (20, 30, 3)).astype(np.uint16)
posix = pytest.mark.skipif(sys.platform == "win32", reason="pipes in folders and limits of memory are POSIX")


def encoded(image: np.ndarray, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, raw: bytes, *, depth: int = 8, colour: int = 2, interlaced: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def bmp(width: int, height: int, runs: bytes) -> bytes:
    """Run-length coded, of 8 bits."""
    header = struct.pack("<IIiiHHIIiiII", 54 + 1024, 40, width, height, 1, 8, 1, len(runs), 0, 0, 0, 0)
    return b"BM" + bytes(8) + header + bytes(1024) + runs


def tiff(width: int, height: int, samples: int, bits: int, form: int, data: bytes, **more: list[int]) -> bytes:
    """A little-endian TIFF of one strip; `more` are tags as t322=[...], of 32 bits."""
    entries = {
        256: (width,), 257: (height,), 258: (bits,) * samples, 259: (1,), 262: (2 if samples > 2 else 1,), 273: (0,),
        277: (samples,), 278: (height,), 279: (len(data),), 284: (1,), 339: (form,) * samples,
    }  # fmt: skip
    if samples > 4:
        entries[338] = (0,) * (samples - 3)
    entries |= {int(name[1:]): tuple(values) for name, values in more.items()}
    start = 8 + 2 + 12 * len(entries) + 4
    size = start + sum(4 * len(values) for values in entries.values() if len(values) > 1)
    entries[273] = (size,) if 273 not in more else entries[273]
    directory, extra = struct.pack("<H", len(entries)), b""
    for tag, values in sorted(entries.items()):
        directory += struct.pack("<HHI", tag, 4, len(values))
        directory += struct.pack("<I", values[0] if len(values) == 1 else start + len(extra))
        extra += struct.pack(f"<{len(values)}I", *values) if len(values) > 1 else b""
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + extra + data


def written(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


# Values of more than 8 bits


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u2", "f4", "f8", "f2"])
def test_byte_order_makes_no_difference(order, kind):
    values = np.array([[0, 0x1234, 0xFFFF]], np.uint16)
    image = values if kind == "u2" else (values / 65535)
    assert as_rgb(image.astype(order + kind))[0, :, 0].tolist() == [0, 0x12, 255]


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (TWELVE, "16-bit values reach only 4095 where 65535 is white"),
        (TWELVE.astype(">u2"), "16-bit values reach only 4095"),
        (np.full((4, 4, 3), 0.2), "float values reach only 0.2 where 1 is white"),
        (np.full((4, 4), 16383, np.uint16), "16-bit values reach only 16383"),
    ],
)
def test_darkness_is_told(image, word):
    with pytest.warns(ImageWarning, match=f"image: nearly black, since its {word}.*stretch=True"):
        as_rgb(image)


@pytest.mark.parametrize(
    "image", [np.full((4, 4), 16384, np.uint16), np.full((4, 4), 0.25), np.zeros((4, 4), np.uint16), NOISE // 9]
)
def test_a_quarter_of_the_range_is_enough(image):
    as_rgb(image)


def test_stretch_takes_the_1st_and_99th_percentile():
    ramp = np.repeat(np.arange(101, dtype=np.uint16)[None] * 30 + 1000, 2, axis=0)  # percentile p is 1000 + 30 p
    stretched = as_rgb(ramp, stretch=True)
    expected = np.rint(np.clip((np.arange(101) - 1) / 98, 0, 1) * 255)
    assert np.array_equal(stretched[0, :, 0], expected)
    assert np.array_equal(as_rgb(ramp.astype(np.float32) - 5000, stretch=True), stretched)
    assert np.array_equal(as_rgb(np.repeat(np.arange(101, dtype=np.uint8)[None], 2, 0), stretch=True), stretched)


def test_stretch_leaves_alpha_and_hues_alone():
    colours = np.zeros((1, 200, 4), np.uint16)
    colours[0, :, 0], colours[0, :, 1] = np.arange(200), np.arange(200) // 2  # red is always twice green
    colours[..., 3] = 65535
    shown = as_rgb(colours, stretch=True).astype(int)
    assert np.abs(shown[0, :, 0] - 2 * shown[0, :, 1])[:190].max() <= 2
    colours[..., 3] = 0
    assert (as_rgb(colours, stretch=True) == 255).all()


def test_stretch_of_one_value():
    assert not as_rgb(np.full((4, 4), 700, np.uint16), stretch=True).any()
    spot = np.full((40, 40), 700, np.uint16)
    spot[3, 3] = 900  # beyond the percentiles: the extremes serve
    assert as_rgb(spot, stretch=True)[3, 3].tolist() == [255, 255, 255]


def test_16_bit_colours_keep_their_low_byte_where_it_counts(tmp_path):
    files = {
        "a.tif": tiff(30, 20, 3, 16, 1, TWELVE.tobytes()),
        "b.png": png(30, 20, b"".join(b"\0" + row.astype(">u2").tobytes() for row in TWELVE), depth=16),
    }
    for name, data in files.items():
        with pytest.warns(ImageWarning, match=rf"{name}: nearly black, since its 16-bit values reach only \d+"):
            assert np.array_equal(load_image(written(tmp_path, name, data)), TWELVE >> 8)
        assert np.array_equal(load_image(tmp_path / name, stretch=True), as_rgb(TWELVE, stretch=True))


def test_12_bits_have_their_own_range(tmp_path):
    packed = bytes([0x00, 0x0F, 0xFF, 0x80, 0x00, 0x00])  # 0, 4095, 2048, 0
    shown = load_image(written(tmp_path, "a.tif", tiff(4, 1, 1, 12, 1, packed)))
    assert shown[0, :, 0].tolist() == [0, 255, 128, 0]


def test_32_bit_integers_are_taken_for_16(tmp_path):
    small = written(tmp_path, "a.tif", tiff(4, 1, 1, 32, 2, np.array([0, 85, 170, 255], "<i4").tobytes()))
    with pytest.warns(ImageWarning, match="16-bit values reach only 255 where 65535 is white"):
        assert not load_image(small).any()
    assert load_image(small, stretch=True)[0, :, 0].tolist() == [0, 84, 171, 255]
    below = written(tmp_path, "b.tif", tiff(2, 1, 1, 32, 2, np.array([-5, 5], "<i4").tobytes()))
    with pytest.raises(ImageError, match=r"b\.tif: expected integers of at most 16 bits, got values from -5 to 5; str"):
        load_image(below)
    assert load_image(below, stretch=True)[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize(
    ("samples", "bits", "form", "more", "named"),
    [
        (5, 16, 1, {}, r"a TIFF of 5 samples of 16 bits \(unsigned\) a pixel is not read: choose three bands"),
        (3, 32, 3, {}, r"3 samples of 32 bits \(float\) a pixel is not read"),
        (2, 16, 1, {}, r"2 samples of 16 bits \(unsigned\) a pixel is not read"),
        (1, 64, 3, {}, r"1 samples of 64 bits \(float\) a pixel is not read: save it as 32-bit float"),
        (3, 16, 1, {"t284": [2]}, r"in separate planes is not read: save it interleaved"),
    ],
)
def test_pixels_that_are_not_read_are_named(tmp_path, samples, bits, form, more, named):
    path = written(tmp_path, "a.tif", tiff(4, 3, samples, bits, form, bytes(12 * samples * bits // 8), **more))
    with pytest.raises(ImageError, match=rf"a\.tif: .*{named}.*array"):
        load_image(path)


@pytest.mark.parametrize(
    ("start", "kind"),
    [(b"\0\0\0\x18ftypheic", "HEIC"), (b"\0\0\0\x18ftypheix", "HEIC"), (b"\xff\x0a\x00", "JPEG XL"),
     (b"8BPS\0\1", "Photoshop"), (b"%PDF-1.7", "PDF"), (b"<svg xmlns=", "SVG")],
)  # fmt: skip
def test_other_kinds_of_image_are_named(tmp_path, start, kind):
    with pytest.raises(ImageError, match=rf"a\.jpg: expected an image \(JPEG, .*got {kind}.*convert it"):
        load_image(written(tmp_path, "a.jpg", start + bytes(100)))


# Cut off


# 16 x 13 pixels of 3 bytes: 13 rows with a byte for the filter each; interlaced, seven times some shorter rows.
@pytest.mark.parametrize(
    ("interlaced", "size"), [(0, 13 * 49), (1, 2 * 7 + 2 * 7 + 2 * 13 + 4 * 13 + 3 * 25 + 7 * 25 + 6 * 49)]
)
def test_a_png_of_fewer_rows_than_its_header_says(tmp_path, interlaced, size):
    """Black rows are no proof: a picture may end in them."""
    assert load_image(written(tmp_path, "a.png", png(16, 13, bytes(size), interlaced=interlaced))).shape == (13, 16, 3)
    for short in (1, 49, size - 49):
        path = written(tmp_path, "a.png", png(16, 13, bytes(size - short), interlaced=interlaced))
        with pytest.raises(
            ImageError, match=r"a\.png: cannot be read: (it is cut off: expected|image file is truncated)"
        ):
            load_image(path)


def test_a_black_png_cut_anywhere(tmp_path):
    """It is refused, or every pixel had come; it never waits for more."""
    whole = png(16, 13, bytes(13 * 49))
    for size in range(60, len(whole)):
        path = written(tmp_path, "a.png", whole[:size])
        with contextlib.suppress(ImageError):
            assert load_image(path).shape == (13, 16, 3)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_jpeg_that_was_cut_and_closed(tmp_path, mode, progressive, share):
    """libjpeg fills up with gray, and Pillow does not pass on its warning."""
    whole = encoded(np.asarray(Image.fromarray(NOISE).convert(mode)), "JPEG", progressive=progressive)
    path = written(tmp_path, "a.jpg", whole[: int(len(whole) * share)] + b"\xff\xd9")
    with pytest.raises(ImageError, match=r"a\.jpg: cannot be read: it is cut off"):
        load_image(path)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("tail", [b"", b"\xff\xd9 some camera's own data \xff\xda\xff\xc2\0\x11"])
def test_a_gray_jpeg_is_whole(tmp_path, progressive, tail):
    whole = encoded(np.full((40, 56, 3), 128, np.uint8), "JPEG", progressive=progressive)
    assert (load_image(written(tmp_path, "a.jpg", whole + tail)) == 128).all()


# Claims


def progressive_jpeg(side: int, scans: int) -> bytes:
    """A gray progressive JPEG of side x side pixels: one scan of means, then scans of which each says "nothing new"."""
    blocks = (side // 8) ** 2
    quantities = b"\xff\xdb\0\x43\0" + bytes([1]) * 64
    frame = b"\xff\xc2\0\x0b\x08" + struct.pack(">HH", side, side) + b"\x01\x01\x11\0"
    means = b"\xff\xc4\0\x14\x00" + bytes([1]) + bytes(15) + b"\0"  # code 0: no difference
    ends = (
        b"\xff\xc4\0\x14\x10" + bytes([1]) + bytes(15) + b"\xe0"
    )  # code 0: no more in 2^14 blocks and the next 14 bits
    first = b"\xff\xda\0\x08\x01\x01\x00\0\0\0" + bytes(-(-blocks // 8))
    runs = -(-blocks // ((1 << 15) - 1))
    bits = "".join("0" + "1" * 14 for _ in range(runs))
    run = (
        int(bits.ljust(-(-len(bits) // 8) * 8, "1"), 2).to_bytes(-(-len(bits) // 8), "big").replace(b"\xff", b"\xff\0")
    )
    rest = b"".join(b"\xff\xda\0\x08\x01\x01\x00\x01\x3f\0" + run for _ in range(scans - 1))
    return b"\xff\xd8" + quantities + frame + means + ends + first + rest + b"\xff\xd9"


def test_scans_are_counted(tmp_path):
    assert load_image(written(tmp_path, "few.jpg", progressive_jpeg(1024, 3))).shape == (1024, 1024, 3)
    with pytest.raises(
        ImageError, match=r"many\.jpg: expected at most 11 scans of 3000 x 3000 pixels in \d+ bytes, got 200"
    ):
        load_image(written(tmp_path, "many.jpg", progressive_jpeg(3000, 200)))


@pytest.mark.parametrize("kind", ["JPEG2000", "WEBP", "AVIF", "PNG"])
def test_an_empty_picture_of_many_pixels(tmp_path, kind):
    """Few bytes, many pixels: up to 16 megapixels that costs little, beyond it is refused."""
    options = {"AVIF": {"speed": 10}, "WEBP": {"lossless": True, "method": 0}}.get(kind, {})
    if kind == "PNG":
        data = png(80_000, 1000, zlib.compress(b""), depth=1, colour=0)
    else:
        data = encoded(np.zeros((4100, 4100), np.uint8), kind, **options)
    with pytest.raises(ImageError, match=r"its header says \d+ x \d+, for which at least \d+ bytes are expected, got"):
        load_image(written(tmp_path, "a", data))


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"RIFF\x26\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff" + bytes(99), "268 megapixels of WEBP"),
        (b"RIFF\x26\0\0\0WEBPVP8L\x0a\0\0\0\x2f\xff\xff\xff\x0f" + bytes(99), "16384 x 16384"),
        (b"RIFF\x26\0\0\0WEBPVP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f" + bytes(99), "16383 x 16383"),
        (bmp(1 << 26, 2, b"\0\1"), "at most 1048576 pixels a side, but its header says 67108864 x 2"),
        (tiff(10, 10, 3, 8, 1, bytes(300), t322=[60000], t323=[60000]), "tiles of 3600000000 pixels"),
        (tiff(10, 10, 3, 8, 1, bytes(300)).replace(b"\x17\1\4\0\1\0\0\0", b"\x17\1\4\0\0\0\0\x40"),
         "at most 16777216 bytes a TIFF tag, got 4294967296 in tag 279"),
    ],
)  # fmt: skip
def test_claims_are_refused(tmp_path, data, word):
    with pytest.raises(ImageError, match=word):
        load_image(written(tmp_path, "a", data))


def test_jpeg_2000_whose_headers_differ(tmp_path):
    data = bytearray(encoded(NOISE, "JPEG2000"))
    sizes = data.index(b"\xff\x4f\xff\x51") + 8
    data[sizes : sizes + 8] = struct.pack(">II", 60000, 60000)
    with pytest.raises(ImageError, match="its headers say 64 x 64 and 60000 x 60000"):
        load_image(written(tmp_path, "a.jp2", bytes(data)))


def test_a_sparse_file(tmp_path):
    with (tmp_path / "a.webp").open("wb") as file:
        file.write(b"RIFF\0\0\0\0WEBPVP8X")
        file.truncate(1 << 40)
    with pytest.raises(ImageError, match=r"expected at most 1\.1 GB of WEBP, got 1099511627776 bytes"):
        load_image(tmp_path / "a.webp")


@posix
@pytest.mark.parametrize(("make", "kind"), [(os.mkfifo, "a pipe"), (lambda p: p.symlink_to("/dev/zero"), "a device")])
def test_only_regular_files_are_opened(tmp_path, make, kind):
    make(tmp_path / "x.jpg")
    with pytest.raises(ImageError, match=rf"x\.jpg: .*expected a regular file, got {kind}"):
        load_image(tmp_path / "x.jpg")


@posix
def test_a_link_to_itself(tmp_path):
    (tmp_path / "x.jpg").symlink_to("x.jpg")
    with pytest.raises(ImageError, match=r"x\.jpg: .*symbolic links"):
        load_image(tmp_path / "x.jpg")


@pytest.mark.skipif(sys.platform != "linux", reason="measures by /proc")
def test_hostile_files_cost_little(tmp_path):
    """All of them together: 20 s of CPU and 200 MB at most."""
    files = {
        "const.jp2": encoded(np.zeros((9000, 9000), np.uint8), "JPEG2000"),
        "canvas.webp": b"RIFF\x26\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xfe\x3f\x00\xfe\x3f\x00" + bytes(99),
        "scans.jpg": progressive_jpeg(4000, 400),
        "tile.tif": tiff(10, 10, 3, 8, 1, bytes(300), t259=[8], t322=[60000], t323=[60000]),
        "row.png": png(16000, 16000, b"\0" + bytes(48000)),
        "delta.bmp": bmp(100_000_000, 2, b"\0\2\0\2\0\1"),
    }  # fmt: skip
    for name, data in files.items():
        written(tmp_path, name, data)
    program = (
        "import resource, sys, esam_fast.images as images\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (20, 20))\n"
        "for name in sys.argv[1:]:\n"
        "    try: images.load_image(name)\n"
        "    except images.ImageError as error: print(error)\n"
        "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
    )
    names = [str(tmp_path / name) for name in files]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # each takes 40 MB of the address space
    command = [sys.executable, "-c", program, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    *errors, kilobytes = done.stdout.splitlines()
    assert [error.split(":")[0] for error in errors] == names
    assert "memory" not in done.stdout
    assert int(kilobytes) < 200_000
