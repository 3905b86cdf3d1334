"""Tiles and panoramas from image to map: with a segmenter that never errs, one that does, and a real one."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from painted import Painted, painted
from scene import scene as still_life
from synthetic import voronoi

from esam_fast import EmrConfig, EntityMap, Esam, EsamConfig, MmgConfig, PointMasks, load_segmenter
from esam_fast.evaluate.simulated import SimulatedSegmenter
from esam_fast.ops import measure_labels
from esam_fast.pipeline import STAGES
from esam_fast.views.windows import Views

CONFIG = EsamConfig(MmgConfig(points_per_side=16), EmrConfig(points_per_side=24))


def consistent(found: EntityMap, shape: tuple[int, int]) -> None:
    """Labels 1..K by score, ties by the first pixel in raster order; areas and boxes those of the labels."""
    k = len(found)
    assert found.labels.shape == shape
    assert found.labels.dtype == np.int32
    labels, first = np.unique(found.labels, return_index=True)
    first = first[labels > 0]
    assert labels[labels > 0].tolist() == list(range(1, k + 1))
    assert np.array_equal(np.lexsort((first, -found.scores)), np.arange(k))
    areas, boxes = measure_labels(found.labels, k)
    assert np.array_equal(found.areas, areas)
    assert np.array_equal(found.boxes, boxes)
    assert found.scores.dtype == found.stability.dtype == found.points.dtype == np.float32
    assert found.areas.dtype == np.int64
    assert found.boxes.dtype == np.int32
    assert found.points.shape == (k, 2)
    assert (found.points >= 0).all()
    assert (found.points < shape[::-1]).all()


def scene() -> np.ndarray:
    """int64 [90, 128]: sky and ground from side to side, and things that lie across borders and the seam."""
    labels = np.zeros((90, 128), np.int64)
    labels[52:] = 1
    for k, (y, x, h, w) in enumerate(
        [(10, 12, 14, 18), (30, 40, 30, 12), (60, 70, 12, 30), (8, 90, 20, 20), (70, 4, 14, 40)], start=2
    ):
        labels[y : y + h, x : x + w] = k
    labels[40:66, -10:] = labels[40:66, :8] = 7  # across the seam
    return labels


def partition(labels: np.ndarray) -> np.ndarray:
    """Labels numbered by their first pixel: equal for equal partitions."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].reshape(labels.shape)


@pytest.mark.parametrize(
    "arguments",
    [
        {"tile": 48, "overlap": 20}, {"tile": 64, "overlap": 32}, {"tile": 100, "overlap": 24}, {"wrap": True},
        {"tile": 64, "overlap": 24, "wrap": True}, {"tile": 200, "wrap": True, "overlap": 0},
    ],
)  # fmt: skip
def test_a_painted_scene_comes_back_whole(arguments: dict[str, Any]) -> None:
    truth = scene()
    if not arguments.get("wrap"):
        truth[40:66, -10:] = 8  # two things at either side
    found = Esam(Painted(), CONFIG).segment(painted(truth), **arguments)
    assert np.array_equal(partition(found.labels), partition(truth))
    consistent(found, truth.shape)
    assert found.grid is None
    assert found.stages is None


@pytest.mark.parametrize("shift", [1, 31, 64, 100])
def test_a_rolled_panorama_gives_the_rolled_map(shift: int) -> None:
    truth = np.roll(scene(), shift, axis=1)
    for arguments in ({}, {"tile": 64, "overlap": 24}):
        found = Esam(Painted(), CONFIG).segment(painted(truth), wrap=True, **arguments)
        assert np.array_equal(partition(found.labels), partition(truth))


@pytest.mark.parametrize("width", [1, 7, 8, 9])
def test_narrow_panoramas(width: int) -> None:
    truth = np.repeat([0, 1], 20)[:, None].repeat(width, axis=1)
    found = Esam(Painted(), replace(CONFIG, min_area=0)).segment(painted(truth), wrap=True)
    assert np.array_equal(partition(found.labels), truth)


@pytest.mark.parametrize("arguments", [{"tile": 128}, {"tile": 4000, "overlap": 3999}, {"tile": 128, "wrap": True}])
def test_a_tile_that_holds_the_image_changes_nothing(arguments: dict[str, Any]) -> None:
    image, esam = painted(scene()), Esam(Painted(), CONFIG)
    arguments = {"overlap": 16, **arguments}
    found, plain = esam.segment(image, **arguments), esam.segment(image, wrap=arguments.get("wrap", False))
    for name in ("labels", "scores", "areas", "boxes", "points", "stability", "prompts"):
        assert np.array_equal(getattr(found, name), getattr(plain, name)), name
    assert found.grid is None
    assert [name for name, _, _ in found.spans] == [name for name, _, _ in plain.spans]


