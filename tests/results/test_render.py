"""Pictures: right size, right colours, inputs untouched, nothing special for odd shapes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tifffile
from entity_maps import IMAGE, blobs, entity_map, staged, three_steps
from scene import scene

from esam_fast import PackedMasks, render
from esam_fast.images import open_image
from esam_fast.render import entity_colours, large, overlay, steps, strip
from esam_fast.render.drawing import text
from esam_fast.render.panels import MARKS
from esam_fast.render.stages import enlarged, stages_of

LABELS = blobs(120, 180, 30)


def lab(colours):
    return cv2.cvtColor(np.asarray(colours, np.float32)[None] / 255, cv2.COLOR_RGB2Lab)[0]


def test_overlay_leaves_its_arguments_alone():
    image, labels = IMAGE.copy(), LABELS.copy()
    picture = overlay(image, labels, ids=True)
    assert picture.dtype == np.uint8
    assert picture.shape == IMAGE.shape
    np.testing.assert_array_equal(image, IMAGE)
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_array_equal(picture, overlay(IMAGE, LABELS, ids=True))


def test_large_images_are_reduced_by_a_whole_number(monkeypatch):
    monkeypatch.setattr(large, "_BLOCK", 500)
    image = np.random.default_rng(4).integers(0, 256, (61, 83, 3), np.uint8)
    labels = blobs(61, 83, 9)
    monkeypatch.setattr(large, "LARGE", 82)
    monkeypatch.setattr(large, "SIDE", 30)
    small, sparse = large.reduced(image, labels)  # by 3: a side of 27, and 2 columns and 1 row are left over
    assert small.shape == (20, 27, 3)
    means = image[:60, :81].reshape(20, 3, 27, 3, 3).mean(axis=(1, 3))
    assert np.abs(small - means).max() <= 0.5
    np.testing.assert_array_equal(sparse, labels[1:60:3, 1:81:3])
    np.testing.assert_array_equal(overlay(image, labels), overlay(small, sparse))
    assert render.colour_map(labels).shape == (20, 27, 3)
    colours = entity_colours(image, labels)
    np.testing.assert_array_equal(entity_colours(image, labels, like=(labels, colours)), colours)
    monkeypatch.setattr(large, "LARGE", 83)
    assert overlay(image, labels).shape == image.shape


@pytest.mark.parametrize("shape", [(1, 100), (100, 1), (3, 100)])
def test_narrow_images_are_reduced_too(shape, monkeypatch):
    monkeypatch.setattr(large, "LARGE", 99)
    monkeypatch.setattr(large, "SIDE", 10)
    image, labels = np.full((*shape, 3), 9, np.uint8), np.ones(shape, np.int32)
    small, sparse = large.reduced(image, labels)
    assert small.shape[:2] == sparse.shape == tuple(max(1, n // 10) for n in shape)
    assert (small == 9).all()


def test_an_image_read_by_windows_is_drawn_as_the_whole(tmp_path, monkeypatch):
    image = np.random.default_rng(4).integers(0, 256, (61, 83, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, tile=(16, 16))
    labels = blobs(61, 83, 9)
    for side in (100, 30):
        monkeypatch.setattr(large, "LARGE", side)
        monkeypatch.setattr(large, "SIDE", side)
        np.testing.assert_array_equal(overlay(open_image(tmp_path / "a.tif"), labels), overlay(image, labels))
    entities, windows = entity_map(labels), open_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(entities.plot(windows), entities.plot(image))
    for label in (1, 9):
        np.testing.assert_array_equal(entities.cutout(windows, label), entities.cutout(image, label))
    with pytest.raises(ValueError, match=r"image must have shape \[61, 82, 3\], got \[61, 83, 3\]"):
        entity_map(labels[:, 1:]).plot(windows)


def test_read_only_arguments():
    image, labels = IMAGE.copy(), LABELS.copy()
    image.flags.writeable = labels.flags.writeable = False
    np.testing.assert_array_equal(overlay(image, labels, ids=True), overlay(IMAGE, LABELS, ids=True))


def test_inside_an_entity_the_picture_is_the_mix():
    labels = np.ones((40, 60), np.int32)
    labels[:, 30:] = 2
    image = np.full((40, 60, 3), 100, np.uint8)
    for alpha in (0.0, 0.5, 1.0):
        picture = overlay(image, labels, alpha=alpha)
        expected = 100 * (1 - alpha) + alpha * entity_colours(image, labels)[2].astype(float)
        assert np.abs(picture[:, 40:] - expected).max() <= 1


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_between_entities_there_is_a_thin_line_that_shows_on_any_ground(ground):
    labels = np.ones((40, 60), np.int32)
    labels[:, 30:] = 2
    row = overlay(np.full((40, 60, 3), ground, np.uint8), labels, alpha=0)[20, :, 0].astype(int)
    line = row[26:34]
    assert line[3] > 200  # white ...
    assert line.min() < 140  # ... beside dark
    assert abs(row - ground)[:26].max() == abs(row - ground)[34:].max() == 0


@pytest.mark.parametrize("ground", [0, 255])
def test_uncovered_pixels_are_gray_dim_and_hatched(ground):
    labels = np.zeros((60, 90), np.int32)
    labels[20:40, 20:40] = 1
    image = np.full((60, 90, 3), (ground, 100, 50), np.uint8)
    corner = overlay(image, labels)[:15, :15].astype(int)
    assert (corner == corner[..., :1]).all()
    dark, light = corner.min(), corner.max()
    assert light - dark == 70
    assert light < 200
    np.testing.assert_array_equal(corner[1:, :-1], corner[:-1, 1:])  # constant along one diagonal


def test_a_label_has_one_colour_in_overlay_and_steps():
    labels = np.zeros((400, 1500), np.int32)  # so large that panels are shrunk
    labels[:200, :700], labels[:200, 700:], labels[200:, 300:1200] = 1, 2, 3
    image = np.full((400, 1500, 3), 90, np.uint8)
    image[:, :500] = (200, 40, 40)
    order = [2, 3, 1]
    masks = PackedMasks.from_bool(np.stack([labels[::10, ::10] == label for label in order]))
    small = render.shrunk(image, 300)
    colours = entity_colours(image, labels)
    for stage in stages_of(staged(labels, masks, masks, masks), colours, small):
        np.testing.assert_array_equal(stage.colours[1:], colours[order])


@pytest.mark.parametrize("count", [2, 30, 150])
def test_neighbours_have_distinct_colours(count):
    labels = blobs(300, 400, count, seed=count)
    colours = lab(entity_colours(np.full((300, 400, 3), 128, np.uint8), labels))
    touching = set()
    for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        touching |= set(zip(a[a != b].tolist(), b[a != b].tolist(), strict=True))
    distances = [np.linalg.norm(colours[a] - colours[b]) for a, b in touching if a and b]
    assert min(distances) > 25


def test_neighbours_look_distinct_whatever_lies_below():
    labels = blobs(300, 400, 60)
    image = np.random.default_rng(0).integers(0, 256, (61, 3), np.uint8)[labels]
    colours = lab(
        0.5 * image.reshape(-1, 3)[np.unique(labels, return_index=True)[1]] + 0.5 * entity_colours(image, labels)
    )
    across = (labels[:, 1:] != labels[:, :-1]) & (labels[:, 1:] > 0) & (labels[:, :-1] > 0)
    assert np.linalg.norm(colours[labels[:, 1:][across]] - colours[labels[:, :-1][across]], axis=1).min() > 12


def test_many_entities_use_many_colours():
    assert len(np.unique(entity_colours(scene(400, 300), blobs(300, 400, 150)), axis=0)) >= 30


def test_ids_are_written_inside_their_entities():
    labels = np.ones((200, 300), np.int32)
    labels[50:150, 150:] = 2
    image = np.full((200, 300, 3), 120, np.uint8)
    plain, written = overlay(image, labels), overlay(image, labels, ids=True)
    y, x = np.nonzero((plain != written).any(2))
    assert set(labels[y, x]) == {1, 2}
    two = labels[y, x] == 2
    assert abs(y[two].mean() - 100) < 20
    assert abs(x[two].mean() - 225) < 35


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (2, 3)])
@pytest.mark.parametrize("filled", [0, 1])
def test_odd_shapes(shape, filled):
    labels = np.full(shape, filled, np.int32)
    image = np.zeros((*shape, 3), np.uint8)
    assert overlay(image, labels, ids=True).shape == (*shape, 3)
    assert strip(image, {"a": labels, "b": np.zeros((2, *shape), np.bool_)}).dtype == np.uint8


def test_more_labels_than_colours():
    labels = np.arange(70_000, dtype=np.int32).reshape(250, 280)
    assert overlay(np.zeros((250, 280, 3), np.uint8), labels, ids=True).shape == (250, 280, 3)


def test_strip_puts_panels_side_by_side():
    masks = np.stack([k == LABELS for k in range(1, 31)])
    one = strip(IMAGE, {"labels": LABELS})
    two = strip(IMAGE, {"masks": masks, "labels": LABELS})
    assert two.shape[0] == one.shape[0]
    assert two.shape[1] * 2 == one.shape[1] * 3


def test_strip_is_of_bounded_size():
    image = np.zeros((1500, 3000, 3), np.uint8)
    height, width, _ = strip(image, {"a": np.ones((1500, 3000), np.int32)}).shape
    assert width <= 2 * (render.PANEL + 8)
    assert height <= render.PANEL / 2 + 60


def test_masks_and_labels_of_one_result_look_alike():
    labels = np.zeros((120, 180), np.int32)
    labels[10:60, 10:90], labels[50:110, 100:170] = 1, 2
    masks = np.stack([labels == 2, labels == 1])
    picture = strip(IMAGE, {"masks": masks, "labels": labels})
    third = picture.shape[1] // 3
    np.testing.assert_allclose(picture[40:, third : 2 * third].astype(int), picture[40:, 2 * third :], atol=2)


def test_overlapping_masks_are_striped_in_both_colours():
    masks = np.zeros((2, 60, 90), np.bool_)
    masks[0, 10:40, 10:60] = masks[1, 20:50, 30:80] = True
    picture = strip(np.zeros((60, 90, 3), np.uint8), {"masks": masks})[:, 98:]
    bottom = picture.shape[0] - 4 - 60
    first, both, second = (
        {tuple(pixel) for pixel in picture[bottom + 25 : bottom + 35, 4 + x : 14 + x].reshape(-1, 3).tolist()}
        for x in (15, 40, 65)
    )
    assert len(first) == len(second) == 1
    assert both == first | second


def test_stages_by_hand():
    find, refine, complete = stages_of(three_steps(), np.zeros((6, 3), np.uint8), IMAGE)
    assert find.counts == {"masks": 4}
    assert refine.counts == {"split": 1, "merged": 1}
    assert refine.changed == {"split": (1, 2), "merged": (3,)}
    assert complete.counts == {"added": 1}
    assert complete.changed == {"added": (5,)}
    assert {(int(a), int(b)) for a, b in zip(find.labels[find.under > 0], find.under[find.under > 0], strict=True)} == {
        (1, 4)
    }


def test_steps():
    picture = steps(IMAGE, three_steps())
    assert picture.shape[1] == 4 * (180 + 8)


def test_what_a_step_changed_is_outlined_in_its_colour():
    picture = steps(IMAGE, three_steps())
    panels = np.split(picture[30:150], 4, axis=1)
    split, merged, added = (
        (np.abs(np.stack(panels).astype(int) - MARKS[word]).max(-1) < 2).sum((1, 2)) for word in MARKS
    )
    assert split[:2].sum() == split[3] == merged[:2].sum() == merged[3] == added[:3].sum() == 0
    assert min(split[2], merged[2], added[3]) > 100


def test_a_step_that_changed_nothing_looks_like_the_one_before():
    masks = PackedMasks.from_bool(np.stack([k == LABELS[::6, ::6] for k in range(1, 31)]))
    find, refine, complete = np.split(steps(IMAGE, staged(LABELS, masks, masks, masks)), 4, axis=1)[1:]
    end = 120 + (find.shape[0] - 120) // 2  # the titles apart
    np.testing.assert_array_equal(find[end - 90 : end], refine[end - 90 : end])
    np.testing.assert_array_equal(refine[end - 90 : end], complete[end - 90 : end])


def test_steps_without_stages():
    with pytest.raises(ValueError, match="entities must hold the masks of its stages, got None"):
        steps(IMAGE, entity_map(LABELS))


def test_enlarged_borders_are_smooth():
    small = np.ones((8, 8), np.int32)
    small[np.tril_indices(8)] = 2
    large = enlarged(small, np.zeros((80, 80, 3), np.uint8))
    assert set(np.unique(large)) == {1, 2}
    stairs = np.kron(small, np.ones((10, 10), np.int32))
    border = [np.diff((labels == 2).sum(axis=1)) for labels in (large, stairs)]
    assert border[1].max() == 10
    assert border[0][:-10].max() <= 2  # the rim apart


def test_a_zero_is_not_an_eight():
    zero, eight = text("0", 40), text("8", 40)
    assert (
        zero[zero.shape[0] // 2 - 5 : zero.shape[0] // 2 + 5, zero.shape[1] // 2 - 3 : zero.shape[1] // 2 + 3].max()
        == 0
    )
    assert eight[:, eight.shape[1] // 2].max() == 255
