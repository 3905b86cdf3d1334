"""The simulated SAM: as right as it says, as wrong as it is told to be, and the same for every batch."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from test_metric import partition

from esam_fast import Esam, EsamConfig
from esam_fast.evaluate import ablation, published
from esam_fast.evaluate.caching import CachingSegmenter
from esam_fast.evaluate.simulated import REGIMES, Faults, SimulatedSegmenter
from esam_fast.masks import PackedMasks
from esam_fast.ops import mask_iou, pack_logits
from esam_fast.segmenters.protocol import check_answer, check_embedding, check_logits

LABELS = partition(np.random.default_rng(5), 120, 180, 9) + 1
IMAGE = np.stack([LABELS * 20] * 3, axis=-1).astype(np.uint8)
NONE = Faults(join=0, halve=0, bleed=0, weak=0, stray=0, jitter=0, score_noise=0)


def answer(faults=None, points=None, seed=0, labels=LABELS):
    segmenter = SimulatedSegmenter(labels, "x", faults, seed)
    embedding = segmenter.embed(IMAGE)
    points = segmenter.grid.point_grid(24) if points is None else points
    return segmenter, embedding, points, segmenter.masks(embedding, points)


def under(segmenter, points):
    """The entity, 0..N-1, that each prompt means, and all of them on the grid."""
    grid = segmenter.grid
    y, x = np.divmod(np.arange(grid.rows * grid.cols), grid.cols)
    at = ((y + 0.5) * 120 / grid.content_height).astype(int), ((x + 0.5) * 180 / grid.content_width).astype(int)
    labels = np.full(grid.shape, -1, np.int32)
    labels[: grid.rows, : grid.cols] = LABELS[at].reshape(grid.rows, grid.cols) - 1
    return labels.ravel()[grid.pixels(points)], PackedMasks.from_labels(labels, int(LABELS.max()))


def object_quality(faults, **options):
    """IoU of each prompt's object mask with the entity under the prompt."""
    segmenter, _, points, found = answer(faults, **options)
    meant, entities = under(segmenter, points)
    rows = np.arange(len(points))
    return mask_iou(found.masks.take(rows * 3 + 2), entities)[rows, meant]


def test_it_keeps_the_protocol():
    segmenter, embedding, points, found = answer()
    check_embedding(segmenter, embedding, IMAGE)
    check_answer(segmenter, found, segmenter.grid, len(points))
    logits = segmenter.logits(embedding, points[:20], found.channels[:20, 1])
    check_logits(segmenter, logits, segmenter.grid, 20)
    assert segmenter.masks(embedding, points[:0]).masks.shape == segmenter.grid.shape
    with pytest.raises(ValueError, match="annotated size"):
        segmenter.embed(IMAGE[:50])


def test_logits_and_masks_are_one():
    segmenter, embedding, points, found = answer(Faults(unstable=0.5))
    for level in range(3):
        logits = segmenter.logits(embedding, points, found.channels[:, level])
        masks, stability = pack_logits(logits, segmenter.grid.rows, segmenter.grid.cols)
        of_level = found.masks.take(np.arange(len(points)) * 3 + level)
        np.testing.assert_array_equal(masks.words, of_level.words)
        np.testing.assert_array_equal(masks.area, of_level.area)
        np.testing.assert_array_equal(stability, found.stability[:, level])


def test_levels_are_nested_by_area():
    *_, found = answer()
    area = found.masks.area.reshape(-1, 3)
    assert (np.diff(area, axis=1) >= 0).all()
    assert (area[:, 0] < area[:, 2]).mean() > 0.9


def test_without_faults_the_object_level_is_the_entity():
    assert object_quality(NONE).min() > 0.97
    found = answer(NONE)[3]
    assert found.scores[:, 2].min() > 0.98


@pytest.mark.parametrize("fault", ["join", "halve", "bleed"])
def test_a_fault_strikes_its_share_and_more_when_scaled(fault):
    rates = [0.1, 0.3, 0.9]
    struck = [(object_quality(replace(NONE, **{fault: rate})) < 0.96).mean() for rate in rates]
    assert struck[0] < struck[1] < struck[2]
    np.testing.assert_allclose(struck, rates, atol=0.12)


def test_faults_come_in_patches():
    """Neighbouring prompts err alike far more often than chance would have it."""
    bad = (object_quality(replace(NONE, join=0.3, halve=0.3)) < 0.95).reshape(24, 24)
    alike = (bad[:, 1:] == bad[:, :-1]).mean()
    chance = bad.mean() ** 2 + (1 - bad.mean()) ** 2
    assert alike > chance + 0.2


def test_what_struck_at_a_low_rate_strikes_at_a_higher_one():
    low, high = (object_quality(replace(NONE, join=0.2, halve=0).scaled(f)) < 0.95 for f in (1, 2))
    assert (high | ~low).all()
    assert high.sum() > low.sum()
    assert Faults(join=0.7).scaled(2).join == 1


def test_weak_entities_score_below_the_threshold():
    segmenter, _, points, found = answer(replace(NONE, weak=0.5, weak_loss=0.2))
    weak = found.scores[:, 2] < segmenter.score_threshold
    meant, _ = under(segmenter, points)
    assert 0 < weak.sum() < len(points)
    assert all(len(np.unique(weak[meant == label])) == 1 for label in np.unique(meant))
    assert (found.scores[weak, 1] > segmenter.score_threshold).mean() > 0.9


