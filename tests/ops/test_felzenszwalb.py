import numpy as np
import oracle_ops
import pytest
from cases import read_only, refuses_unknown_backends, strided
from hypothesis import given
from hypothesis import strategies as st

from esam_fast.ops import felzenszwalb


def red(*rows):
    """An image with only its red channel set."""
    image = np.zeros((len(rows), len(rows[0]), 3), np.uint8)
    image[..., 0] = rows
    return image


def segments(image, scale, min_size, backend, sigma=0.0):
    labels = felzenszwalb(image, scale, sigma, min_size, backend=backend)
    assert labels.dtype == np.int32
    return labels.tolist()


def test_threshold_by_hand(backend):
    # Both pairs join at weight 0 (Int 0, size 2). Then the edge of weight 8 joins them if 8 <= 0 + scale / 2.
    image = red([5, 5, 13, 13])
    assert segments(image, 16.0, 0, backend) == [[0, 0, 0, 0]]
    assert segments(image, float(np.nextafter(np.float32(16), np.float32(0))), 0, backend) == [[0, 0, 1, 1]]


def test_inner_difference_counts_by_hand(backend):
    # Weights 4, 6, 6. 0-1 joins (4 <= 12): Int 4, limit 4 + 12/2 = 10. Pixel 2 joins at 6 (6 <= 10, 6 <= 12): Int 6,
    # limit 6 + 12/3 = 10. Pixel 3 joins at 6. Scale 5: 0-1 joins (4 <= 5), 6 exceeds the limit 5 of a lone pixel.
    image = red([0, 4, 10, 16])
    assert segments(image, 12.0, 0, backend) == [[0, 0, 0, 0]]
    assert segments(image, 5.0, 0, backend) == [[0, 0, 1, 2]]


def test_small_segments_by_hand(backend):
    # Weights 10, 2, 18, 1; scale 0 joins nothing. Edges in order: 1 (3-4), 2 (1-2), 10 (0-1), 18 (2-3).
    image = red([0, 10, 12, 30, 31])
    assert segments(image, 0.0, 1, backend) == [[0, 1, 2, 3, 4]]
    assert segments(image, 0.0, 2, backend) == [[0, 0, 0, 1, 1]]  # at 18 both sides have at least 2
    assert segments(image, 0.0, 3, backend) == [[0, 0, 0, 0, 0]]


def test_diagonals_by_hand(backend):
    # Only the diagonal neighbours are equal: down-right (0 and 3), down-left (1 and 2).
    assert segments(red([0, 90], [90, 0]), 1.0, 0, backend) == [[0, 1], [1, 0]]


def test_equal_weights_go_by_edge_index_by_hand(backend):
    # The middle pixel differs by 9 from each side, edges 0 (right of pixel 0) and 4 (right of pixel 1). Scale 0 joins
    # nothing but the equal ones; with min_size 2 the middle is absorbed by edge 0 first; then both sides have >= 2.
    image = red([0, 9, 18], [0, 200, 18])
    # Order: 0 = down 0-3; 0 = down 2-5; then 9 = edge 0 (0-1), 9 = edge 4 (1-2), and more. Pixel 1 goes left.
    assert segments(image, 0.0, 2, backend)[0] == [0, 0, 1]


def test_distance_is_euclidean(backend):
    image = np.zeros((1, 2, 3), np.uint8)
    image[0, 1] = 2, 3, 6  # distance 7
    assert segments(image, 7.0, 0, backend) == [[0, 0]]
    assert segments(image, 6.99, 0, backend) == [[0, 1]]


def test_constant_image_is_one_segment(backend):
    image = np.full((20, 30, 3), 77, np.uint8)
    assert not felzenszwalb(image, 0.0, 2.0, 0, backend=backend).any()


def pictures(rng, shape):
    smooth = np.cumsum(np.cumsum(rng.normal(0, 1, (*shape, 3)), axis=0), axis=1)
    yield np.clip(128 + smooth * 4, 0, 255).astype(np.uint8)
    yield (rng.integers(0, 3, (*shape, 3)) * 60).astype(np.uint8)  # few colours: many equal weights
    yield rng.integers(0, 256, (*shape, 3)).astype(np.uint8)


PARAMETERS = [(100.0, 0.8, 50), (100.0, 0.0, 0), (1.5, 0.5, 1), (300.25, 2.0, 20), (0.0, 0.8, 7), (1e6, 1.0, 10_000)]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (5, 13), (37, 53)])
def test_equals_oracle(backend, rng, shape):
    for image in pictures(rng, shape):
        for scale, sigma, min_size in PARAMETERS:
            labels = felzenszwalb(read_only(image), scale, sigma, min_size, backend=backend)
            np.testing.assert_array_equal(labels, oracle_ops.felzenszwalb(image, scale, sigma, min_size))


def test_larger_image_equals_oracle(backend, rng):
    for image in pictures(rng, (120, 161)):
        np.testing.assert_array_equal(felzenszwalb(image, backend=backend), oracle_ops.felzenszwalb(image))


def test_strided_image(backend, rng):
    image = next(pictures(rng, (31, 17)))
    before, expected = image.copy(), oracle_ops.felzenszwalb(image, min_size=5)
    for view in (strided(image), np.asfortranarray(image), image[:, ::-1][:, ::-1]):
        np.testing.assert_array_equal(felzenszwalb(view, min_size=5, backend=backend), expected)
    np.testing.assert_array_equal(image, before)


@given(st.data())
def test_properties(backend, data):
    height, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    colours = data.draw(st.sampled_from((2, 5, 256)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    image = rng.integers(0, colours, (height, width, 3)).astype(np.uint8)
    scale, sigma = data.draw(st.sampled_from((0.0, 1.0, 50.0))), data.draw(st.sampled_from((0.0, 0.8)))
    min_size = data.draw(st.integers(0, 20))
    labels = felzenszwalb(image, scale, sigma, min_size, backend=backend)
    np.testing.assert_array_equal(labels, oracle_ops.felzenszwalb(image, scale, sigma, min_size))
    found, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    np.testing.assert_array_equal(found, np.arange(len(found)))
    assert (np.diff(first) > 0).all()  # raster order of first appearance
    assert len(found) == 1 or (sizes >= min_size).all()


def test_refusals(backend):
    image = np.zeros((4, 5, 3), np.uint8)
    for bad in (image.astype(np.float32), image.tolist(), image > 0):
        with pytest.raises(TypeError, match=r"^image must"):
            felzenszwalb(bad, backend=backend)
    for bad in (image[..., 0], image[..., :2], np.zeros((4, 5, 4), np.uint8), image[:0], image[:, :0]):
        with pytest.raises(ValueError, match=r"^image must"):
            felzenszwalb(bad, backend=backend)
    for name in ("scale", "sigma"):
        with pytest.raises(TypeError, match=f"^{name} must"):
            felzenszwalb(image, **{name: "1"}, backend=backend)
        for bad in (-1.0, float("nan"), float("inf")):
            with pytest.raises(ValueError, match=f"^{name} must"):
                felzenszwalb(image, **{name: bad}, backend=backend)
    with pytest.raises(TypeError, match=r"^min_size must"):
        felzenszwalb(image, min_size=2.5, backend=backend)
    with pytest.raises(ValueError, match=r"^min_size must"):
        felzenszwalb(image, min_size=-1, backend=backend)
    refuses_unknown_backends(lambda name: felzenszwalb(image, backend=name))
