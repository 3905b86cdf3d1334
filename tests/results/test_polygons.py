"""Outlines run along pixel edges: exact at tolerance 0, close to it otherwise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from cases import blobs, mask_stacks
from hypothesis import given

from esam_fast.polygons import polygons


def filled(found, shape):
    """The pixels whose centres lie within the polygons, by the even-odd rule: bool [h, w]."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = np.zeros(shape, bool)
    for outer, holes in found:
        for ring in (outer, *holes):
            for (x0, y0), (x1, y1) in zip(ring.astype(float), np.roll(ring, -1, axis=0).astype(float), strict=True):
                if y0 != y1:
                    inside ^= ((y0 <= y) != (y1 <= y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def signed_area(ring):
    x, y = ring.astype(float).T
    return (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def rings(picture, tolerance=0.0):
    mask = np.array([[c == "#" for c in row] for row in picture])
    return [(outer.tolist(), [hole.tolist() for hole in holes]) for outer, holes in polygons(mask, tolerance)]


def test_one_pixel_is_a_square_of_side_one():
    assert rings(["...", "..#"]) == [([[2, 1], [3, 1], [3, 2], [2, 2]], [])]


def test_a_hole_goes_the_other_way():
    assert rings(["###", "#.#", "###"]) == [([[0, 0], [3, 0], [3, 3], [0, 3]], [[[1, 2], [2, 2], [2, 1], [1, 1]]])]


def test_pixels_that_meet_at_a_corner_are_two_pieces():
    assert rings(["#.", ".#"]) == [([[0, 0], [1, 0], [1, 1], [0, 1]], []), ([[1, 1], [2, 1], [2, 2], [1, 2]], [])]


def test_a_ring_that_would_touch_itself_is_two():
    # One piece around a free pixel that is open at a corner: an outer ring and a hole that meet there.
    ((outer, holes),) = rings(["###", "#.#", "##."])
    assert sorted(outer) == [[0, 0], [0, 3], [2, 2], [2, 3], [3, 0], [3, 2]]
    assert [sorted(hole) for hole in holes] == [[[1, 1], [1, 2], [2, 1], [2, 2]]]


def test_nothing_and_everything():
    assert polygons(np.zeros((3, 4), bool)) == []
    assert rings(["####"]) == [([[0, 0], [4, 0], [4, 1], [0, 1]], [])]


@given(mask_stacks(max_masks=4))
def test_exact_at_tolerance_0(masks):
    for mask in masks:
        found = polygons(mask, 0)
        np.testing.assert_array_equal(filled(found, mask.shape), mask)
        assert len(found) == cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] - 1
        for outer, holes in found:
            assert outer.dtype == np.float32
            assert signed_area(outer) > 0
            assert all(signed_area(hole) < 0 for hole in holes)
            for ring in (outer, *holes):
                assert len({tuple(corner) for corner in ring.tolist()}) == len(ring)  # none touches itself
                assert (np.abs(np.diff(ring, axis=0)) > 0).sum() == len(ring) - 1  # one step is east or south ..


@pytest.mark.parametrize("tolerance", [1.0, 2.0])
def test_simplified_stays_close(rng, tolerance):
    for mask in blobs(rng, 32, (90, 120)):
        exact, found = polygons(mask, 0), polygons(mask, tolerance)
        assert len(found) == len(exact)
        assert sum(len(outer) for outer, _ in found) <= sum(len(outer) for outer, _ in exact)
        whole = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0
        if whole.sum() >= 1000:
            near = filled(polygons(whole, tolerance), whole.shape)
            assert (near & whole).sum() / (near | whole).sum() >= 0.97


def test_small_and_thin_masks_do_not_vanish():
    for picture in (["#"], ["######"], ["#.....", ".#....", "..#..."], ["##", "##"]):
        mask = np.array([[c == "#" for c in row] for row in picture])
        assert sum(signed_area(outer) for outer, _ in polygons(mask, 3.0)) == pytest.approx(mask.sum(), rel=0.03)
