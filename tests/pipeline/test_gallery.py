"""Which points of the gallery's grid are asked, and whose answer stands for the others."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from cases import blobs, pack

from esam_fast import EmrConfig
from esam_fast.stages import gallery


def choose(objects, pixels, per_cell, side=16, **config):
    config = EmrConfig(points_per_side=side, votes_per_cell=per_cell, **config)
    asked, answer = gallery.choose(pack(objects), pixels, config)
    assert asked.dtype == answer.dtype == np.int64
    return asked.tolist(), answer.tolist()


def test_by_hand():
    # One row of 24 points, a pixel each: 0-9 in the first mask alone, 10-22 in both, 23 in none.
    objects = np.zeros((2, 1, 24), bool)
    objects[0, 0, :23] = objects[1, 0, 10:23] = True
    every = np.arange(24)
    # m = 2 of n = 10: ranks 10 / 4 and 30 / 4; rank 4 is nearer 2, rank 5 nearer 7. Six times as many of the other
    # cell's 13: ranks 13 / 24, 39 / 24, .. = 0 1 2 3 4 5 7 8 9 10 11 12; 6 is as near 5 as 7 and takes the earlier.
    asked, answer = choose(objects, every, 2, side=24)
    assert asked == [2, 7, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 22]
    assert answer == [0] * 5 + [1] * 5 + [2, 3, 4, 5, 6, 7, 7, 8, 9, 10, 11, 12, 13, -1]
    # m = 1 of 10: rank 10 / 2. m = 6 of 13: ranks 13 / 12, 39 / 12, .. = 1 3 5 7 9 11.
    assert choose(objects, every, 1, side=24)[0] == [5, 11, 13, 15, 17, 19, 21]
    # Every point of the masks; and every point of the grid.
    assert choose(objects, every, 10, side=24) == (list(range(23)), [*range(23), -1])
    assert choose(objects, every, 0, side=24) == (list(range(24)), list(range(24)))


def test_along_the_z_order_curve_by_hand():
    # 4 x 4 points in one cell: the curve goes 0 1 4 5, 2 3 6 7, 8 9 12 13, 10 11 14 15. m = 4 of 16: ranks 2 6 10 14.
    asked, answer = choose(np.ones((1, 4, 4), bool), np.arange(16), 4, side=4)
    assert asked == [4, 6, 12, 14]
    # Ranks 4, 8 and 12 (points 2, 8 and 10) are as near the asked point before them as the one after.
    assert np.reshape(answer, (4, 4)).tolist() == [[0, 0, 0, 1], [0, 0, 1, 1], [1, 2, 2, 3], [2, 2, 3, 3]]


def test_points_that_share_a_pixel():
    objects = np.ones((1, 1, 2), bool)
    asked, answer = choose(objects, np.array([0, 0, 0, 1]), 2, side=4)
    assert (asked, answer) == ([1, 3], [0, 0, 0, 1])  # rank 2 is as near 1 as 3


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
    pixels = np.sort(rng.integers(0, 33 * 40, 324))
    asked, answer = oracle.gallery_points(objects, pixels, 18, per_cell)
    assert choose(objects, pixels, per_cell, side=18) == (asked.tolist(), answer.tolist())
