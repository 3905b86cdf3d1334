"""Esam as a user meets it: what comes out, what is refused, and what never happens to the input."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from synthetic import GRIDS, SyntheticSegmenter
from waiting import PATIENCE

from esam_fast import (
    BackendUnavailable,
    EmrConfig,
    Esam,
    EsamConfig,
    MaskGrid,
    MmgConfig,
    PackedMasks,
    PointMasks,
    superpixels,
)
from esam_fast.pipeline import STAGES

CONFIG = EsamConfig(MmgConfig(points_per_side=12), EmrConfig(points_per_side=20))


@pytest.fixture(scope="module")
def segmenter() -> SyntheticSegmenter:
    return SyntheticSegmenter(seed=3)


def test_the_entity_map_is_consistent(segmenter: SyntheticSegmenter) -> None:
    image = segmenter.image()
    found = Esam(segmenter, CONFIG).segment(image, keep_stages=True)
    k = len(found)
    assert k > 5
    assert found.labels.shape == image.shape[:2]
    assert found.labels.dtype == np.int32
    assert found.scores.dtype == np.float32
    assert found.areas.dtype == np.int64
    assert found.boxes.dtype == np.int32
    assert set(np.unique(found.labels)) <= set(range(k + 1))
    assert (np.diff(found.scores) <= 0).all()
    for label in range(1, k + 1):
        y, x = np.nonzero(found.mask(label))
        assert found.areas[label - 1] == len(y) > 0
        assert found.boxes[label - 1].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
    assert set(found.timings) == {*STAGES, "total"}
    assert sum(found.timings[s] for s in STAGES) <= found.timings["total"]
    assert set(found.stages) == {"mmg", "part", "subpart", "emr", "usr"}
    for disjoint in (found.stages["emr"], found.stages["usr"]):
        assert disjoint.to_bool().sum(0).max() == 1
    assert (found.points >= 0).all()
    assert (found.points < (image.shape[1], image.shape[0])).all()
    with pytest.raises(IndexError, match=f"1..{k}"):
        found.mask(k + 1)
    with pytest.raises(IndexError, match="got 0"):
        found.mask(0)
    assert Esam(segmenter, CONFIG).segment(image).stages is None


def test_the_input_may_be_read_only_strided_or_flipped_and_is_never_changed(segmenter: SyntheticSegmenter) -> None:
    esam, image = Esam(segmenter, CONFIG), segmenter.image()
    expected = esam.segment(image.copy()).labels
    read_only = image.copy()
    read_only.flags.writeable = False
    strided = np.zeros((*image.shape[:2], 6), np.uint8)[..., ::2]
    strided[:] = image
    flipped = np.ascontiguousarray(image[::-1, ::-1])[::-1, ::-1]
    for variant in (read_only, strided, flipped, np.asfortranarray(image)):
        before = variant.copy()
        assert np.array_equal(esam.segment(variant).labels, expected)
        assert np.array_equal(variant, before)


def test_superpixels_are_made_while_a_gpu_works(segmenter: SyntheticSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    made, image = threading.Event(), segmenter.image()
    segment = superpixels.segment

    def announced(*arguments: Any, **options: Any) -> Any:
        labels = segment(*arguments, **options)
        made.set()
        return labels

    class OnGpu(SyntheticSegmenter):
        device = SimpleNamespace(type="cuda")

        def embed(self, image: np.ndarray) -> Any:
            assert made.wait(PATIENCE)
            return super().embed(image)

    expected = Esam(segmenter, CONFIG).segment(image)
    monkeypatch.setattr(superpixels, "segment", announced)
    found = Esam(OnGpu(seed=3), CONFIG).segment(image)
    assert np.array_equal(found.labels, expected.labels)
    assert [name for name, _, _ in found.spans] == [name for name, _, _ in expected.spans]

    def broken(*arguments: Any, **options: Any) -> Any:
        made.set()
        raise ZeroDivisionError("no superpixels")

    monkeypatch.setattr(superpixels, "segment", broken)
    with pytest.raises(ZeroDivisionError, match="no superpixels"):
        Esam(OnGpu(seed=3), CONFIG).segment(image)


def test_a_path_is_read(segmenter: SyntheticSegmenter, tmp_path: Any) -> None:
    Image.fromarray(segmenter.image()).save(tmp_path / "a.png")
    esam = Esam(segmenter, CONFIG)
    expected = esam.segment(segmenter.image()).labels
    assert np.array_equal(esam.segment(tmp_path / "a.png").labels, expected)
    assert np.array_equal(esam.segment(str(tmp_path / "a.png")).labels, expected)


@dataclass
class Spoilt:
    """A user's segmenter with one fault."""

    inner: SyntheticSegmenter
    fault: str
    name: str = "spoilt"
    score_threshold: float = 0.5
    stability_threshold: float = 0.5

    def embed(self, image: np.ndarray) -> Any:
        embedding = self.inner.embed(image)
        if self.fault == "nan features":
            embedding.features[0, 0, 0] = np.nan
        if self.fault == "other image":
            grid = replace(embedding.grid, image_height=7)
            embedding = replace(embedding, grid=grid)
        if self.fault == "flat features":
            embedding = replace(embedding, features=embedding.features[0])
        if self.fault == "no grid":
            embedding = replace(embedding, grid=embedding.grid.shape)
        return embedding

    def masks(self, embedding: Any, points: np.ndarray, *, min_score: float | None = None) -> Any:
        answer = self.inner.masks(embedding, points, min_score=min_score)
        if self.fault == "nan scores":
            answer.scores[0, 1] = np.nan
            return PointMasks(answer.masks, answer.scores, answer.stability, answer.channels)
        if self.fault == "too few":
            return PointMasks(answer.masks.take(np.arange(3)), answer.scores[:1], answer.stability[:1])
        if self.fault == "two masks a point":
            return PointMasks(answer.masks.take(np.arange(2 * len(points) + 1)), answer.scores, answer.stability)
        if self.fault == "float64 scores":
            return PointMasks(answer.masks, answer.scores.astype(np.float64), answer.stability)
        if self.fault == "other grid":
            masks = PackedMasks.from_bool(np.ones((3 * len(points), 5, 5), np.bool_))
            return PointMasks(masks, answer.scores, answer.stability)
        if self.fault == "a tuple":
            return answer.masks, answer.scores
        if self.fault == "outside":
            masks = PackedMasks.from_bool(np.ones((3 * len(points), *embedding.grid.shape), np.bool_))
            return PointMasks(masks, answer.scores, answer.stability)
        return answer

    def logits(self, embedding: Any, points: np.ndarray, channels: np.ndarray) -> Any:
        logits = self.inner.logits(embedding, points, channels)
        if self.fault == "nan logits":
            logits[0, 0, 0] = np.nan
        return {"few logits": logits[:-1], "double logits": logits.astype(np.float64)}.get(self.fault, logits)


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("nan features", ValueError, r"embedding.features must be finite"),
        ("flat features", ValueError, r"embedding.features must have shape \[C, h, w\], got"),
        ("other image", ValueError, r"embedding.grid must be for an image of \d+ x \d+ pixels, got 7 x"),
        ("no grid", TypeError, r"embedding.grid must be a MaskGrid, got tuple"),
        ("nan scores", ValueError, r"scores must be finite"),
        ("float64 scores", TypeError, r"scores must be a NumPy array of float32, got float64 array"),
        ("two masks a point", ValueError, r"masks must hold three masks a point, got"),
        ("too few", ValueError, r"segmenter 'spoilt': masks\(\) must answer 144 points, got 1"),
        ("other grid", ValueError, r"masks\(\) must answer on a grid of shape \(48, 48\), got \(5, 5\)"),
        ("a tuple", TypeError, r"masks\(\) must return PointMasks, got tuple"),
        ("outside", ValueError, r"must set no pixels outside the content, 32 x 48"),
        ("nan logits", ValueError, r"logits\(\) must be finite"),
        ("few logits", ValueError, r"logits\(\) must have shape \[\d+, 48, 48\]"),
        ("double logits", TypeError, r"logits\(\) must be a NumPy array of float32, got float64"),
    ],
)
def test_a_segmenter_that_misbehaves_is_named(fault: str, error: type[Exception], message: str) -> None:
    inner = SyntheticSegmenter(GRIDS["padded below"], seed=1)
    with pytest.raises(error, match=message):
        Esam(Spoilt(inner, fault), CONFIG).segment(inner.image())


