import numpy as np
import oracle_ops
import pytest
from cases import COUNTS, read_only, refuses_unknown_backends, strided
from hypothesis import given
from hypothesis import strategies as st

from esam_fast import MaskGrid
from esam_fast.ops import draw_labels, measure_labels

GRIDS = [
    MaskGrid(9, 7, 9.0, 7.0, 31, 50),
    MaskGrid(13, 21, 13 * 0.6, 21.0, 60, 100),  # content 7.8 rows high
    MaskGrid(13, 21, 13.0, 10.5, 26, 21),  # content 10.5 columns: the last centre is not inside
    MaskGrid(33, 40, 30.25, 39.9, 20, 17),  # an image smaller than the grid
    MaskGrid(5, 5, 0.7, 5.0, 3, 64),  # one row of content
    MaskGrid(8, 16, 8.0, 16.0, 1, 1),
]


def draw(planes, content, image, backend):
    planes = np.array(planes, np.float32)
    grid = MaskGrid(*planes.shape[1:], *map(float, content), *image)
    labels = draw_labels(planes, grid, backend=backend)
    assert labels.dtype == np.int32
    return labels.tolist()


def test_by_hand(backend):
    # Two grid columns on four image columns: gx = -0.25 -> 0, 0.25, 0.75, 1.25 -> 1.
    falls = [[1, -1]]  # samples 1, 0.5, -0.5, -1
    rises = [[-1, 3]]  # samples -1, 0, 2, 3
    assert draw([falls], (1, 2), (1, 4), backend) == [[1, 1, 0, 0]]
    assert draw([rises], (1, 2), (1, 4), backend) == [[0, 0, 1, 1]]  # exactly 0 is not positive
    assert draw([rises, falls], (1, 2), (1, 4), backend) == [[2, 2, 1, 1]]
    # The flat plane ties with `falls` at the second pixel: the lower index has it.
    assert draw([falls, [[0.5, 0.5]]], (1, 2), (1, 4), backend) == [[1, 1, 2, 2]]
    assert draw([[[0.5, 0.5]], falls], (1, 2), (1, 4), backend) == [[2, 1, 1, 1]]
    # The same downwards.
    assert draw([[[1], [-1]]], (2, 1), (4, 1), backend) == [[1], [1], [0], [0]]


def test_content_only_by_hand(backend):
    # Content 1.5 of 3 columns: only column 0 has its centre inside (1.5 < 1.5 is false), so it serves everywhere.
    assert draw([[[1, -9, 9]]], (1, 1.5), (1, 6), backend) == [[1] * 6]
    # Content 1.6: columns 0 and 1. gx at six pixels: -0.37 -> 0, -0.1 -> 0, 0.17, 0.43, 0.7, 0.97;
    # 1 - 2 gx: 1, 1, 0.67, 0.13, -0.4, -0.93. Column 2 is never seen.
    assert draw([[[1, -1, 9]]], (1, 1.6), (1, 6), backend) == [[1, 1, 1, 1, 0, 0]]


def test_nothing_to_draw(backend):
    assert draw(np.zeros((0, 3, 3)), (3, 3), (2, 2), backend) == [[0, 0], [0, 0]]
    assert draw(np.zeros((2, 3, 3)), (3, 3), (2, 2), backend) == [[0, 0], [0, 0]]
    assert draw(np.full((2, 3, 3), -1), (3, 3), (2, 2), backend) == [[0, 0], [0, 0]]


def planes_for(rng, n, grid):
    """Smooth planes with small positive islands, every other one in steps of 1/4: many ties."""
    y, x = np.mgrid[: grid.height, : grid.width]
    at = rng.random((n, 2, 1, 1)) * np.array(grid.shape).reshape(2, 1, 1)
    planes = rng.uniform(1, 9, (n, 1, 1)) - np.hypot(y - at[:, 0], x - at[:, 1]) + rng.normal(0, 0.5, (n, *grid.shape))
    planes[::2] = np.round(planes[::2] * 4) / 4
    return planes.astype(np.float32)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("n", COUNTS)
def test_equals_oracle(backend, rng, n, grid):
    planes = planes_for(rng, n, grid)
    before = planes.copy()
    labels = draw_labels(read_only(planes), grid, backend=backend)
    np.testing.assert_array_equal(labels, oracle_ops.draw_labels(planes, grid))
    np.testing.assert_array_equal(planes, before)
    np.testing.assert_array_equal(draw_labels(strided(planes), grid, backend=backend), labels)


def test_the_order_of_float_steps(backend, rng):
    # Two planes that differ in the last bit of a few entries: which one is larger at a pixel depends on every
    # rounding, so another order of the same steps, or a fused multiply-add, gives other labels.
    grid = MaskGrid(13, 21, 13 * 0.6, 21.0, 61, 103)
    plane = rng.uniform(0.5, 3, grid.shape).astype(np.float32)
    other = np.where(rng.random(grid.shape) < 0.3, np.nextafter(plane, np.float32(9)), plane)
    planes = np.stack([plane, other])
    expected = oracle_ops.draw_labels(planes, grid)
    assert (expected == 1).any()
    assert (expected == 2).any()
    assert np.array_equal(draw_labels(planes, grid, backend=backend), expected)


def test_denormal_and_large_logits(backend):
    grid = MaskGrid(9, 7, 9.0, 7.0, 31, 50)
    rng = np.random.default_rng(5)
    planes = (rng.choice([-1, 1], (6, 9, 7)) * 10.0 ** rng.integers(-42, 30, (6, 9, 7))).astype(np.float32)
    np.testing.assert_array_equal(draw_labels(planes, grid, backend=backend), oracle_ops.draw_labels(planes, grid))


