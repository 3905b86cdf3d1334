"""How kernels are run: what the compiled ones refuse, and that a backend asked for is the only one at work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from synthetic import GRIDS, SyntheticSegmenter

from esam_fast import EmrConfig, Esam, EsamConfig, MmgConfig, PackedMasks, _backend, load_segmenter
from esam_fast.ops import entity_planes

WORDS, AREA, BOX = np.zeros((2, 1), np.uint64), np.zeros(2, np.int64), np.zeros((2, 4), np.int32)
MASKS = (WORDS, AREA, BOX, 5, 5)
PLANE, OUT = np.zeros((5, 5)), np.zeros(2)
FIXED = np.zeros(2)
FIXED.flags.writeable = False


@pytest.mark.parametrize(
    ("kernel", "arguments", "error", "message"),
    [
        ("mask_means", (MASKS, PLANE, OUT), ValueError, "there is no kernel mask_means"),
        ("mask_mean", (MASKS, PLANE), ValueError, "mask_mean takes 3 arguments, got 2"),
        ("mask_mean", (WORDS, PLANE, OUT), ValueError, "mask_mean: argument 0 must be masks"),
        (
            "mask_mean",
            (MASKS, PLANE.astype(np.float32), OUT),
            ValueError,
            "argument 1 must be an array of 'f8', got 'f4'",
        ),
        (
            "mask_mean",
            (MASKS, PLANE.astype(np.int64), OUT),
            ValueError,
            "argument 1 must be an array of 'f8', got 'i8'",
        ),
        ("mask_mean", (MASKS, 1.0, OUT), ValueError, "argument 1 must be an array"),
        ("mask_mean", (MASKS, PLANE, FIXED), ValueError, "argument 2 must be writeable"),
        ("mask_mean", (MASKS, PLANE.T[::2], OUT), TypeError, "C-contiguous"),
        ("mask_mean", (MASKS, "plane", OUT), TypeError, "got str"),
        ("measure", (AREA, 5, 5, AREA, BOX), ValueError, "measure: argument 0 must be an array of 2 axes"),
        ("measure", (WORDS, 5.0, 5, AREA, BOX), ValueError, "argument 1 must be a whole number of 4 bytes"),
        ("measure", (WORDS, 2**31, 5, AREA, BOX), ValueError, "argument 1 must be a whole number of 4 bytes"),
    ],
)
def test_a_compiled_kernel_checks_what_it_is_given(
    kernel: str, arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    core = pytest.importorskip("esam_fast._core", reason="no native module: numba serves")
    with pytest.raises(error, match=message):
        core.run(kernel, arguments)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The backends that ran kernels, in order."""
    names: list[str] = []

    def recorded(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: (names.append(name), run(*arguments))[1]

    for name, run in _backend._RUN.items():
        monkeypatch.setitem(_backend._RUN, name, recorded(name, run))
    return names


def test_packed_masks_are_measured_by_the_backend_asked_for(backend: str, ran: list[str]) -> None:
    masks = PackedMasks.from_bool(np.eye(3, dtype=bool)[:, None], backend=backend)
    masks = PackedMasks.from_words(masks.words, masks.shape, backend=backend)
    masks = PackedMasks.from_labels(masks.to_labels(), 3, backend=backend)
    masks.united(np.array([0, 0, 1]), 2, backend=backend)
    masks.painted(masks.take(np.array([1])), backend=backend)
    entity_planes(np.ones((3, 1, 3), np.float32), masks, masks, np.arange(3), masks, backend=backend)
    assert set(ran) == {backend}


def test_the_pipeline_runs_kernels_of_the_backend_asked_for(backend: str, ran: list[str]) -> None:
    segmenter = SyntheticSegmenter(GRIDS["odd"], 3)

    def aside(ask: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*arguments: Any, **options: Any) -> Any:
            before = len(ran)
            answer = ask(*arguments, **options)
            del ran[before:]  # what the segmenter itself ran
            return answer

        return asked

    image = segmenter.image()
    for name in ("embed", "masks", "logits"):
        setattr(segmenter, name, aside(getattr(segmenter, name)))
    Esam(segmenter, EsamConfig(), backend=backend).segment(image)
    # On a device torch makes label maps and planes; superpixels stay on the host.
    others = set() if backend in ("native", "numba") else {"torch", _backend.resolve(None)}
    assert {backend} <= set(ran) <= {backend} | others


@pytest.mark.parametrize("backend", [name for name in _backend.available() if name in ("native", "numba")])
def test_segmenter_and_tiles_run_kernels_of_the_backend_asked_for(backend: str, ran: list[str]) -> None:
    """Those that make a tree of regions, and measure the map that tiles are joined on, on the host."""
    image = np.random.default_rng(0).integers(0, 256, (40, 96, 3), np.uint8)
    config = EsamConfig(MmgConfig(points_per_side=4), EmrConfig(points_per_side=8))
    Esam(load_segmenter("regions", backend=backend), config, backend).segment(image, tile=64, overlap=16)
    assert set(ran) == {backend}