def test_progress_is_told_tile_by_tile_and_may_end_the_work() -> None:
    image, esam, told = painted(scene()), Esam(Painted(), CONFIG), []
    esam.segment(image, tile=80, overlap=32, progress=lambda *counts: told.append(counts))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]

    def enough(done: int, total: int) -> None:
        told.append(done)
        raise TimeoutError

    with pytest.raises(TimeoutError):
        esam.segment(image, tile=80, overlap=32, progress=enough)
    assert told[4:] == [1]


def test_prompts_and_times_are_sums_over_views() -> None:
    image, esam = painted(scene()), Esam(Painted(), CONFIG)
    views = Views(80, 32).layout(*image.shape[:2])
    alone = [esam.segment(views.cut(image, view)) for view in views.views]
    assert len(alone) == 4
    found = esam.segment(image, tile=80, overlap=32)
    assert found.prompts == {name: sum(r.prompts[name] for r in alone) for name in ("mmg", "gallery", "usr")}
    assert set(found.timings) == {*STAGES, "total"}
    assert sum(found.timings[s] for s in STAGES) <= found.timings["total"]
    stages = [name for name, _, _ in found.spans]
    assert stages.count("embed") == 4
    assert stages.count("draw") == 9  # each view's own, put on the map, and the end
    begins = [begin for _, begin, _ in found.spans]
    assert begins == sorted(begins)


@pytest.mark.parametrize("form", ["gray", "rgba", "channels first", "uint16", "float", "read-only", "flipped"])
def test_tiles_of_any_array_equal_those_of_its_rgb(form: str) -> None:
    from esam_fast.images import as_rgb

    image = painted(scene())
    given = {
        "gray": image[..., 0],
        "rgba": np.dstack([image, np.where(scene() == 3, 90, 255).astype(np.uint8)]),
        "channels first": image.transpose(2, 0, 1),
        "uint16": image.astype(np.uint16) * 257,
        "float": image / np.float32(255),
        "read-only": image.copy(),
        "flipped": image[::-1],
    }[form]
    given.flags.writeable = form != "read-only"
    before, esam = given.copy(), Esam(Painted(), CONFIG)
    found, expected = (esam.segment(x, tile=64, overlap=32) for x in (given, as_rgb(given)))
    assert np.array_equal(found.labels, expected.labels)
    assert np.array_equal(given, before)


class Reading(Painted):
    """A simulated SAM that reads the truth from the colours of what it is shown: it errs in each view anew."""

    name, score_threshold, stability_threshold = "reading", 0.88, 0.95

    def embed(self, image: np.ndarray) -> Any:
        labels = np.unique(image.reshape(-1, 3), axis=0, return_inverse=True)[1].reshape(image.shape[:2])
        self.one = SimulatedSegmenter((labels + 1).astype(np.int32), str(image.sum()))
        return self.one.embed(image)

    def masks(self, embedding: Any, points: np.ndarray, *, min_score: float | None = None) -> PointMasks:
        return self.one.masks(embedding, points, min_score=min_score)

    def logits(self, embedding: Any, points: np.ndarray, channels: np.ndarray) -> np.ndarray:
        return self.one.logits(embedding, points, channels)


@pytest.mark.parametrize("arguments", [{"tile": 120}, {"wrap": True}, {"tile": 120, "wrap": True}])
def test_a_map_from_faulty_views_is_consistent(arguments: dict[str, Any]) -> None:
    truth = voronoi((120, 180), 20, np.random.default_rng(5))
    arguments = {"overlap": 40, **arguments}
    found = Esam(Reading(), CONFIG).segment(painted(truth), **arguments)
    consistent(found, truth.shape)
    assert len(found) > 10


