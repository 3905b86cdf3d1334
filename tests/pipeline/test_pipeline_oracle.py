"""Esam.segment equals the oracle bit for bit: labels and scores, on every backend, with every stage on and off."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import oracle
import pytest
from synthetic import GRIDS, SyntheticSegmenter

from esam_fast import EmrConfig, Esam, EsamConfig, MaskGrid, MmgConfig, SuperpixelConfig, UsrConfig

SUPERPIXELS = SuperpixelConfig(scale=60.0, min_size=30)
SCENES = [("odd", 0), ("full", 1), ("padded below", 2), ("padded right", 3)]


def config_of(mmg=None, emr=None, usr=None, **rest):
    """Fewer points than the defaults, so that the oracle stays quick."""
    return EsamConfig(
        mmg=MmgConfig(**{"points_per_side": 14, **(mmg or {})}),
        emr=EmrConfig(**{"points_per_side": 24, **(emr or {})}),
        usr=UsrConfig(**(usr or {})),
        **{"superpixels": SUPERPIXELS, **rest},
    )


@cache
def scene(grid, seed):
    segmenter = SyntheticSegmenter(GRIDS[grid], seed)
    image = segmenter.image()
    image.flags.writeable = False
    return image, segmenter


@cache
def expected(grid, seed, config):
    return oracle.segment(*scene(grid, seed), config)


def check(image, segmenter, config, backend, wanted=None):
    """Compare with the oracle; returns the number of entities."""
    result = Esam(segmenter, config, backend=backend).segment(image)
    labels, scores = oracle.segment(image, segmenter, config) if wanted is None else wanted
    assert (result.labels.dtype, result.scores.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(result.scores, scores)
    np.testing.assert_array_equal(result.labels, labels)
    assert result.areas.tolist() == np.bincount(labels.ravel(), minlength=len(scores) + 1)[1:].tolist()
    for label, box in enumerate(result.boxes, 1):
        y, x = np.nonzero(labels == label)
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
    return len(scores)


@pytest.mark.parametrize(("mmg", "emr", "usr"), list(product((True, False), repeat=3)))
@pytest.mark.parametrize(("grid", "seed"), SCENES)
def test_every_switch(backend, grid, seed, mmg, emr, usr):
    config = config_of({"enabled": mmg}, {"enabled": emr}, {"enabled": usr})
    assert check(*scene(grid, seed), config, backend, expected(grid, seed, config)) > 5


@pytest.mark.parametrize("seed", [11, 12, 13, 14])
def test_more_scenes(backend, seed):
    config = config_of()
    check(*scene("odd", seed), config, backend, expected("odd", seed, config))


@pytest.mark.parametrize(
    "changes",
    [
        {"mmg": {"score_threshold": 0.0, "stability_threshold": 0.0}},
        {"mmg": {"score_threshold": 61 / 64}},  # a step of the scores: exactly at the threshold stays
        {"mmg": {"score_threshold": 1.0}},
        {"mmg": {"theta_o": 0.3, "gamma_o": 0.9, "n_t": 0.1}},
        {"mmg": {"enabled": False, "amg_nms": 0.95}},
        {"emr": {"votes_per_cell": 0}},
        {"emr": {"votes_per_cell": 1}},
        {"emr": {"votes_per_cell": 9}},
        {"mmg": {"enabled": False}, "emr": {"votes_per_cell": 2}},
        {"emr": {"tau": 0.0}},
        {"emr": {"tau": 1 / 64}},  # a step of the scores: differences of exactly tau
        {"emr": {"tau": 1.0}},
        {"emr": {"delta": 0.0}},
        {"emr": {"delta": 1.0}},
        {"emr": {"score_margin": 1 / 64}},  # a step of the scores: a lead of exactly the margin is none
        {"emr": {"cluster_iou": 0.4, "top_k": 3}},
        {"emr": {"merge_support": 0.0, "min_similarity": 0.0}},
        {"emr": {"merge_support": 0.1, "cover": 0.5, "concentration": 0.0}},
        {"emr": {"merge_support": 1.0}},
        {"emr": {"cover": 1.0, "merge_support": 0.0}},
        {"emr": {"concentration": 1.0, "cover": 0.3, "merge_support": 0.0}},
        {"usr": {"rho": 0.0}},
        {"usr": {"rho": 1.0, "min_gain": 0.0}},
        {"usr": {"min_gain": 0.02}},
        {"usr": {"score_threshold": 61 / 64}},
        {"usr": {"score_threshold": 0.5, "stability_threshold": 0.9}},
        {"min_area": 0},
        {"min_area": 60},
        {"superpixels": SuperpixelConfig(scale=10.0, sigma=0.0, min_size=5)},
    ],
    ids=repr,
)
def test_settings(backend, changes):
    config = config_of(**changes)
    check(*scene("padded below", 2), config, backend, expected("padded below", 2, config))


@pytest.mark.parametrize(("grid", "seed"), [("odd", 21), ("padded right", 22)])
def test_logits_that_contradict_the_bits(backend, grid, seed):
    """Decoded a second time, logits may differ: the decided bits win."""
    segmenter = SyntheticSegmenter(GRIDS[grid], seed, redecoded=1.0)
    check(segmenter.image(), segmenter, config_of(), backend)


@pytest.mark.parametrize(("grid", "seed"), [("odd", 0), ("padded below", 5)])
def test_defaults(backend, grid, seed):
    config = EsamConfig()
    assert check(*scene(grid, seed), config, backend, expected(grid, seed, config)) > 5


def test_wide_grid(backend):
    """A grid of the size that real models answer on, with real proportions."""
    config = config_of()
    segmenter = SyntheticSegmenter(WIDE, 8, objects=60)
    image = segmenter.image()
    assert check(image, segmenter, config, backend, wide_expected(config)) > 20


WIDE = MaskGrid(128, 128, 128 * 240 / 361, 128.0, 240, 361)


@cache
def wide_expected(config):
    segmenter = SyntheticSegmenter(WIDE, 8, objects=60)
    return oracle.segment(segmenter.image(), segmenter, config)


def check_all_switches(segmenter, backend, image=None):
    image = segmenter.image() if image is None else image
    return [
        check(image, segmenter, config_of({"enabled": m}, {"enabled": e}, {"enabled": u}), backend)
        for m, e, u in product((True, False), repeat=3)
    ]


def test_only_empty_masks(backend):
    assert check_all_switches(SyntheticSegmenter(seed=1, empty=True), backend) == [0] * 8


def test_no_parts(backend):
    assert min(check_all_switches(SyntheticSegmenter(seed=1, only_object=True), backend)) > 0


class Counting(SyntheticSegmenter):
    """Remembers how many points each call asked."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.asked = []

    def masks(self, embedding, points, *, min_score=None):
        self.asked.append(len(points))
        return super().masks(embedding, points, min_score=min_score)