def test_only_empty_masks_give_an_empty_map() -> None:
    empty = SyntheticSegmenter(seed=1, empty=True)
    found = Esam(empty, CONFIG).segment(empty.image(), keep_stages=True)
    assert len(found) == 0
    assert not found.labels.any()
    assert found.to_coco_results(1) == []
    assert found.to_amg_records() == []


@dataclass
class OneColour:
    """Answers every prompt on any image with the whole content; remembers nothing."""

    name: str = "one colour"
    score_threshold: float = 0.5
    stability_threshold: float = 0.5

    def embed(self, image: np.ndarray) -> Any:
        @dataclass
        class Embedding:
            grid: MaskGrid
            features: np.ndarray

        h, w = (max(1, round(32 * side / max(image.shape))) for side in image.shape[:2])
        return Embedding(MaskGrid(h, w, float(h), float(w), *image.shape[:2]), np.ones((4, 1, 1), np.float32))

    def masks(self, embedding: Any, points: np.ndarray, *, min_score: float | None = None) -> PointMasks:
        masks = PackedMasks.from_bool(np.ones((3 * len(points), *embedding.grid.shape), np.bool_))
        return PointMasks(masks, *(np.full((len(points), 3), 0.9, np.float32) for _ in range(2)))

    def logits(self, embedding: Any, points: np.ndarray, channels: np.ndarray) -> np.ndarray:
        return np.ones((len(points), *embedding.grid.shape), np.float32)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3), (33, 1000)])
