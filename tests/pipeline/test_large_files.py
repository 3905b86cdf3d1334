"""Files larger than a decoding may be: read by windows, ahead of the segmenter, with the result of the whole image."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from painted import Painted, painted
from synthetic import voronoi
from waiting import PATIENCE, until

from esam_fast import EmrConfig, EntityMap, Esam, EsamConfig, MmgConfig, _limits
from esam_fast.images import ImageError, TiffWindows, load_image, open_image
from esam_fast.views.windows import Layout

CONFIG = EsamConfig(MmgConfig(points_per_side=8), EmrConfig(points_per_side=8))
ESAM = Esam(Painted(), CONFIG)
TRUTH = voronoi((150, 220), 14, np.random.default_rng(2))
TILES = {"tile": 80, "overlap": 24}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tifffile.imwrite(tmp_path / "a.tif", painted(TRUTH), tile=(32, 32), compression="zlib")
    return tmp_path / "a.tif"


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Any:
    yield
    assert [t.name for t in threading.enumerate() if t.name.startswith("esam-")] == []


def same(a: EntityMap, b: EntityMap) -> bool:
    names = ("labels", "scores", "areas", "boxes", "points", "stability", "prompts")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


@pytest.mark.parametrize("more", [{}, {"wrap": True}])
def test_a_file_read_by_windows_gives_what_its_array_gives(path: Path, more: dict[str, Any]) -> None:
    expected = ESAM.segment(load_image(path), **TILES, **more)
    assert same(ESAM.segment(path, **TILES, **more), expected)
    assert same(ESAM.segment(open_image(path), **TILES, **more), expected)
    assert same(next(ESAM.segment_many([path], **TILES, **more))[1], expected)


@pytest.mark.parametrize("more", [{}, {"wrap": True}, {"tile": 400}, {"tile": 400, "wrap": True}])
def test_an_open_file_without_tiles_is_read_whole(path: Path, more: dict[str, Any]) -> None:
    image = open_image(path)
    assert isinstance(image, TiffWindows)
    assert same(ESAM.segment(image, **more), ESAM.segment(load_image(path), **more))


def test_the_limit_of_pixels_holds_for_a_window(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ESAM.segment(path, **TILES)
    monkeypatch.setattr(_limits, "MAX_PIXELS", 128 * 128)
    assert same(ESAM.segment(path, **TILES), expected)
    with pytest.raises(ImageError, match=r"a\.tif: expected at most .*; a TIFF file in tiles or short strips may"):
        ESAM.segment(path)
    with pytest.raises(ImageError, match=r"a\.tif: expected at most .* megapixels in a window"):
        ESAM.segment(path, tile=140, overlap=20)


def test_a_window_that_cannot_be_read_ends_the_image_alone(path: Path) -> None:
    data, whole = bytearray(path.read_bytes()), path.read_bytes()
    with tifffile.TiffFile(path) as file:
        offset, size = file.pages[0].dataoffsets[-1], file.pages[0].databytecounts[-1]
    data[offset : offset + size] = bytes(size)
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.tif: cannot be read: "):
        ESAM.segment(path, **TILES)
    other = path.with_name("b.tif")
    other.write_bytes(whole)
    results = [found for _, found in ESAM.segment_many([path, other], **TILES)]
    assert isinstance(results[0], ImageError)
    assert isinstance(results[1], EntityMap)


def test_the_next_view_is_read_while_the_segmenter_works(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cuts: list[int] = []
    cut = Layout.cut

    def counted(self: Layout, image: Any, view: Any) -> Any:
        cuts.append(threading.get_ident())
        return cut(self, image, view)

    class Waiting(Painted):
        def embed(self, image: np.ndarray) -> Any:
            begun.append(threading.get_ident())
            until(lambda: len(cuts) > min(len(begun), views - 1))
            return super().embed(image)

    begun: list[int] = []
    monkeypatch.setattr(Layout, "cut", counted)
    views = 3 * 4
    ESAM.segment(path, **TILES)
    assert len(cuts) == views
    cuts.clear()
    Esam(Waiting(), CONFIG).segment(path, **TILES)
    assert set(begun) == {threading.get_ident()}
    assert threading.get_ident() not in cuts


_MEASURED = """
import sys
from painted import Painted
from esam_fast import EmrConfig, Esam, EsamConfig, MmgConfig
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
esam = Esam(Painted(), EsamConfig(MmgConfig(points_per_side=4), EmrConfig(enabled=False)))
esam.segment(sys.argv[1], tile=512, overlap=64)
before = peak()
found = esam.segment(sys.argv[2], tile=512, overlap=64)
print(len(found), found.labels.nbytes // 1024, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from Linux's /proc")
def test_memory_is_bounded_by_views_and_one_label_map(tmp_path: Path) -> None:
    tile = painted(voronoi((512, 512), 6, np.random.default_rng(1)))
    side = 7 * 512
    for name, count in {"small.tif": 2, "large.tif": 7 * 7}.items():
        tifffile.imwrite(
            tmp_path / name, (tile for _ in range(count)), shape=(512 * -(-count // 7), 512 * min(count, 7), 3),
            dtype="u1", tile=(512, 512), compression="zlib", photometric="rgb",
        )  # fmt: skip
    command = [sys.executable, "-c", _MEASURED, str(tmp_path / "small.tif"), str(tmp_path / "large.tif")]
    environment = {"PYTHONPATH": ":".join(p for p in sys.path if p), "PATH": "", "HOME": str(tmp_path)}
    printed = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, timeout=PATIENCE
    ).stdout
    count, label_map, growth = map(int, printed.split())
    assert count > 30
    assert label_map == side * side * 4 // 1024
    assert growth < label_map + 60_000, "kB; views take 30,000, and the image read whole 60,000 more"