@given(st.data())
def test_properties(backend, data):
    height, width = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))
    grid = MaskGrid(
        height,
        width,
        height * data.draw(st.floats(0.51 / height, 1)),
        width * data.draw(st.floats(0.51 / width, 1)),
        data.draw(st.integers(1, 20)),
        data.draw(st.integers(1, 20)),
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    planes = rng.normal(0, 1, (data.draw(st.integers(0, 4)), height, width)).astype(np.float32)
    labels = draw_labels(planes, grid, backend=backend)
    np.testing.assert_array_equal(labels, oracle_ops.draw_labels(planes, grid))
    assert ((labels >= 0) & (labels <= len(planes))).all()
    if len(planes):  # a plane above all others everywhere takes every pixel
        above = np.concatenate([planes, np.full((1, height, width), 99, np.float32)])
        assert (draw_labels(above, grid, backend=backend) == len(above)).all()


def test_refusals(backend):
    grid = MaskGrid(4, 5, 4.0, 5.0, 8, 10)
    planes = np.zeros((2, 4, 5), np.float32)
    for bad in (planes.astype(np.float64), planes.tolist(), None):
        with pytest.raises(TypeError, match=r"^planes must"):
            draw_labels(bad, grid, backend=backend)
    nan = planes.copy()
    nan[1, 2, 3] = np.nan
    for bad in (planes[0], planes[:, :3], planes[:, :, :4], nan, np.full_like(planes, np.inf)):
        with pytest.raises(ValueError, match=r"^planes must"):
            draw_labels(bad, grid, backend=backend)
    with pytest.raises(TypeError, match=r"^grid must"):
        draw_labels(planes, (8, 10), backend=backend)
    refuses_unknown_backends(lambda name: draw_labels(planes, grid, backend=name))


def test_measure_labels_by_hand(backend):
    labels = np.array([[0, 2, 2, 0], [3, 0, 2, -1], [0, 0, 0, 9]], np.int32)
    area, box = measure_labels(labels, 4, backend=backend)
    assert (area.dtype, box.dtype) == (np.int64, np.int32)
    assert area.tolist() == [0, 3, 1, 0]  # -1, 0 and 9 are not among 1..4
    assert box.tolist() == [[0, 0, 0, 0], [1, 0, 3, 2], [0, 1, 1, 2], [0, 0, 0, 0]]


@pytest.mark.parametrize("shape", [(1, 1), (0, 5), (7, 9), (101, 67)])
@pytest.mark.parametrize("n", COUNTS)
def test_measure_labels(backend, rng, n, shape):
    labels = rng.integers(-1, n + 2, shape).astype(np.int32)
    area, box = measure_labels(read_only(labels), n, backend=backend)
    assert (len(area), len(box)) == (n, n)
    for label in range(1, n + 1):
        y, x = np.nonzero(labels == label)
        assert area[label - 1] == len(y)
        assert box[label - 1].tolist() == ([x.min(), y.min(), x.max() + 1, y.max() + 1] if len(y) else [0] * 4)
    for got, expected in zip(measure_labels(strided(labels), n, backend=backend), (area, box), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_measure_labels_refusals(backend):
    labels = np.zeros((3, 4), np.int32)
    for name, args in (("labels", (labels.astype(np.int64), 1)), ("n", (labels, 1.0))):
        with pytest.raises(TypeError, match=f"^{name} must"):
            measure_labels(*args, backend=backend)
    for name, args in (("labels", (labels[0], 1)), ("n", (labels, -1))):
        with pytest.raises(ValueError, match=f"^{name} must"):
            measure_labels(*args, backend=backend)
    refuses_unknown_backends(lambda name: measure_labels(labels, 1, backend=name))


def test_grid_refusals():
    for name, value in (("height", 0), ("width", -1), ("image_height", 0), ("image_width", 0)):
        with pytest.raises(ValueError, match=f"^{name} must"):
            MaskGrid(**{**vars_of(GRIDS[0]), name: value})
    for name, value in (("content_height", 0.0), ("content_width", 7.1), ("content_height", float("nan"))):
        with pytest.raises(ValueError, match=f"^{name} must"):
            MaskGrid(**{**vars_of(GRIDS[0]), name: value})
    with pytest.raises(TypeError, match=r"^height must"):
        MaskGrid(**{**vars_of(GRIDS[0]), "height": 9.5})


def vars_of(grid):
    names = ("height", "width", "content_height", "content_width", "image_height", "image_width")
    return {name: getattr(grid, name) for name in names}


def test_grid_by_hand():
    # Content 3.6 of 4 rows: centres 0.5, 1.5, 2.5, 3.5 lie inside; 2.5 of 3 columns: 0.5 and 1.5 do (2.5 does not).
    grid = MaskGrid(4, 3, 3.6, 2.5, 36, 25)
    assert (grid.rows, grid.cols) == (4, 2)
    # x = 12.5, y = 9 -> column floor(1.25) = 1, row floor(0.9) = 0.
    points = np.array([[12.5, 9], [0, 35.9], [24.9, 10]], np.float32)
    assert grid.pixels(points).tolist() == [1, 9, 5]
    # Back: pixel 4 is row 1, column 1: x = 1.5 * 25 / 2.5 = 15, y = 1.5 * 36 / 3.6 = 15.
    assert grid.points(np.array([4])).tolist() == [[15, 15]]
    assert grid.point_grid(2).tolist() == [[6.25, 9], [18.75, 9], [6.25, 27], [18.75, 27]]