def test_images_of_any_shape(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 90, np.uint8)
    found = Esam(OneColour(), replace(CONFIG, min_area=0)).segment(image)
    assert found.labels.shape == size
    assert len(found) == 1
    assert found.areas.tolist() == [size[0] * size[1]]


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (0, 0)])
def test_an_image_without_pixels_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="image must"):
        Esam(OneColour()).segment(np.zeros((*size, 3), np.uint8))


def test_small_islands_and_holes_are_cleaned_on_request(segmenter: SyntheticSegmenter) -> None:
    from esam_fast.stages.draw import clean

    labels = np.zeros((20, 30), np.int32)
    labels[2:18, 2:20] = 1
    labels[5:7, 5:7] = 0  # a hole of 4 pixels
    labels[10:13, 10:13] = 2  # an entity of 9 in a hole
    labels[10, 25] = labels[0, 0] = 1  # two islands
    boxes = np.array([[0, 0, 26, 18], [10, 10, 13, 13]], np.int32)
    expected = labels.copy()
    expected[10, 25] = expected[0, 0] = 0
    assert np.array_equal(clean(labels, boxes, 4), expected)
    expected[5:7, 5:7] = 1
    assert np.array_equal(clean(labels, boxes, 5), expected)
    assert np.array_equal(clean(labels, boxes, 10**6), np.where(expected, expected, 0))
    assert labels[10, 25] == 1  # the input stays

    cleaned = Esam(segmenter, replace(CONFIG, min_region_area=60)).segment(segmenter.image())
    for label in range(1, len(cleaned) + 1):
        assert cleaned.areas[label - 1] == cleaned.mask(label).sum() > 0


def test_wrong_arguments_of_esam(segmenter: SyntheticSegmenter) -> None:
    with pytest.raises(TypeError, match=r"segmenter must have name, .*, logits \(see .*\), got str"):
        Esam("regions")  # type: ignore[arg-type]
    spoilt = SyntheticSegmenter(seed=3)
    spoilt.score_threshold = float("nan")
    with pytest.raises(ValueError, match="segmenter 'simulated': score_threshold must be finite, got nan"):
        Esam(spoilt).segment(spoilt.image())
    with pytest.raises(TypeError, match="config must be an EsamConfig, got dict"):
        Esam(segmenter, {"mmg": 1})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="backend must be one of native, cuda, numba, torch or None, got 'gpu'"):
        Esam(segmenter, backend="gpu")
    with pytest.raises(BackendUnavailable, match="'cuda' is not available here"):
        Esam(segmenter, backend="cuda")
