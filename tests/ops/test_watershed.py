import numpy as np
import oracle_ops
import pytest
from cases import read_only, refuses_unknown_backends, strided
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from esam_fast.ops import watershed


def row(*values, backend):
    labels = watershed(np.array([values], np.uint8), backend=backend)
    assert labels.dtype == np.int32
    return labels[0].tolist()


def test_basins_meet_on_the_ridge_by_hand(backend):
    assert row(0, 2, 9, 3, 1, backend=backend) == [0, 0, 0, 1, 1]  # the left gets to its 2 first, and on to the 9
    assert row(0, 3, 9, 2, 1, backend=backend) == [0, 0, 1, 1, 1]


def test_plateaus_by_hand(backend):
    assert row(5, 5, 5, backend=backend) == [0, 0, 0]
    assert row(5, 5, 4, 5, backend=backend) == [0, 0, 0, 0]  # the plateau on the left is no minimum
    assert row(4, 5, 5, 5, 5, 4, backend=backend) == [0, 0, 0, 1, 1, 1]  # shared evenly


def test_a_pixel_behind_a_ridge_counts_as_high_as_the_ridge(backend):
    # The middle row is a ridge of 8 with a pass of 6 at the right; what lies behind the pass is no lower than 6.
    relief = np.array([[0, 0, 0, 0], [8, 8, 8, 6], [7, 7, 7, 7], [8, 8, 8, 1]], np.uint8)
    assert watershed(relief, backend=backend).tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]]


def test_diagonals_do_not_touch(backend):
    relief = np.array([[0, 9], [9, 0]], np.uint8)
    assert watershed(relief, backend=backend).tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (6, 1), (7, 9), (23, 31)])
@pytest.mark.parametrize("levels", [1, 2, 4, 256])
def test_equals_the_oracle(backend, rng, shape, levels):
    relief = (rng.integers(0, levels, shape) * (255 // max(levels - 1, 1))).astype(np.uint8)
    np.testing.assert_array_equal(watershed(relief, backend=backend), oracle_ops.watershed(relief))


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.integers(1, 5))
def test_property(backend, seed, h, w, levels):
    relief = np.random.default_rng(seed).integers(0, levels, (h, w)).astype(np.uint8)
    labels = watershed(relief, backend=backend)
    np.testing.assert_array_equal(labels, oracle_ops.watershed(relief))
    for k in range(labels.max() + 1):
        assert ndimage.label(labels == k)[1] == 1  # in one piece


def test_smooth_reliefs(backend, rng):
    relief = ndimage.gaussian_filter(rng.random((60, 90)), 2.0)
    relief = ((relief - relief.min()) / np.ptp(relief) * 255).astype(np.uint8)
    labels = watershed(relief, backend=backend)
    np.testing.assert_array_equal(labels, oracle_ops.watershed(relief))
    assert 20 < labels.max() < 400


def test_accepts_read_only_and_strided(backend, rng):
    relief = rng.integers(0, 9, (8, 9)).astype(np.uint8)
    before, expected = relief.copy(), watershed(relief, backend=backend)
    for version in (read_only, strided):
        np.testing.assert_array_equal(watershed(version(relief), backend=backend), expected)
    np.testing.assert_array_equal(relief, before)


def test_refuses():
    with pytest.raises(TypeError, match="relief"):
        watershed(np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match="relief must have shape"):
        watershed(np.zeros(4, np.uint8))
    with pytest.raises(ValueError, match="relief must have at least one pixel"):
        watershed(np.zeros((0, 3), np.uint8))
    refuses_unknown_backends(lambda backend: watershed(np.zeros((2, 2), np.uint8), backend=backend))
