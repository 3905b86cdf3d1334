import numpy as np
import oracle_ops
import pytest
from cases import COUNTS, read_only, refuses_unknown_backends, strided
from hypothesis import given
from hypothesis import strategies as st

from esam_fast.ops import mask_similarity, top_k_similarity


def test_top_k_by_hand(backend):
    # Products: 0.1 = 2, 0.2 = 4, 0.3 = 2, 0.4 = -2; 1.2 = 2, 1.3 = 1, 1.4 = -1; 2.3 = 2, 2.4 = -2; 3.4 = -1.
    features = np.array([[2, 0], [1, 0], [2, 0], [1, 0], [-1, 0]], np.int16)
    index, value = top_k_similarity(features, 2, backend=backend)
    assert (index.dtype, value.dtype) == (np.int32, np.int32)
    assert index.tolist() == [[2, 1], [0, 2], [0, 1], [0, 2], [1, 3]]  # ties: the lower index
    assert value.tolist() == [[4, 2], [2, 2], [4, 2], [2, 2], [-1, -1]]


def test_fewer_others_than_k(backend):
    features = np.array([[3, 4], [4, -3]], np.int16)
    index, value = top_k_similarity(features, 3, backend=backend)
    assert index.tolist() == [[1, -1, -1], [0, -1, -1]]
    assert value.tolist() == [[0, 0, 0], [0, 0, 0]]
    index, value = top_k_similarity(features[:1], 1, backend=backend)
    assert (index.tolist(), value.tolist()) == ([[-1]], [[0]])


@pytest.mark.parametrize("channels", [1, 31, 33, 256, 512])  # 513 times 2047 squared would overflow
def test_largest_products_are_exact(backend, channels):
    features = np.full((5, channels), 2047, np.int16)
    features[3:] = -2047
    product = channels * 2047**2  # 512 * 2047^2 = 2145387008 < 2^31
    index, value = top_k_similarity(features, 4, backend=backend)
    assert value.tolist() == [[product, product, -product, -product]] * 3 + [[product] + [-product] * 3] * 2
    assert index.tolist() == [[1, 2, 3, 4], [0, 2, 3, 4], [0, 1, 3, 4], [4, 0, 1, 2], [3, 0, 1, 2]]


@pytest.mark.parametrize(("k", "channels"), [(1, 7), (10, 64), (70, 33)])
@pytest.mark.parametrize("n", COUNTS)
def test_top_k_equals_oracle(backend, rng, n, k, channels):
    features = rng.integers(-3, 4, (n, channels)).astype(np.int16)  # small numbers: many ties
    for got, expected in zip(
        top_k_similarity(read_only(features), k, backend=backend),
        oracle_ops.top_k_similarity(features, k),
        strict=True,
    ):
        np.testing.assert_array_equal(got, expected)


def test_strided_features(backend, rng):
    features = rng.integers(-2047, 2048, (65, 40)).astype(np.int16)
    expected = oracle_ops.top_k_similarity(features, 5)
    for view in (strided(features), np.asfortranarray(features)):
        for got, wanted in zip(top_k_similarity(view, 5, backend=backend), expected, strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_similarity_by_hand(backend):
    # Centres 0, 1 in mask 0; 2 in mask 1; 3 in none; mask 2 holds no centre. k = 2.
    membership = np.array([0, 0, 1, -1], np.int32)
    neighbours = np.array([[1, 2], [2, 3], [0, -1], [0, 1]], np.int32)
    # S(0, 1): centres 0 and 1 have one neighbour each in mask 1: 2 of 2 * 2 = 0.5.
    # S(1, 0): centre 2 has one neighbour in mask 0: 1 of 1 * 2 = 0.5.
    # The diagonal is 0 though centre 0 has a neighbour in its own mask.
    expected = [[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]]
    assert mask_similarity(neighbours, membership, 3, backend=backend).tolist() == expected
    # One more centre in mask 0 without neighbours in mask 1: S(0, 1) = 2/6, S(1, 0) stays: the larger counts.
    membership[3] = 0
    expected[0][1] = expected[1][0] = 0.5
    assert mask_similarity(neighbours, membership, 3, backend=backend).tolist() == expected
    neighbours[2] = [3, 1]  # now S(1, 0) = 2/2
    expected[0][1] = expected[1][0] = 1.0
    assert mask_similarity(neighbours, membership, 3, backend=backend).tolist() == expected


@pytest.mark.parametrize("n_masks", [0, 1, 64, 65])
@pytest.mark.parametrize("n", COUNTS)
def test_similarity_equals_oracle(backend, rng, n, n_masks):
    neighbours = rng.integers(-1, max(1, n), (n, 10)).astype(np.int32)
    membership = rng.integers(-1, n_masks, n).astype(np.int32)
    got = mask_similarity(read_only(neighbours), read_only(membership), n_masks, backend=backend)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, oracle_ops.mask_similarity(neighbours, membership, n_masks))
    np.testing.assert_array_equal(
        mask_similarity(strided(neighbours), strided(membership), n_masks, backend=backend), got
    )


