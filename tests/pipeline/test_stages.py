"""What the stages hand to each other equals the oracle, and their small rules hold by hand."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from cases import blobs, pack
from synthetic import GRIDS, SyntheticSegmenter

from esam_fast import EmrConfig, Esam, EsamConfig, MaskGrid, MmgConfig, SuperpixelConfig, UsrConfig, superpixels
from esam_fast.ops.topk import unit_features
from esam_fast.stages.handover import best_levels, guided_levels, rescore


def config_of(mmg=None, emr=None, usr=None):
    return EsamConfig(
        mmg=MmgConfig(**{"points_per_side": 20, **(mmg or {})}),
        emr=EmrConfig(**{"points_per_side": 24, **(emr or {})}),
        usr=UsrConfig(**(usr or {})),
        superpixels=SuperpixelConfig(scale=30.0, min_size=8),
    )


def assert_masks(got, expected):
    np.testing.assert_array_equal(got.masks.to_bool(), expected.bits)
    np.testing.assert_array_equal(got.scores, expected.scores)
    np.testing.assert_array_equal(got.points, expected.points)
    np.testing.assert_array_equal(got.channels, expected.channels)


CONFIGS = {
    "defaults": config_of(),
    "the density alone decides": config_of({"n_t": 0.0}),
    "all levels": config_of({"enabled": False}),
    "exactly at gamma_o stays": config_of({"gamma_o": 1.0}),
    "exactly at the score threshold stays": config_of({"score_threshold": 61 / 64}),
    "empty masks go all the same": config_of({"score_threshold": 0.0, "stability_threshold": 0.0}),
    "guidance within": config_of({"enabled": False}, {"concentration": 1.0, "cover": 0.3, "merge_support": 0.0}),
    "differences of exactly tau": config_of({"enabled": False}, {"tau": 2 / 64}),
    "painted": config_of(emr={"enabled": False}),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize(("grid", "seed"), [("odd", 31), ("full", 32), ("padded below", 33), ("padded right", 34)])
def test_equals_oracle(backend, grid, seed, config):
    segmenter = SyntheticSegmenter(GRIDS[grid], seed)
    image = segmenter.image()
    stages = Esam(segmenter, config, backend=backend).segment(image, keep_stages=True).stages
    expected = oracle.run_stages(image, segmenter, config)
    assert_masks(stages["mmg"], expected.objects)
    subparts = len(stages["subpart"])
    assert_masks(stages["subpart"], expected.parts.take(np.s_[:subparts]))
    assert_masks(stages["part"], expected.parts.take(np.s_[subparts:]))
    np.testing.assert_array_equal(stages["emr"].to_bool(), expected.refined.entities())
    np.testing.assert_array_equal(stages["usr"].to_bool(), expected.completed.entities())


def test_levels_by_hand():
    # Best: the highest score, ties the larger level. Objects 0.125 behind the best are guided by the best at
    # tau = 0.125 (it is not less), by the object mask just above.
    scores = np.array([[0.5, 0.75, 0.625], [0.5, 0.5, 0.5], [0.75, 0.75, 0.5], [0.25, 0.5, 0.75]], np.float32)
    assert best_levels(scores).tolist() == [1, 2, 1, 2]
    assert guided_levels(scores, 0.125).tolist() == [1, 2, 1, 2]
    assert guided_levels(scores, np.nextafter(0.125, 1)).tolist() == [2, 2, 1, 2]
    assert guided_levels(scores, 0.0).tolist() == [1, 2, 1, 2]  # the best is the object where they tie


def test_rescore_by_hand():
    # Float64, rounded once: 0.9f = 0.899999976158...; * 2 / 3 = 0.599999984105 -> float32.
    got = rescore(np.array([0.9, 0.5], np.float32), np.array([2, 0]), np.array([3, 5]))
    assert got.dtype == np.float32
    assert got.tolist() == [float(np.float32(float(np.float32(0.9)) * 2 / 3)), 0.0]


def test_unit_features_by_hand():
    # 2047 * (3/5, 4/5) = 1228.2, 1637.6; zero stays zero; the length does not matter.
    features = np.array([[3, 4], [0, 0], [-300, 400], [1e-30, 0]], np.float32)
    assert unit_features(features).tolist() == [[1228, 1638], [0, 0], [-1228, 1638], [2047, 0]]


def test_superpixels_by_hand():
    # Image 4 x 8 on a grid of 4 x 4, content 2 x 4: rows 0, 1 look at image rows 1, 3; columns at 1, 3, 5, 7.
    labels = np.array([[0] * 8, [0, 0, 0, 1, 2, 2, 2, 2], [3] * 8, [3, 3, 3, 3, 3, 4, 4, 4]], np.int32)
    found = superpixels.on_grid(labels, MaskGrid(4, 4, 2.0, 4.0, 4, 8))
    assert found.labels.tolist() == [[0, 1, 2, 2], [3, 3, 4, 4], [-1] * 4, [-1] * 4]
    assert found.sizes.tolist() == [1, 1, 2, 2, 2]
    # The mean size is 8 / 5; w = exp(-size / mean).
    small, large = np.exp(-1 / 1.6), np.exp(-2 / 1.6)
    assert found.density.tolist() == [[small, small, large, large], [large] * 4, [0.0] * 4, [0.0] * 4]
    assert found.centres.tolist() == [0, 1, 2, 4, 6]  # two pixels are as near the centroid: the first


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_superpixels_equal_oracle(backend, rng, grid):
    image = np.clip(rng.normal(128, 40, (grid.image_height, grid.image_width, 3)), 0, 255).astype(np.uint8)
    config = SuperpixelConfig(scale=200.0, min_size=6)
    found = superpixels.on_grid(superpixels.segment(image, config, backend=backend), grid)
    expected = oracle.superpixels_on_grid(image, grid, config)
    centres = [oracle.centre(expected == k) for k in range(expected.max() + 1)]
    np.testing.assert_array_equal(found.labels, expected)
    np.testing.assert_array_equal(found.density, oracle.density_map(expected))
    np.testing.assert_array_equal(found.centres, [y * grid.width + x for y, x in centres])
    for shape in ((24, 13, 17), (256, 64, 64), (3, 1, 1)):
        features = rng.normal(0, 1, shape).astype(np.float32)
        sampled = superpixels.features_at(features, found.centres, grid)
        np.testing.assert_array_equal(unit_features(sampled), oracle.features_at(features, centres, grid))


def test_mask_centres_equal_oracle(rng):
    masks = blobs(rng, 60, (33, 40))
    masks = masks[masks.any(axis=(1, 2))]
    packed = pack(masks)
    for i, mask in enumerate(masks):
        y, x = oracle.centre(mask)
        assert superpixels.mask_centre(packed, i) == y * 40 + x
