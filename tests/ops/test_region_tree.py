import numpy as np
import pytest
from cases import read_only, refuses_unknown_backends, strided
from hypothesis import given
from hypothesis import strategies as st

from esam_fast.ops import felzenszwalb, region_tree

FIELDS = ("parent", "height", "area", "perimeter", "strength")


def by_definition(labels, boundary, features):
    """The same merges, looking at the whole picture for every pair, every time."""
    regions = labels.max() + 1
    nodes = 2 * regions - 1
    parent, height = np.full(nodes, -1, np.int32), np.zeros(nodes)
    sides = [
        (labels[y, x], labels[v, u], max(boundary[y, x], boundary[v, u]))
        for y, x in np.ndindex(labels.shape)
        for v, u in ((y, x + 1), (y + 1, x))
        if v < labels.shape[0] and u < labels.shape[1] and labels[y, x] != labels[v, u]
    ]
    leaves = {k: frozenset([k]) for k in range(regions)}  # the live nodes
    # Exact in these tests: all values are small multiples of 1/8.
    flat, pixels = labels.ravel(), features.reshape(labels.size, -1 if features.size else 0).astype(np.float64)

    def border(a, b):
        return [float(s) for i, j, s in sides if (i in a and j in b) or (i in b and j in a)]

    def measure(a):
        out = border(a, frozenset(range(regions)) - a)
        return int(np.isin(flat, list(a)).sum()), len(out), sum(out)

    measures = {k: measure(leaves[k]) for k in leaves}
    for new in range(regions, nodes):
        offers = []
        for i in leaves:
            for j in leaves:
                if i < j and (shared := border(leaves[i], leaves[j])):
                    inside = [np.isin(flat, list(leaves[k])) for k in (i, j)]
                    n, m = (float(x.sum()) for x in inside)
                    difference = pixels[inside[0]].sum(axis=0) / n - pixels[inside[1]].sum(axis=0) / m
                    squared = 0.0
                    for d in difference:
                        squared += d * d
                    contrast = sum(shared) / len(shared) + np.sqrt(squared)
                    offers.append((contrast * np.sqrt(np.sqrt(np.sqrt(n * m / (n + m)))), i, j))
        cost, i, j = min(offers)
        parent[i] = parent[j] = new
        height[new] = max(cost, height[i], height[j])
        leaves[new] = leaves.pop(i) | leaves.pop(j)
        measures[new] = measure(leaves[new])
    area, perimeter, strength = zip(*(measures[k] for k in range(nodes)), strict=True)
    return parent, height, np.array(area), np.array(perimeter), np.array(strength)


def random_case(rng, h, w, regions, channels):
    labels = rng.integers(0, regions, (h, w))
    labels = np.unique(labels, return_inverse=True)[1].reshape(h, w).astype(np.int32)
    boundary = (rng.integers(0, 9, (h, w)) / 8).astype(np.float32)
    return labels, boundary, (rng.integers(-8, 9, (h, w, channels)) / 8).astype(np.float32)


def test_by_hand(backend):
    # Three columns of 2, 2 and 4 pixels. Features 0, 3, 3; boundary 1 at the second column only.
    labels = np.array([[0, 1, 2, 2], [0, 1, 2, 2]], np.int32)
    boundary = np.array([[0, 1, 0, 0], [0, 1, 0, 0]], np.float32)
    features = np.array([0, 3, 3], np.float32)[labels][..., None]
    tree = region_tree(labels, boundary, features, backend=backend)
    assert tree.leaves == 3
    assert tree.parent.tolist() == [4, 3, 3, 4, -1]
    # 1 and 2: (1 + 0) * (8 / 6) ** (1 / 8); then 0 with both: (1 + 3) * (12 / 8) ** (1 / 8)
    root = [np.sqrt(np.sqrt(np.sqrt(size))) for size in (8 / 6, 12 / 8)]
    assert tree.height.tolist() == [0, 0, 0, root[0], 4 * root[1]]
    assert tree.area.tolist() == [2, 2, 4, 6, 8]
    assert tree.perimeter.tolist() == [2, 4, 2, 2, 0]
    assert tree.strength.tolist() == [2, 4, 2, 2, 0]


def test_ties_go_to_the_lower_pair(backend):
    labels = np.arange(4, dtype=np.int32)[None]
    zeros = np.zeros((1, 4), np.float32)
    # All costs 0: 0-1, then of (2, 3) and (2, 4) the pair (2, 3).
    tree = region_tree(labels, zeros, zeros[..., None], backend=backend)
    assert tree.parent.tolist() == [4, 4, 5, 5, 6, 6, -1]


