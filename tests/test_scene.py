from __future__ import annotations

import numpy as np
import pytest
from scene import scene, scene_labels

THINGS = 15


def test_picture_and_truth_fit():
    image, labels = scene(), scene_labels()
    assert image.dtype == np.uint8
    assert image.shape == (640, 960, 3)
    assert labels.dtype == np.int32
    assert labels.shape == (640, 960)
    assert (np.bincount(labels.ravel(), minlength=THINGS + 1)[1:] > 1000).all()
    red, green, blue = image[labels == 7].mean(0)  # the red ball
    assert red > 2 * max(green, blue)


def test_edges_of_the_picture_are_edges_of_the_truth():
    """Two neighbours of one plain thing differ little; across a border they differ much more."""
    image, labels = scene(480, 320).astype(int), scene_labels(480, 320)
    step = np.abs(np.diff(image, axis=1)).sum(2)
    border = labels[:, 1:] != labels[:, :-1]
    assert step[border].mean() > 8 * step[~border].mean()


def test_same_seed_same_picture():
    np.testing.assert_array_equal(scene(90, 60, seed=3), scene(90, 60, seed=3))
    np.testing.assert_array_equal(scene_labels(90, 60, seed=3), scene_labels(90, 60, seed=3))


def test_another_seed_moves_the_things():
    assert (scene_labels(90, 60, seed=1) != scene_labels(90, 60, seed=2)).any()
    assert (scene(90, 60, seed=1) != scene(90, 60, seed=2)).any()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (33, 21), (21, 64), (200, 10)])
def test_any_size(width, height):
    assert scene(width, height).shape == (height, width, 3)
    assert scene_labels(width, height).shape == (height, width)
