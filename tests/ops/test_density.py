import numpy as np
import oracle_ops
import pytest
from cases import SIZES, blobs, frozen, mask_stacks, pack, read_only, refuses_unknown_backends, rows, strided
from hypothesis import given
from hypothesis import strategies as st

from esam_fast.ops import mask_mean


def test_by_hand(backend):
    # (1 + 2) / 2, (2 + 3 + 4) / 3, nothing, 4 / 1.
    masks = pack(rows("##..", ".###", "....", "...#"))
    means = mask_mean(masks, np.array([[1.0, 2.0, 3.0, 4.0]]), backend=backend)
    assert means.dtype == np.float64
    assert means.tolist() == [1.5, 3.0, 0.0, 4.0]


def test_sum_goes_in_pixel_order(backend):
    # 1e16 + 1 = 1e16 in float64, so the ones before it count and those after it do not.
    plane = np.ones((1, 12))
    plane[0, 4] = 1e16
    assert mask_mean(pack(np.ones((1, 1, 12))), plane, backend=backend).tolist() == [(1e16 + 4) / 12]


@pytest.mark.parametrize(("n", "shape"), SIZES)
def test_equals_oracle(backend, rng, n, shape):
    masks, plane = blobs(rng, n, shape), rng.random(shape)
    expected = oracle_ops.mask_mean(masks, plane)
    np.testing.assert_array_equal(mask_mean(frozen(pack(masks)), read_only(plane), backend=backend), expected)
    for view in (strided(plane), np.asfortranarray(plane)):
        np.testing.assert_array_equal(mask_mean(pack(masks), view, backend=backend), expected)


@given(st.data())
def test_properties(backend, data):
    masks = data.draw(mask_stacks())
    plane = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))).random(masks.shape[1:])
    means = mask_mean(pack(masks), plane, backend=backend)
    np.testing.assert_array_equal(means, oracle_ops.mask_mean(masks, plane))
    assert (means[~masks.any(axis=(1, 2))] == 0).all()
    assert (means <= plane.max() * (1 + 1e-12)).all()


def test_refusals(backend):
    masks, plane = pack(np.ones((2, 4, 5))), np.ones((4, 5))
    with pytest.raises(TypeError, match=r"^masks must"):
        mask_mean(masks.words, plane, backend=backend)
    for bad in (plane.astype(np.float32), plane.tolist()):
        with pytest.raises(TypeError, match=r"^plane must"):
            mask_mean(masks, bad, backend=backend)
    for bad in (plane[0], plane[:, :4], plane[None]):
        with pytest.raises(ValueError, match=r"^plane must"):
            mask_mean(masks, bad, backend=backend)
    refuses_unknown_backends(lambda name: mask_mean(masks, plane, backend=name))
