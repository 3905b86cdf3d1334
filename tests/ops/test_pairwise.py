import numpy as np
import oracle_ops
import pytest
from cases import COUNTS, SIZES, blobs, frozen, mask_stacks, pack, refuses_unknown_backends, rows
from hypothesis import given
from hypothesis import strategies as st

from esam_fast.ops import intersections, mask_iou, max_iou

OPS = (intersections, mask_iou, max_iou)


def test_by_hand(backend):
    # a: pixels 0-3, pixels 6-7, none.   b: pixels 2-5, pixels 0-3, pixels 6-8, none.
    a = pack(rows("####.....", "......##.", "........."))
    b = pack(rows("..####...", "####.....", "......###", "........."))
    np.testing.assert_array_equal(intersections(a, b, backend=backend), [[2, 4, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]])
    # unions: 4+4-2 = 6, 4, 7, 4;  6, 6, 3, 2;  4, 4, 3, 0
    np.testing.assert_array_equal(mask_iou(a, b, backend=backend), [[2 / 6, 1, 0, 0], [0, 0, 2 / 3, 0], [0, 0, 0, 0]])
    best, index = max_iou(a, b, backend=backend)
    np.testing.assert_array_equal(best, [1, 2 / 3, 0])
    np.testing.assert_array_equal(index, [1, 2, 0])  # nothing met: 0 is reached first by the first


def test_first_of_equal_best(backend):
    # IoU with b: 2/4, 2/4, 2/4 -> the first.
    best, index = max_iou(pack(rows("####")), pack(rows("##..", "..##", ".##.")), backend=backend)
    assert best.tolist() == [0.5]
    assert index.tolist() == [0]


def test_dtypes(backend):
    a, b = pack(np.ones((2, 5, 5))), pack(np.ones((3, 5, 5)))
    assert intersections(a, b, backend=backend).dtype == np.int32
    assert mask_iou(a, b, backend=backend).dtype == np.float64
    best, index = max_iou(a, b, backend=backend)
    assert (best.dtype, index.dtype) == (np.float64, np.int64)


def check(a, b, backend):
    packed_a, packed_b = frozen(pack(a)), frozen(pack(b))
    np.testing.assert_array_equal(intersections(packed_a, packed_b, backend=backend), oracle_ops.intersections(a, b))
    np.testing.assert_array_equal(mask_iou(packed_a, packed_b, backend=backend), oracle_ops.mask_iou(a, b))
    for got, expected in zip(max_iou(packed_a, packed_b, backend=backend), oracle_ops.max_iou(a, b), strict=True):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(packed_a.to_bool(), a)
    np.testing.assert_array_equal(packed_b.to_bool(), b)


@pytest.mark.parametrize("n", COUNTS)
def test_a_set_with_itself(backend, rng, n):
    masks = blobs(rng, n, (33, 40))
    packed = pack(masks)
    np.testing.assert_array_equal(
        intersections(packed, packed, backend=backend), oracle_ops.intersections(masks, masks)
    )
    np.testing.assert_array_equal(mask_iou(packed, packed, backend=backend), oracle_ops.mask_iou(masks, masks))
    for got, expected in zip(max_iou(packed, packed, backend=backend), oracle_ops.max_iou(masks, masks), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("n", "shape"), SIZES)
def test_equals_oracle(backend, rng, n, shape):
    check(blobs(rng, n, shape), blobs(rng, 67, shape), backend)
    check(blobs(rng, 5, shape), blobs(rng, n, shape), backend)


@given(st.data())
def test_properties(backend, data):
    a = data.draw(mask_stacks())
    b = np.random.default_rng(3).random((4, *a.shape[1:])) < 0.5
    check(a, b, backend)
    iou = mask_iou(pack(a), pack(a), backend=backend)
    assert ((iou >= 0) & (iou <= 1)).all()
    np.testing.assert_array_equal(iou, iou.T)
    np.testing.assert_array_equal(np.diag(iou), a.any(axis=(1, 2)))


@pytest.mark.parametrize("op", OPS)
def test_refusals(op, backend):
    masks = pack(np.ones((2, 4, 4)))
    with pytest.raises(TypeError, match=r"^a must be PackedMasks"):
        op(np.ones((2, 4, 4), bool), masks, backend=backend)
    with pytest.raises(TypeError, match=r"^b must be PackedMasks"):
        op(masks, None, backend=backend)
    with pytest.raises(ValueError, match=r"^b must be on a grid"):
        op(masks, pack(np.ones((2, 2, 8))), backend=backend)
    refuses_unknown_backends(lambda name: op(masks, masks, backend=name))