def test_nothing_uncovered(backend):
    segmenter = Counting(seed=1, objects=1, faults=0.0)
    config = config_of()
    assert check(segmenter.image(), segmenter, config, backend) == 1
    segmenter.asked.clear()
    found = Esam(segmenter, config, backend=backend).segment(segmenter.image())
    # One object everywhere: the first grid, four points of its one cell, and nothing else.
    assert segmenter.asked == [14**2, 4]
    assert found.prompts == {"mmg": 14**2, "gallery": 4, "usr": 0}


@pytest.mark.parametrize(
    ("changes", "gallery"),
    [
        ({"emr": {"votes_per_cell": 0}}, 24**2),
        ({"emr": {"enabled": False}}, 0),
        ({"emr": {"enabled": False, "votes_per_cell": 0}}, 0),
        ({"mmg": {"score_threshold": 2.0}}, 0),  # no object mask is left
    ],
    ids=repr,
)
def test_only_what_decides_is_asked(backend, changes, gallery):
    segmenter = Counting(GRIDS["odd"], 0)
    found = Esam(segmenter, config_of(**changes), backend=backend).segment(segmenter.image())
    assert segmenter.asked == [n for n in found.prompts.values() if n]  # no points: the segmenter is not called
    assert (found.prompts["mmg"], found.prompts["gallery"]) == (14**2, gallery)


def test_thousands_of_equal_masks(backend):
    for seed in (0, 1):
        segmenter = SyntheticSegmenter(seed=seed, constant=(60.0, 70.0), faults=0.0)
        assert check(segmenter.image(), segmenter, EsamConfig(), backend) >= 1


def test_one_superpixel(backend):
    check_all_switches(scene("odd", 0)[1], backend, np.full((111, 135, 3), 90, np.uint8))


def test_image_larger_than_the_superpixels_are_made_on(backend):
    for max_side in (64, 100):
        config = config_of(superpixels=SuperpixelConfig(scale=60.0, min_size=10, max_side=max_side))
        check(*scene("padded below", 2), config, backend, expected("padded below", 2, config))


@pytest.mark.parametrize(("shape", "max_side"), [((85, 128), 64), ((90, 61), 80), ((7, 300), 30), ((5, 90), 4)])
def test_shrinking_averages_areas(rng, shape, max_side):
    """What the superpixels are made on is the mean of the area that each new pixel covers, to one grey level."""
    image = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    small = oracle.area_average(image, max_side)
    scale = max_side / max(shape)
    assert small.shape[:2] == tuple(max(1, int(side * scale + 0.5)) for side in shape)

    def shares(new, size):  # [new, size]: how much of each new pixel each old one makes up
        edges, old = np.arange(new + 1) * size / new, np.arange(size)
        common = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
        return np.clip(common, 0, None) * new / size

    rows, columns = (shares(new, size) for new, size in zip(small.shape, shape, strict=False))
    mean = np.einsum("ij,jkc,lk->ilc", rows, image.astype(np.float64), columns)
    assert np.abs(small - mean).max() <= 1


def test_repeats_are_equal(backend):
    image, segmenter = scene("odd", 0)
    before = image.copy()
    model = Esam(segmenter, config_of(), backend=backend)
    first = model.segment(image)
    for _ in range(2):
        again = model.segment(image)
        assert again.labels.tobytes() == first.labels.tobytes()
        assert again.scores.tobytes() == first.scores.tobytes()
    np.testing.assert_array_equal(image, before)