def test_heights_never_sink(backend):
    # Joining 0 and 1 pulls their mean to the value of 2: the second merge is cheaper than the first.
    labels = np.array([[0, 1], [2, 2]], np.int32)
    features = np.array([0, 2, 1], np.float32)[labels][..., None]
    boundary = np.zeros((2, 2), np.float32)
    boundary[1] = 50
    tree = region_tree(labels, boundary, features, backend=backend)
    assert tree.parent.tolist() == [3, 3, 4, 4, -1]
    assert (tree.height[tree.parent[:-1]] >= tree.height[:-1]).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (6, 1), (7, 9), (12, 11)])
@pytest.mark.parametrize("channels", [0, 1, 3])
def test_equals_the_definition(backend, rng, shape, channels):
    case = random_case(rng, *shape, 14, channels)
    tree = region_tree(*case, backend=backend)
    for name, expected in zip(FIELDS, by_definition(*case), strict=True):
        np.testing.assert_array_equal(getattr(tree, name), expected, err_msg=name)


@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 7), st.integers(1, 10))
def test_property(backend, seed, h, w, regions):
    case = random_case(np.random.default_rng(seed), h, w, regions, 2)
    tree = region_tree(*case, backend=backend)
    for name, expected in zip(FIELDS, by_definition(*case), strict=True):
        np.testing.assert_array_equal(getattr(tree, name), expected, err_msg=name)


def test_real_values_give_the_same_tree_everywhere(backend, rng):
    image = (rng.random((60, 80, 3)) * 60).astype(np.uint8)
    labels = felzenszwalb(image, 20.0, 0.5, 8, backend=backend)
    boundary, features = rng.random((60, 80), np.float32), rng.random((60, 80, 5), np.float32)
    tree = region_tree(labels, boundary, features, backend=backend)
    reference = region_tree(labels, boundary, features)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(tree, name), getattr(reference, name))
    assert tree.area[-1] == labels.size
    assert tree.perimeter[-1] == 0
    assert (tree.parent[:-1] > np.arange(len(tree.parent) - 1)).all()


def test_accepts_read_only_and_strided(backend, rng):
    case = random_case(rng, 8, 9, 6, 2)
    expected = region_tree(*case, backend=backend)
    for version in (read_only, strided):
        tree = region_tree(*map(version, case), backend=backend)
        np.testing.assert_array_equal(tree.parent, expected.parent)
        np.testing.assert_array_equal(tree.height, expected.height)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels": np.zeros((2, 2), np.int64)}, TypeError, "labels"),
        ({"labels": np.zeros((0, 2), np.int32)}, ValueError, "labels must hold every value 0..K-1, got no pixel"),
        ({"labels": np.array([[0, 2], [0, 2]], np.int32)}, ValueError, "labels must hold every value"),
        ({"labels": np.array([[-1, 0], [0, 0]], np.int32)}, ValueError, "labels must hold every value"),
        ({"labels": np.zeros(4, np.int32)}, ValueError, "labels must have shape"),
        ({"boundary": np.zeros((2, 2))}, TypeError, "boundary"),
        ({"boundary": np.zeros((2, 3), np.float32)}, ValueError, "boundary must have shape"),
        ({"boundary": np.full((2, 2), -1, np.float32)}, ValueError, "boundary must be at least 0"),
        ({"boundary": np.full((2, 2), np.nan, np.float32)}, ValueError, "boundary must be finite"),
        ({"features": np.zeros((2, 2), np.float32)}, ValueError, "features must have shape"),
        ({"features": np.full((2, 2, 1), np.inf, np.float32)}, ValueError, "features must be finite"),
    ],
)
def test_refuses(change, error, message):
    case = {
        "labels": np.array([[0, 0], [1, 1]], np.int32),
        "boundary": np.zeros((2, 2), np.float32),
        "features": np.zeros((2, 2, 1), np.float32),
    }
    with pytest.raises(error, match=message):
        region_tree(**{**case, **change})


def test_refuses_unknown_backends():
    one = np.zeros((1, 1), np.int32), np.zeros((1, 1), np.float32), np.zeros((1, 1, 1), np.float32)
    refuses_unknown_backends(lambda backend: region_tree(*one, backend=backend))
