"""Which points of the gallery's grid are asked, and whose answer stands for the others."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from cases import blobs, pack

from esam_fast import EmrConfig
from esam_fast.stages import gallery


def choose(objects, pixels, per_cell, **config):
    asked, answer = gallery.choose(pack(objects), pixels, EmrConfig(votes_per_cell=per_cell, **config))
    assert asked.dtype == answer.dtype == np.int64
    return asked.tolist(), answer.tolist()


def test_by_hand():
    # One row of ten pixels, a point each: pixels 0-6 in the first mask, 5-8 in the second, 9 in none. Cells: 0-4 in the
    # first alone, 5-6 in both, 7-8 in the second alone.
    objects = np.zeros((2, 1, 10), bool)
    objects[0, 0, :7] = objects[1, 0, 5:9] = True
    every = np.arange(10)
    # m = 2 of n = 5: ranks floor(5 / 4), floor(15 / 4); rank 2 is as near 1 as 3 and takes the earlier.
    assert choose(objects, every, 2) == ([1, 3, 5, 6, 7, 8], [0, 0, 0, 1, 1, 2, 3, 4, 5, -1])
    # m = 1: ranks floor(5 / 2), floor(2 / 2).
    assert choose(objects, every, 1) == ([2, 6, 8], [0] * 5 + [1] * 2 + [2] * 2 + [-1])
    # Every point of the masks; and every point of the grid.
    assert choose(objects, every, 9) == (list(range(9)), [*range(9), -1])
    assert choose(objects, every, 0) == (list(range(10)), list(range(10)))


def test_points_that_share_a_pixel():
    objects = np.ones((1, 1, 2), bool)
    assert choose(objects, np.array([0, 0, 0, 1]), 2) == ([1, 3], [0, 0, 0, 1])  # rank 2 takes the earlier of 1 and 3


def test_nothing_is_asked():
    pixels = np.arange(6)
    assert choose(np.zeros((0, 2, 3), bool), pixels, 4) == ([], [-1] * 6)
    assert choose(np.zeros((0, 2, 3), bool), pixels, 0) == ([], [-1] * 6)
    assert choose(np.ones((1, 2, 3), bool), pixels, 4, enabled=False) == ([], [-1] * 6)
    assert choose(np.zeros((2, 2, 3), bool), pixels, 4) == ([], [-1] * 6)  # masks without pixels


@pytest.mark.parametrize("per_cell", [0, 1, 3, 4, 17])
@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 65])
def test_equals_oracle(rng, n, per_cell):
    objects = blobs(rng, n, (33, 40))
    pixels = np.sort(rng.integers(0, 33 * 40, 300))
    asked, answer = oracle.gallery_points(objects, pixels, per_cell)
    assert choose(objects, pixels, per_cell) == (asked.tolist(), answer.tolist())


def test_torch_masks(rng):
    pytest.importorskip("torch")
    objects, pixels = pack(blobs(rng, 20, (33, 40))), np.arange(0, 33 * 40, 7)
    np.testing.assert_array_equal(objects.to("cpu").at(pixels), objects.to_bool().reshape(20, -1)[:, pixels])
    np.testing.assert_array_equal(objects.at(pixels), objects.to_bool().reshape(20, -1)[:, pixels])
