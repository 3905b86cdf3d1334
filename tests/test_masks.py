"""Packed masks and the grid: the bit order, areas, boxes, points and pixels."""

from __future__ import annotations

import copy
import pickle
import sys

import numpy as np
import oracle
import pytest
from synthetic import GRIDS

from esam_fast import MaskGrid, PackedMasks, PointMasks, build_info, get_num_threads, set_num_threads
from esam_fast.masks import ScoredMasks
from esam_fast.superpixels import label_centres, mask_centre


def test_bit_i_is_pixel_i() -> None:
    mask = np.zeros((1, 7, 11), np.bool_)
    for pixel in (0, 10, 11, 63, 64, 76):
        mask.reshape(-1)[pixel] = True
    packed = PackedMasks.from_bool(mask)
    assert packed.words.tolist() == [[1 | 1 << 10 | 1 << 11 | 1 << 63, 1 | 1 << 12]]
    assert packed.area.tolist() == [6]
    assert packed.box.tolist() == [[0, 0, 11, 7]]
    assert packed.shape == (7, 11)
    assert packed.pixels(0).tolist() == [0, 10, 11, 63, 64, 76]


@pytest.mark.parametrize("shape", [(1, 1), (7, 11), (8, 8), (64, 3), (3, 64), (37, 45), (256, 256)])
def test_round_trip(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((9, *shape)) < rng.random((9, 1, 1))
    masks[3] = False
    masks[4] = True
    packed = PackedMasks.from_bool(masks)
    assert np.array_equal(packed.to_bool(), masks)
    assert packed.words.dtype == np.uint64
    assert packed.words.shape == (9, -(-shape[0] * shape[1] // 64))
    assert packed.area.tolist() == masks.sum((1, 2)).tolist()
    for i in range(9):
        y, x = np.nonzero(masks[i])
        box = [x.min(), y.min(), x.max() + 1, y.max() + 1] if len(y) else [0, 0, 0, 0]
        assert packed.box[i].tolist() == box
        assert packed.pixels(i).tolist() == np.flatnonzero(masks[i]).tolist()
    assert np.array_equal(packed.take(np.array([4, 0])).to_bool(), masks[[4, 0]])
    assert np.array_equal(packed.take(packed.area > 0).to_bool(), masks[masks.any((1, 2))])
    both = PackedMasks.concatenate([packed, packed.take(np.arange(2))])
    assert np.array_equal(both.to_bool(), np.concatenate([masks, masks[:2]]))


def test_label_maps() -> None:
    labels = np.random.default_rng(1).integers(-1, 5, (13, 17)).astype(np.int32)
    packed = PackedMasks.from_labels(labels, 6)
    assert np.array_equal(packed.to_bool(), labels[None] == np.arange(6)[:, None, None])
    assert np.array_equal(packed.to_labels(), labels)


def test_no_masks() -> None:
    for packed in (PackedMasks.empty((5, 6)), PackedMasks.from_bool(np.zeros((0, 5, 6), np.bool_))):
        assert len(packed) == 0
        assert packed.to_bool().shape == (0, 5, 6)


def test_refusals_of_masks() -> None:
    with pytest.raises(TypeError, match="masks must be a NumPy array of bool, got uint8 array"):
        PackedMasks.from_bool(np.zeros((1, 2, 2), np.uint8))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"masks must have shape \[N, h, w\], got \[2, 2\]"):
        PackedMasks.from_bool(np.zeros((2, 2), np.bool_))
    with pytest.raises(ValueError, match=r"words must have shape \[N, 2\], got \[1, 1\]"):
        PackedMasks(np.zeros((1, 1), np.uint64), np.zeros(1, np.int64), np.zeros((1, 4), np.int32), (9, 9))
    three = PackedMasks.from_bool(np.ones((3, 2, 2), np.bool_))
    one = np.zeros((1, 3), np.float32)
    assert PointMasks(three, one, one).channels.tolist() == [[0, 1, 2]]
    with pytest.raises(ValueError, match="three masks a point, got 2"):
        PointMasks(three.take(np.arange(2)), one, one)
    with pytest.raises(TypeError, match="stability must be a NumPy array of float32, got list"):
        PointMasks(three, one, [[0, 0, 0]])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="channels must be a NumPy array of int8"):
        PointMasks(three, one, one, np.zeros((1, 3), np.int64))  # type: ignore[arg-type]


ONE = np.array([[0b010_011_000]], np.uint64)  # pixels 3, 4 and 7 of 3 x 3
AREA, BOX = np.array([3]), np.array([[0, 1, 2, 3]], np.int32)


@pytest.mark.parametrize(
    ("words", "area", "box", "shape", "message"),
    [
        (ONE, AREA - 1, BOX, (3, 3), r"area\[0\] must be 3, as words\[0\], got 2"),
        (ONE, AREA - 10, BOX, (3, 3), r"area\[0\] must be 3, as words\[0\], got -7"),
        (ONE, AREA, BOX + np.int32(1), (3, 3), r"box\[0\] must be \[0, 1, 2, 3\], as words\[0\], got \[1, 2, 3, 4\]"),
        (ONE, AREA, BOX * np.int32(10**6), (3, 3), r"box\[0\] must be \[0, 1, 2, 3\]"),
        (ONE | np.uint64(1 << 9), AREA, BOX, (3, 3), r"words\[0\] must have no bit set beyond its 9 pixels"),
        (~ONE, AREA + 3, BOX, (3, 3), r"words\[0\] must have no bit set beyond its 9 pixels"),
        (ONE, AREA, BOX, (np.int64(2**32), np.int64(2**32)), "shape must have at most 536870911 pixels, got 42949"),
        (ONE, AREA, BOX, (np.int32(2**16), np.int32(2**16)), "shape must have at most 536870911 pixels"),
        (ONE, AREA, BOX, (1, 2**31 - 1), "shape must have at most 536870911 pixels"),
        (ONE, AREA, BOX, (0, 2**40), "shape must have at most 536870911 pixels"),
    ],
)  # fmt: skip
def test_masks_are_what_is_said_of_them(words, area, box, shape, message) -> None:
    with pytest.raises(ValueError, match=message):
        PackedMasks(words, area, box, shape)


def test_what_is_right_is_taken_and_kept() -> None:
    area, box, words = AREA.copy(), BOX.copy(), ONE.copy()
    made = PackedMasks(words, area, box, (np.int8(3), np.int64(3)))
    assert made.shape == (3, 3)
    assert [type(side) for side in made.shape] == [int, int]
    area[:], box[:] = 10**9, 10**6  # the caller's own
    assert (made.area.tolist(), made.box.tolist()) == ([3], [[0, 1, 2, 3]])
    words[:] = 0  # still writeable for whoever made it
    for one in (made, pickle.loads(pickle.dumps(made)), copy.deepcopy(made), made.take(np.array([0]))):
        for name in ("words", "area", "box"):
            with pytest.raises(ValueError, match="read-only"):
                getattr(one, name)[...] = 0


def test_words_wherever_they_lie() -> None:
    room = np.zeros(17, np.uint8)
    unaligned = room[1:].view(np.uint64).reshape(2, 1)
    unaligned[:] = ONE
    assert not unaligned.flags.aligned
    made = PackedMasks.from_words(unaligned, (3, 3))
    assert made.words.flags.aligned
    assert made.area.tolist() == [3, 3]
    with pytest.raises(TypeError, match="words must be a NumPy array of uint64, got >u8 array"):
        PackedMasks.from_words(ONE.astype(">u8"), (3, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.take(np.array([3])), IndexError, r"indices must lie in \[-3, 3\), got 3 to 3"),
        (lambda m: m.take(np.array([True])), TypeError, r"indices must be .* or of bool \[3\], got bool \[1\]"),
        (lambda m: m.take(np.array([[0]])), TypeError, r"indices must be an array .*, got int64 \[1, 1\]"),
        (lambda m: m.at(np.array([9])), ValueError, r"pixels must lie in \[0, 9\), got 9 to 9"),
        (lambda m: m.at(np.array([-1])), ValueError, r"pixels must lie in \[0, 9\), got -1 to -1"),
        (lambda m: m.united(np.array([0, 1, 2]), 2), ValueError, r"groups must lie in \[0, 2\), got 0 to 2"),
        (lambda m: m.united(np.array([0]), 2), ValueError, r"groups must have shape \[3\], got \[1\]"),
        (lambda m: m.united(np.zeros(3, np.int64), 2**40), ValueError, "n must be at most 1048576"),
        (lambda m: m.painted(PackedMasks.empty((4, 4))), ValueError, "covered must be on a grid of shape"),
        (lambda m: PackedMasks.from_labels(np.full((2, 2), 3, np.int32), 3), ValueError, "labels must be below n, 3"),
        (lambda m: PackedMasks.empty((2, 2.5)), TypeError, r"shape\[1\] must be a whole number, got float"),
        (lambda m: PackedMasks.empty(4), TypeError, "shape must be two whole numbers, height and width, got 4"),
        (lambda m: PackedMasks.empty((10**5000, 1)), ValueError, "shape must have .*, got a number of 16610 bits x 1"),
    ],
)  # fmt: skip
def test_refusals_of_questions(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(PackedMasks.from_bool(np.ones((3, 3, 3), np.bool_)))


def test_refusals_of_scored_masks() -> None:
    masks, row, points = PackedMasks.from_bool(np.ones((2, 3, 3), np.bool_)), np.zeros(2, np.float32), np.zeros((2, 2))
    channels = np.zeros(2, np.int8)
    for name, arguments in {
        "scores must have shape": (row[:1], row, points.astype(np.float32), channels),
        "stability must be finite": (row, row * np.float32("nan"), points.astype(np.float32), channels),
        "points must be a NumPy array of float32": (row, row, points, channels),
        "channels must be a NumPy array of int8": (row, row, points.astype(np.float32), row),
    }.items():
        with pytest.raises((TypeError, ValueError), match=name):
            ScoredMasks(masks, *arguments)


def test_centres_on_the_largest_grids() -> None:
    """The squares of sums of coordinates are beyond int64 here."""
    whole = np.zeros((127, 2**15 - 1), np.int32)
    middle = 63 * whole.shape[1] + 2**14 - 1
    assert label_centres(whole, 1).tolist() == [middle]
    assert mask_centre(PackedMasks.from_labels(whole, 1), 0) == middle


def test_content_rows_and_columns() -> None:
    # SAM's grid of a 1500 x 2250 image: 683 of 1024 padded rows, so 170.75 of 256.
    grid = MaskGrid(256, 256, 170.75, 256.0, 1500, 2250)
    assert (grid.rows, grid.cols) == (171, 256)  # row 170: 170.5 < 170.75
    assert MaskGrid(256, 256, 170.5, 256, 1500, 2250).rows == 170  # row 170: 170.5 < 170.5 is false
    assert MaskGrid(256, 256, 0.2, 256, 1, 5000).rows == 1


def test_points_fall_in_grid_pixels() -> None:
    grid = MaskGrid(4, 8, 2.5, 8.0, 10, 32)
    points = np.array([[0, 0], [31.9, 9.9], [4, 4], [3.999, 3.999]], np.float32)
    assert grid.pixels(points).tolist() == [0, 2 * 8 + 7, 1 * 8 + 1, 0]
    assert grid.points(np.array([0, 9])).tolist() == [[2.0, 2.0], [6.0, 6.0]]
    assert grid.point_grid(2).tolist() == [[8, 2.5], [24, 2.5], [8, 7.5], [24, 7.5]]
    assert grid.point_grid(2).dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 4, 1.0, 4.0, 9, 9), ValueError, "height must be at least 1"),
        ((4, 4, 4.5, 4.0, 9, 9), ValueError, "content_height must lie in"),
        ((4, 4, 4.0, float("nan"), 9, 9), ValueError, "content_width must lie in"),
        ((4, 4, 4.0, 4.0, 9.5, 9), TypeError, "image_height must be a whole number, got float"),
        ((4, 4, "4", 4.0, 9, 9), TypeError, "content_height must be a number, got str"),
        ((2**16, 4, 4.0, 4.0, 9, 9), ValueError, "height must be at most 32768, got 65536"),
        (
            (4, 4, 4.0, 4.0, 2**15, 2**15),
            ValueError,
            r"\(image_height, image_width\) must have at most",
        ),
        ((4, 4, 10**400, 4.0, 9, 9), ValueError, "content_height must be a number that float64 holds"),
    ],
)
def test_refusals_of_grids(arguments: tuple, error: type[Exception], message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(error, match=message):
        MaskGrid(*arguments)


def test_threads_and_build_info() -> None:
    before = get_num_threads()
    set_num_threads(1)
    assert build_info()["threads"] == 1
    set_num_threads(before)
    for wrong, error in ((0, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="n must be"):
            set_num_threads(wrong)  # type: ignore[arg-type]
    info = build_info()
    assert info["backends"]
    assert info["default_backend"] == info["backends"][0]
    if "native" in info["backends"]:
        assert info["simd"] == info["simd_available"][-1]
        assert info["compiler"]


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_grid_equals_oracle(grid):
    points = grid.point_grid(13)
    np.testing.assert_array_equal(points, oracle.point_grid(13, grid))
    np.testing.assert_array_equal(grid.pixels(points), oracle.pixels_of(points, grid))
    assert (grid.rows, grid.cols) == oracle.content_size(grid)
    y, x = np.mgrid[: grid.rows, : grid.cols].reshape(2, -1)
    back = grid.points(y * grid.width + x)
    np.testing.assert_array_equal(back, oracle.image_points(list(zip(y, x, strict=True)), grid))


def test_no_device_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ValueError, match="device 'cpu' is not available: torch is not installed"):
        PackedMasks.empty((2, 2), "cpu")
    assert PackedMasks.empty((2, 2)).to(None).device is None