def flat(**faults):
    """Which masks are unstable, by channel: bool [N, 3]; and which entity each prompt means."""
    segmenter, _, points, found = answer(replace(NONE, **faults))
    by_channel = np.argsort(found.channels, axis=1)
    stability = np.take_along_axis(found.stability, by_channel, axis=1)
    assert ((stability == 0) | (stability >= segmenter.stability_threshold)).mean() > 0.95
    return stability == 0, under(segmenter, points)[0]


def test_unstable_regions_are_so_for_every_prompt_and_more_at_a_higher_share():
    found = [flat(unstable=share)[0] for share in (0.0, 0.4, 0.8, 1.0)]
    assert (found[0].any(), found[-1].all()) == (False, True)
    assert all((more | ~less).all() for less, more in pairwise(found))
    np.testing.assert_allclose(found[2].mean(), 0.8, atol=0.12)
    assert len(np.unique(found[1], axis=0)) > 4  # each level on its own
    some, meant = flat(unstable=0.5)
    assert all(len(np.unique(some[meant == label, 2])) == 1 for label in np.unique(meant))


@pytest.mark.parametrize("fault", ["halve", "join"])
def test_a_half_and_a_pair_are_as_stable_as_their_entity(fault):
    np.testing.assert_array_equal(flat(unstable=0.5, **{fault: 1})[0][:, 2], flat(unstable=0.5)[0][:, 2])


def test_scores_follow_quality_and_in_one_regime_the_entity():
    blind, entity = (answer(replace(regime, weak=0))[3].scores.mean(axis=0) for regime in REGIMES.values())
    assert abs(blind[1] - blind[2]) < 0.03
    assert entity[2] - entity[0] > 0.08
    noisy = replace(NONE, jitter=1.5)
    found = answer(noisy)[3]
    assert np.corrcoef(found.scores[:, 2], object_quality(noisy))[0, 1] > 0.9


def test_features_tell_entities_apart_imperfectly():
    clean, noisy = (answer(replace(NONE, feature_noise=noise))[1].features for noise in (0.0, 3.0))
    assert clean.shape == noisy.shape == (32, 43, 64)
    labels = LABELS[np.ix_(np.arange(43) * 120 // 43, np.arange(64) * 180 // 64)].ravel()

    def agreement(features):
        unit = features.reshape(32, -1) / np.linalg.norm(features.reshape(32, -1), axis=0)
        like = np.einsum("ci,cj->ij", unit, unit)  # not through BLAS, whose kernels may raise false alarms
        np.fill_diagonal(like, -1)
        return (labels[like.argmax(axis=1)] == labels).mean()

    assert agreement(clean) > agreement(noisy) > 0.4
    assert agreement(clean) > 0.9


def test_an_answer_depends_on_its_prompt_and_the_seed_alone():
    _, _, points, whole = answer()
    some = np.array([5, 3, 200])
    part = answer(points=points[some])[3]
    np.testing.assert_array_equal(part.scores, whole.scores[some])
    np.testing.assert_array_equal(part.masks.words.reshape(3, 3, -1), whole.masks.words.reshape(-1, 3, 1024)[some])
    assert (answer(seed=1)[3].scores != whole.scores).mean() > 0.9


def test_the_cache_changes_nothing_and_asks_once():
    asked = []

    class Counting(SimulatedSegmenter):
        def masks(self, embedding, points, *, min_score=None):
            asked.extend(("masks", *point) for point in points.tolist())
            return super().masks(embedding, points, min_score=min_score)

        def logits(self, embedding, points, channels):
            asked.append(("logits", len(points)))
            return super().logits(embedding, points, channels)

    config = ablation.with_changes(EsamConfig(), {"mmg": {"points_per_side": 12}, "emr": {"points_per_side": 16}})
    cached = CachingSegmenter(Counting(LABELS, "x"))
    for changes in ({}, {"emr": {"enabled": False}}, {"emr": {"votes_per_cell": 0}}, {}):
        row = ablation.with_changes(config, changes)
        plain = Esam(SimulatedSegmenter(LABELS, "x"), row).segment(IMAGE)
        again = Esam(cached, row).segment(IMAGE)
        np.testing.assert_array_equal(again.labels, plain.labels)
        np.testing.assert_array_equal(again.scores, plain.scores)
    points = [question for question in asked if question[0] == "masks"]
    assert len(points) == len(set(points)) >= 144 + 256  # no point twice, whatever the calls
    before = len(asked)
    Esam(cached, config).segment(IMAGE)
    assert len(asked) == before
    assert cached.logits(cached.embed(IMAGE), np.zeros((0, 2), np.float32), np.zeros(0, np.int8)).shape[0] == 0


def test_rows_of_the_tables():
    assert list(ablation.TABLE3) == list(published.TABLE3)
    assert list(ablation.TABLE4) == list(published.TABLE4)
    for rows in ablation.TABLES.values():
        for changes in rows.values():
            ablation.with_changes(EsamConfig(), changes)
    off = ablation.with_changes(EsamConfig(), ablation.TABLE3["E+U"])
    assert (off.mmg.enabled, off.emr.enabled, off.usr.enabled) == (False, True, True)
    assert ablation.with_changes(EsamConfig(), ablation.TABLE4["rho=0.1"]) == EsamConfig()
    delta = ablation.with_changes(EsamConfig(), ablation.TABLE4["delta=0.2"])
    assert (delta.emr.delta, delta.emr.enabled, delta.usr.enabled) == (0.2, True, False)
