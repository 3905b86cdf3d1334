"""What became of entities, on maps made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from esam_fast.changes import Pair, changes, overlaps


def row(*runs):
    """A label map of one row from pairs (label, pixels)."""
    return np.concatenate([np.full(pixels, label) for label, pixels in runs])[None].astype(np.int32)


def test_kept():
    found = changes(row((1, 10), (2, 10)), row((7, 8), (3, 12)))
    assert found.kept == (Pair(1, 7, 8 / 10), Pair(2, 3, 10 / 12))
    assert found[1:] == ((), {}, {}, (), ())


def test_split():
    found = changes(row((1, 20), (2, 5)), row((1, 12), (2, 8), (3, 5)))
    assert found.split == {1: (1, 2)}
    assert found.kept == (Pair(2, 3, 1.0),)
    assert found.merged == {}
    assert (found.went, found.came) == ((), ())


def test_merged():
    found = changes(row((1, 12), (2, 8), (0, 5)), row((4, 20), (0, 5)))
    assert found.merged == {4: (1, 2)}
    assert found.split == {}
    assert found.kept == found.went == found.came == ()


def test_split_and_merged_at_once():
    found = changes(row((1, 20), (2, 10)), row((1, 12), (2, 18)))
    assert found.kept == (Pair(2, 2, 10 / 18), Pair(1, 1, 12 / 20))  # 8 of 20 and of 18 pixels: no more than half
    found = changes(row((1, 20), (2, 9)), row((1, 12), (2, 15), (3, 2)))
    assert found.split == {1: (1, 2), 2: (2, 3)}
    assert found.merged == {2: (1, 2)}
    assert found.kept == found.went == found.came == ()


def test_came_and_went():
    found = changes(row((1, 10), (0, 10), (2, 4)), row((0, 10), (1, 10), (2, 4)))
    assert (found.went, found.came) == ((1,), (1,))
    assert found.kept == (Pair(2, 2, 1.0),)


def test_exactly_half_is_not_related_and_half_an_iou_is_the_same():
    found = changes(row((1, 10), (0, 5)), row((0, 5), (1, 10)))
    assert (found.went, found.came) == ((1,), (1,))  # 5 of 10
    found = changes(row((1, 10), (0, 10)), row((1, 20)))
    assert found.kept == (Pair(1, 1, 0.5),)
    found = changes(row((1, 10), (0, 11)), row((1, 21)))
    assert (found.kept, found.resized) == ((), (Pair(1, 1, 10 / 21),))


def test_the_least_alike_comes_first():
    found = changes(row((1, 10), (2, 10)), row((1, 10), (2, 7), (0, 3)))
    assert [pair.before for pair in found.kept] == [2, 1]


def test_no_entities():
    empty = np.zeros((3, 4), np.int32)
    assert changes(empty, empty) == ((), (), {}, {}, (), ())
    assert changes(empty, empty + 1).came == (1,)


def test_wrong_arguments():
    labels = np.zeros((3, 4), np.int32)
    with pytest.raises(TypeError, match="before must be a NumPy array of int32, got int64 array"):
        changes(labels.astype(np.int64), labels)
    with pytest.raises(ValueError, match="after must have shape"):
        changes(labels, labels[:2])


maps = arrays(np.int32, (5, 7), elements=st.integers(0, 4))


@given(maps, maps)
def test_every_label_is_somewhere_and_the_way_back_mirrors(a, b):
    forth, back = changes(a, b), changes(b, a)
    assert (forth.split, forth.merged, forth.went, forth.came) == (back.merged, back.split, back.came, back.went)
    known = (
        {p.before for p in forth.kept + forth.resized}
        | set(forth.split)
        | {x for m in forth.merged.values() for x in m}
    )
    assert known | set(forth.went) == set(np.unique(a).tolist()) - {0}
    assert not known & set(forth.went)


@given(maps, maps)
def test_overlaps_counts_pixels(a, b):
    expected = {(i, j, int(((a == i) & (b == j)).sum())) for i in range(5) for j in range(5)}
    assert {tuple(pair) for pair in overlaps(a, b).T.tolist()} == {pair for pair in expected if pair[2]}