@given(st.data())
def test_properties(backend, data):
    n, k, channels = (data.draw(st.integers(1, 12)) for _ in range(3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    features = rng.integers(-2, 3, (n, channels)).astype(np.int16)
    index, value = top_k_similarity(features, k, backend=backend)
    for got, expected in zip((index, value), oracle_ops.top_k_similarity(features, k), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert (np.count_nonzero(index >= 0, axis=1) == min(k, n - 1)).all()
    assert (np.diff(value[:, : min(k, n - 1)], axis=1) <= 0).all()
    membership = rng.integers(-1, 4, n).astype(np.int32)
    similarity = mask_similarity(index, membership, 4, backend=backend)
    np.testing.assert_array_equal(similarity, oracle_ops.mask_similarity(index, membership, 4))
    np.testing.assert_array_equal(similarity, similarity.T)
    assert ((similarity >= 0) & (similarity <= 1)).all()


def test_refusals(backend):
    features = np.ones((3, 4), np.int16)
    for bad in (features.astype(np.float32), features.astype(np.int32), [[1, 2], [3, 4]]):
        with pytest.raises(TypeError, match=r"^features must"):
            top_k_similarity(bad, 2, backend=backend)
    for bad in (features[0], np.full((1, 2), -32768, np.int16), np.full((2, 513), 2047, np.int16)):
        with pytest.raises(ValueError, match=r"^features must"):
            top_k_similarity(bad, 2, backend=backend)
    with pytest.raises(TypeError, match=r"^k must"):
        top_k_similarity(features, 2.0, backend=backend)
    with pytest.raises(ValueError, match=r"^k must"):
        top_k_similarity(features, 0, backend=backend)
    refuses_unknown_backends(lambda name: top_k_similarity(features, 2, backend=name))


def test_similarity_refusals(backend):
    neighbours, membership = np.zeros((3, 2), np.int32), np.zeros(3, np.int32)
    for name, args in (
        ("neighbours", (neighbours.astype(np.int64), membership, 1)),
        ("membership", (neighbours, membership.astype(np.int64), 1)),
        ("n_masks", (neighbours, membership, 1.0)),
    ):
        with pytest.raises(TypeError, match=f"^{name} must"):
            mask_similarity(*args, backend=backend)
    for name, args in (
        ("neighbours", (neighbours[0], membership, 1)),
        ("neighbours", (neighbours + 3, membership, 1)),
        ("neighbours", (neighbours - 2, membership, 1)),
        ("membership", (neighbours, membership[:2], 1)),
        ("membership", (neighbours, membership + 1, 1)),
        ("membership", (neighbours, membership - 2, 1)),
        ("n_masks", (neighbours, membership - 1, -1)),
    ):
        with pytest.raises(ValueError, match=f"^{name} must"):
            mask_similarity(*args, backend=backend)
    refuses_unknown_backends(lambda name: mask_similarity(neighbours, membership, 1, backend=name))