def best_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over the pixels that `a` labels of the best IoU of their entity with one of `b`."""
    both = np.bincount((a * (b.max() + 1) + b).ravel(), minlength=(a.max() + 1) * (b.max() + 1))
    both = both.reshape(a.max() + 1, -1)
    size = both.sum(1)
    iou = both / np.maximum(1, size[:, None] + both.sum(0) - both)
    return float((iou[1:, 1:].max(1) * size[1:]).sum() / size[1:].sum())


@pytest.mark.parametrize("seed", [1, 2])
def test_what_spans_all_tiles_is_one_entity_though_views_err(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = (np.arange(300)[:, None] > 140 + 8 * np.sin(np.arange(400) / 30)).astype(np.int64)  # sky and ground
    y, x = np.ogrid[:300, :400]
    for k, (top, left) in enumerate(rng.integers(0, (280, 380), (24, 2)).tolist(), start=2):
        truth[((y - top) / rng.integers(6, 18)) ** 2 + ((x - left) / rng.integers(6, 18)) ** 2 < 1] = k
    found = Esam(Reading(), CONFIG).segment(painted(truth), tile=160, overlap=64)
    for spanning in (0, 1):
        assert best_iou(np.where(truth == spanning, 1, 0), found.labels) > 0.8


def test_pictures_side_by_side_give_about_what_each_gives_alone() -> None:
    esam, pictures = Esam(load_segmenter("regions")), [still_life(300, 200, seed) for seed in range(4)]
    alone = [esam.segment(picture) for picture in pictures]
    mosaic = np.vstack([np.hstack(pictures[:2]), np.hstack(pictures[2:])])
    found = esam.segment(mosaic, tile=300, overlap=100)
    consistent(found, mosaic.shape[:2])
    number = sum(map(len, alone))
    assert 0.9 * number < len(found) < 1.1 * number
    agreement = [best_iou(one.labels, found.labels[y : y + 200, x : x + 300])
             for one, (y, x) in zip(alone, [(0, 0), (0, 300), (200, 0), (200, 300)], strict=True)]  # fmt: skip
    assert min(agreement) > 0.9


@pytest.mark.parametrize("arguments", [{}, {"tile": 256, "overlap": 64}])
@pytest.mark.parametrize("shift", [200, 300])
def test_a_rolled_picture_gives_the_rolled_map_whatever_the_segmenter(arguments: dict[str, Any], shift: int) -> None:
    picture = still_life(300, 200, 1)
    panorama = np.hstack([picture, picture[:, ::-1]])
    esam = Esam(load_segmenter("regions"))
    found = esam.segment(panorama, wrap=True, **arguments)
    rolled = esam.segment(np.roll(panorama, shift, axis=1), wrap=True, **arguments)
    consistent(found, panorama.shape[:2])
    assert best_iou(found.labels, np.roll(rolled.labels, -shift, axis=1)) > 0.95


def test_memory_is_bounded_by_a_view_and_one_label_map() -> None:
    side, height = 256, 8000
    row = painted(voronoi((1, side), 6, np.random.default_rng(1)))
    image = np.broadcast_to(row, (height, side, 3))  # 6 MB, were it copied
    esam = Esam(Painted(), replace(CONFIG, mmg=MmgConfig(points_per_side=4), emr=EmrConfig(enabled=False)))
    esam.segment(image[:side])
    tracemalloc.start()
    try:
        esam.segment(image[:side])
        of_a_view = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        found = esam.segment(image, tile=side, overlap=64)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found) == 6
    assert peak < found.labels.nbytes + of_a_view + 1_000_000, (peak, of_a_view)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tile": 0}, ValueError, "tile must be at least 1, got 0"),
        ({"tile": 2.0}, TypeError, "tile must be a whole number, got float"),
        ({"tile": True}, TypeError, "tile must be a whole number, got bool"),
        ({"tile": 100, "overlap": 100}, ValueError, "overlap must be less than tile, 100, got 100"),
        ({"tile": 100}, ValueError, "overlap must be less than tile, 100, got 256"),
        ({"tile": 100, "overlap": -1}, ValueError, "overlap must be at least 0, got -1"),
        ({"overlap": "1"}, TypeError, "overlap must be a whole number, got str"),
        ({"wrap": 1}, TypeError, "wrap must be True or False, got int"),
        ({"progress": 1}, TypeError, "progress must be None or callable, got int"),
        ({"wrap": True, "keep_stages": True}, ValueError, "keep_stages must be False with tile or wrap, got True"),
        ({"tile": 300, "keep_stages": True}, ValueError, "keep_stages must be False with tile or wrap, got True"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Esam(Painted()).segment(np.zeros((4, 4, 3), np.uint8), **arguments)
