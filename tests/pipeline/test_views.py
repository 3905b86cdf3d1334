"""Which windows an image is seen in, which pixels they own, and which entities of theirs are one."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle_views
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import voronoi

from esam_fast import EntityMap
from esam_fast.ops import measure_labels
from esam_fast.views import joining
from esam_fast.views.joining import Canvas, connected, same_entities
from esam_fast.views.windows import Layout, View, Views, calmest_column


def entity_map(labels: np.ndarray, scores: Any = None, points: Any = None) -> EntityMap:
    """What a segmenter might have found in one view."""
    labels = np.array(labels, np.int32)
    k = int(labels.max(initial=0)) if scores is None else len(scores)
    scores = np.full(k, 0.5, np.float32) if scores is None else np.array(scores, np.float32)
    points = np.zeros((k, 2), np.float32) if points is None else np.array(points, np.float32)
    areas, boxes = measure_labels(labels, k)
    return EntityMap(labels, scores, areas, boxes, points, scores / 2, {}, None)


def put_together(layout: Layout, maps: list[EntityMap]) -> dict[str, Any]:
    canvas = Canvas(layout)
    for found in maps:
        canvas.add(found)
    return canvas.finish()


def block(*columns: tuple[int, int], height: int = 8) -> np.ndarray:
    """int32 [height, w]: label, width, label, width, ... from left to right."""
    return np.tile(np.repeat([label for label, _ in columns], [width for _, width in columns]), (height, 1))


# -- windows


@pytest.mark.parametrize(
    ("length", "spans"),
    [
        (10, [(0, 10)]), (9, [(0, 9)]), (11, [(0, 10), (1, 11)]), (16, [(0, 10), (6, 16)]),
        (17, [(0, 10), (6, 16), (7, 17)]), (22, [(0, 10), (6, 16), (12, 22)]),
    ],
)  # fmt: skip
def test_tiles_advance_by_tile_minus_overlap_and_the_last_is_flush(length: int, spans: list[tuple[int, int]]) -> None:
    views = Views(10, 4)
    assert views.layout(3, length).views == tuple(View(0, 3, *span) for span in spans)
    assert views.layout(length, 3).views == tuple(View(*span, 0, 3) for span in spans)


def test_too_many_tiles_are_refused_before_any_is_made() -> None:
    assert len(Views(1, 0).layout(256, 256).views) == 65536
    with pytest.raises(ValueError, match="tile 2 with overlap 1 divides 257 x 258 pixels into more than 65536 tiles"):
        Views(2, 1).layout(258, 257)
    with pytest.raises(ValueError, match="divides 100000 x 40000 pixels"):
        Views(1, 0).layout(40_000, 100_000)


def test_tiles_come_row_by_row() -> None:
    assert Views(10, 0).layout(20, 15).views == (
        View(0, 10, 0, 10), View(0, 10, 5, 15), View(10, 20, 0, 10), View(10, 20, 5, 15),
    )  # fmt: skip


def test_a_panorama_is_widened_by_an_eighth_and_tiled_only_where_it_is_wider_than_a_tile() -> None:
    assert Views(wrap=True).layout(50, 80).views == (View(0, 50, -10, 90),)
    assert Views(80, 10, wrap=True).layout(50, 80).views == (View(0, 50, -10, 90),)
    assert Views(40, 10, wrap=True).layout(50, 40).views == (View(0, 40, -5, 45), View(10, 50, -5, 45))
    assert Views(60, 10, wrap=True).layout(50, 80).views == (View(0, 50, -10, 50), View(0, 50, 30, 90))
    assert Views(wrap=True).layout(50, 7).views == (View(0, 50, 0, 7),)


def test_a_panorama_may_begin_anywhere() -> None:
    assert Views(wrap=True).layout(50, 7, 3).views == (View(0, 50, 0, 7),)
    assert Views(wrap=True).layout(50, 80, 70).views == (View(0, 50, 60, 160),)
    layout = Views(60, 10, wrap=True).layout(2, 80, 70)
    assert layout.views == (View(0, 2, 60, 120), View(0, 2, 100, 160))
    assert [next(layout.runs(view))[0] for view in layout.views] == [slice(60, 80), slice(20, 80)]


def test_a_panorama_begins_where_its_columns_differ_least() -> None:
    row = [0, 9, 9, 9, 8, 8, 8, 8, 0, 5, 0, 5, 0, 5, 0, 5]  # an eighth is 2: five steps count around each column
    image = np.array([row] * 3, np.uint8)
    assert calmest_column(image) == 5  # the steps into columns 3..7 are 0 1 0 0 0
    assert calmest_column(np.dstack([image] * 3)) == 5


@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_where_a_panorama_begins_rolls_with_it(seed: int, shift: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 4, (2, int(rng.integers(8, 30))), np.uint8)
    mirrored = np.hstack([image, image[:, ::-1]])
    for panorama in (image, mirrored):
        begin = calmest_column(panorama)
        rolled = calmest_column(np.roll(panorama, shift, axis=1))
        unrolled = np.roll(panorama, -begin, axis=1), np.roll(np.roll(panorama, shift, axis=1), -rolled, axis=1)
        assert np.array_equal(*(np.diff(u, axis=1, append=u[:, :1]) for u in unrolled))
    assert calmest_column(np.full((2, 24), 7, np.uint8)) == 0


def test_a_view_that_runs_past_the_sides_sees_the_other_side() -> None:
    image = np.arange(3 * 8).reshape(3, 8)
    layout = Layout(3, 8, True, ())
    assert layout.cut(image, View(1, 3, -2, 9)).tolist() == [
        [14, 15, 8, 9, 10, 11, 12, 13, 14, 15, 8], [22, 23, 16, 17, 18, 19, 20, 21, 22, 23, 16],
    ]  # fmt: skip
    assert np.shares_memory(layout.cut(image, View(0, 2, 3, 8)), image)


@given(
    st.integers(1, 40), st.integers(1, 60), st.none() | st.integers(1, 45), st.integers(0, 44), st.booleans()
)  # fmt: skip
def test_every_pixel_is_owned_once_and_only_where_no_other_view_sees_it_from_farther_inside(
    height: int, width: int, tile: int | None, overlap: int, wrap: bool
) -> None:
    overlap = overlap if tile is None else min(overlap, tile - 1)
    layout = Views(tile, overlap, wrap).layout(height, width)
    if len(layout.views) > 40:
        return
    owners = np.zeros((height, width), int)
    depths = np.full((height, width), -1.0)
    owned_depths = np.full((height, width), -1.0)
    for i, view in enumerate(layout.views):
        owned = layout.owned(i)
        for y in range(view.top, view.bottom):
            for x in range(view.left, view.right):
                depth = oracle_views.depth(view, y, x, height, width, wrap)
                depths[y, x % width] = max(depths[y, x % width], depth)
                if owned[y - view.top, x - view.left]:
                    owners[y, x % width] += 1
                    owned_depths[y, x % width] = depth
    assert (owners == 1).all()
    assert np.array_equal(depths, owned_depths)


# -- joining by hand


def test_two_tiles_share_a_band() -> None:
    layout = Views(32, 16).layout(8, 48)  # columns 0..32 and 16..48; those from 16 to 24 belong to the first
    left = entity_map(block((1, 8), (2, 20), (0, 4)), [0.9, 0.5], [(3, 4), (10, 2)])
    right = entity_map(block((2, 12), (0, 8), (1, 12)), [0.8, 0.7], [(20, 1), (5, 5)])
    found = put_together(layout, [left, right])  # label 2 of both: 12 of 12 columns
    assert found["labels"].tolist() == block((1, 8), (3, 20), (0, 8), (2, 12)).tolist()
    assert found["areas"].tolist() == [64, 96, 160]
    assert found["boxes"].tolist() == [[0, 0, 8, 8], [36, 0, 48, 8], [8, 0, 28, 8]]
    assert found["points"].tolist() == [[3, 4], [36, 1], [10, 2]]
    # of its 20 columns the left member owns 16, the right one 4
    assert found["scores"].tolist() == [
        np.float32(0.9),
        np.float32(0.8),
        np.float32((16 * 0.5 + 4 * np.float32(0.7)) / 20),
    ]
    assert found["stability"].tolist() == [np.float32(0.45), np.float32(0.4), 0.25]


def test_members_beyond_the_limit_are_refused_with_the_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "MAX_LABELS", 3)
    canvas = Canvas(Views(32, 16).layout(8, 48))
    canvas.add(entity_map(block((1, 8), (2, 24))))
    message = "the tiles must have at most 3 entities in all, got more after 2 of 2; larger tiles or a larger min_reg"
    with pytest.raises(ValueError, match=message):
        canvas.add(entity_map(block((1, 8), (2, 24))))


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (((1, 8),), ((1, 8),), True),
        (((1, 8), (0, 4)), ((0, 4), (1, 8)), False),  # 4 columns of 12
        (((1, 9), (0, 3)), ((0, 3), (1, 9)), False),  # 6 of 12: an IoU of 0.5 does not exceed it
        (((1, 10), (0, 3)), ((0, 3), (1, 10)), True),  # 7 of 13
        (((1, 4), (2, 4)), ((1, 8),), False),  # 4 of 8
        (((1, 5), (2, 3)), ((1, 8),), True),
    ],
)
def test_entities_are_the_same_when_more_than_half_of_what_both_views_saw_is_common(
    left: tuple[tuple[int, int], ...], right: tuple[tuple[int, int], ...], same: bool
) -> None:
    a, b = block(*left, height=16), block(*right, height=16)
    size = max(a.shape[1], b.shape[1])
    a, b = (np.pad(x, ((0, 0), (0, size - x.shape[1]))).astype(np.int32) for x in (a, b))
    areas = np.array([10**6, 10**6])
    assert same_entities(a, b, areas, areas).tolist() == ([[0, 0]] if same else [])
    assert same_entities(b, a, areas, areas).tolist() == ([[0, 0]] if same else [])


def test_parts_under_64_pixels_join_only_whole_entities() -> None:
    part = np.ones((7, 9), np.int32)  # 63 pixels
    whole, more, enough = np.array([63]), np.array([64]), np.ones((8, 8), np.int32)
    assert same_entities(part, part, more, more).tolist() == []
    assert same_entities(part, part, whole, more).tolist() == []
    assert same_entities(part, part, more, whole).tolist() == []
    assert same_entities(part, part, whole, whole).tolist() == [[0, 0]]
    assert same_entities(enough, enough, np.array([99]), np.array([99])).tolist() == [[0, 0]]
    larger = np.pad(part, ((0, 1), (0, 0)), constant_values=1)  # 72 pixels, of more
    assert same_entities(larger, np.pad(part, ((0, 1), (0, 0))), np.array([99]), whole).tolist() == [[0, 0]]


def test_views_without_entities() -> None:
    layout = Views(32, 16).layout(8, 48)
    nothing = np.zeros((8, 32), np.int32)
    found = put_together(layout, [entity_map(nothing), entity_map(nothing)])
    assert not found["labels"].any()
    assert [len(found[name]) for name in ("scores", "areas", "boxes", "points", "stability")] == [0] * 5
    found = put_together(layout, [entity_map(nothing), entity_map(block((1, 32)))])
    assert found["labels"].tolist() == block((0, 24), (1, 24)).tolist()


def test_a_pixel_seen_twice_is_the_earlier_views_where_both_borders_are_as_far() -> None:
    layout = Views(5, 3).layout(1, 7)  # columns 0..5 and 2..7: column 3 is one step from either border
    found = put_together(layout, [entity_map(np.full((1, 5), 1)), entity_map(np.full((1, 5), 1), [0.4])])
    assert found["labels"].tolist() == [[1, 1, 1, 1, 2, 2, 2]]


def test_what_owns_nothing_is_dropped_and_ties_go_by_the_first_pixel() -> None:
    layout = Views(32, 16).layout(8, 48)
    left = entity_map(block((0, 26), (1, 6)), [0.9])  # seen only where the right tile decides
    right = entity_map(block((0, 14), (2, 9), (1, 9)))
    found = put_together(layout, [left, right])
    assert found["labels"].tolist() == block((0, 30), (1, 9), (2, 9)).tolist()
    assert found["scores"].tolist() == [0.5, 0.5]


def test_joining_is_transitive() -> None:
    layout = Views(32, 16).layout(8, 64)  # three tiles: 0..32, 16..48, 32..64
    whole = entity_map(block((1, 32)), [0.25])
    found = put_together(layout, [whole, whole, whole])
    assert found["labels"].tolist() == block((1, 64)).tolist()
    assert found["scores"].tolist() == [0.25]
    assert connected(6, np.array([[4, 5], [3, 4], [2, 3], [0, 5]])).tolist() == [0, 1, 0, 0, 0, 0]
    assert connected(3, np.zeros((0, 2), np.int64)).tolist() == [0, 1, 2]
    chain = np.stack([np.arange(999), np.arange(1, 1000)], axis=1)
    assert not connected(1000, np.random.default_rng(0).permutation(chain)).any()


def test_what_crosses_the_seam_of_a_panorama_is_one_entity_in_one_box() -> None:
    layout = Views(wrap=True).layout(8, 64)  # one view: columns -8..72
    # An entity from column 58 to 70, which is 6; one at the middle. The left copy, at -6, is cut at the other end.
    labels = block((0, 2), (1, 12), (0, 20), (2, 10), (0, 22), (3, 12), (0, 2))
    found = put_together(layout, [entity_map(labels, [0.5, 0.75, 0.25], [(4, 4), (35, 2), (67, 3)])])
    assert found["labels"].tolist() == block((2, 6), (0, 20), (1, 10), (0, 22), (2, 6)).tolist()
    assert found["boxes"].tolist() == [[26, 0, 36, 8], [0, 0, 64, 8]]
    assert found["scores"].tolist() == [0.75, 0.375]  # each copy owns its half
    assert found["points"].tolist() == [[27, 2], [60, 4]]  # column 4 of the view is column -4


def test_a_point_just_left_of_column_0_stays_in_the_image() -> None:
    layout = Views(wrap=True).layout(8, 1024)
    labels = np.ones((8, 1280), np.int32)
    found = put_together(layout, [entity_map(labels, [0.5], [(np.nextafter(np.float32(128), np.float32(0)), 0)])])
    assert found["points"].tolist() == [[0, 0]]


# -- against the oracle


@pytest.mark.parametrize("seed", range(24))
def test_random_views_equal_the_oracle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = int(rng.integers(20, 40)), int(rng.integers(24, 56))
    tile = None if seed % 6 == 5 else int(rng.integers(14, 40))
    views = Views(tile, 5 if tile is None else int(rng.integers(0, tile - 5)), bool(tile is None or seed % 2))
    layout = views.layout(height, width, int(rng.integers(width)))
    truth = voronoi((height, width), int(rng.integers(2, 9)), rng)
    maps, seen = [], []
    for view in layout.views:
        labels = layout.cut(truth, view).copy()
        labels[rng.random(labels.shape) < 0.05] = truth.max() + 1
        split = int(rng.integers(labels.shape[1]))
        labels[:, split:] += rng.integers(0, 2) * 20  # what one view sees as one, another may see as two
        number = rng.permutation(60)
        labels = np.unique(number[labels], return_inverse=True)[1].reshape(labels.shape)  # one of them becomes 0
        k = labels.max()
        scores = np.sort(rng.integers(0, 4, k).astype(np.float32) / 4 + np.float32(0.1))[::-1]
        points = rng.uniform(0, labels.shape[::-1], (k, 2)).astype(np.float32)
        maps.append(entity_map(labels, scores, points))
        seen.append(oracle_views.Seen(view, labels, scores, points, scores / 2))
    found, expected = put_together(layout, maps), oracle_views.joined(seen, height, width, views.wrap)
    for name, value in expected.items():
        assert np.array_equal(found[name], value), name
