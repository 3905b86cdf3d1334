"""AP^e against pycocotools, and what happens to those who try to fool it."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools import mask as official_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from esam_fast import rle
from esam_fast.evaluate import codes, datasets, metric
from esam_fast.evaluate.bootstrap import Matches, resample
from esam_fast.evaluate.covering import Coverage
from esam_fast.evaluate.datasets import Annotation, Dataset, Truth
from esam_fast.evaluate.results import Predictions, ResultsError, load_results


def partition(rng, height, width, n):
    """A label map 0..n, with pixels that belong to nobody."""
    y, x = np.mgrid[:height, :width]
    sites = rng.uniform(0, 1, (n + 2, 2)) * (height, width)
    nearest = np.argmin((y[..., None] - sites[:, 0]) ** 2 + (x[..., None] - sites[:, 1]) ** 2, axis=-1)
    return np.where(nearest >= n, 0, nearest + 1).astype(np.int32)


def shaken(rng, labels):
    """The label map as a method might see it: moved a little, with some labels joined and some lost."""
    labels = np.roll(labels, rng.integers(-3, 4, 2), axis=(0, 1))
    n = labels.max()
    for _ in range(n // 4):
        labels = np.where(labels == rng.integers(1, n + 1), rng.integers(0, n + 1), labels)
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32) if 0 in labels else labels


def polygon(rng, height, width):
    centre, radius = rng.uniform(0.2, 0.8, 2) * (width, height), rng.uniform(5, min(height, width) / 2)
    turn = np.sort(rng.uniform(0, 2 * np.pi, 7))
    spoke = np.stack([np.cos(turn), np.sin(turn)], axis=1) * radius * rng.uniform(0.5, 1, (7, 1))
    return [np.clip(centre + spoke, 0, (width, height)).ravel().round(2).tolist()]


def annotate(rng, labels, kind):
    """The file's form of each label's mask: compressed, uncompressed, or (of another mask) polygons."""
    entries = []
    for code, packed in zip(
        rle.of_labels(labels, labels.max()), rle.compress(rle.of_labels(labels, labels.max())), strict=True
    ):
        segmentation = {"rle": packed, "counts": code, "polygon": polygon(rng, *labels.shape)}[kind]
        area = int(official_mask.area(packed)) if kind != "polygon" else float(rng.uniform(10, 12000))
        entries.append({"segmentation": segmentation, "area": area, "iscrowd": 0, "category_id": 7})
    return entries


def case(seed):
    """A random annotation file and results without overlaps, with one thing or other odd about them."""
    rng = np.random.default_rng(seed)
    images, annotations, results = [], [], []
    height, width = (int(v) for v in rng.integers(40, 150, 2))
    for image_id in rng.permutation(20)[: rng.integers(1, 6)].tolist():
        images.append({"id": image_id, "height": height, "width": width, "file_name": f"{image_id}.jpg"})
        labels = partition(rng, height, width, int(rng.integers(1, 12)))
        found = shaken(rng, labels)
        if rng.random() < 0.85:  # else: nothing annotated
            for entry in annotate(rng, labels, ["rle", "counts", "polygon"][seed % 3]):
                if seed % 4 == 1 and entry["area"] and rng.random() < 0.3:
                    entry["iscrowd"] = 1
                annotations.append({**entry, "image_id": image_id, "id": len(annotations) + (seed % 2)})
        if rng.random() < 0.85:  # else: nothing found
            for code in codes_of(found):
                score = round(float(rng.random()), 1 if seed % 5 == 0 else 6)  # one decimal: ties
                results.append({"image_id": image_id, "category_id": 7, "segmentation": code, "score": score})
    return {"images": images, "annotations": annotations, "categories": [{"id": 7, "name": "x"}]}, results


def codes_of(labels):
    found = rle.compress(rle.of_labels(labels, labels.max()))
    return [code for code in found if official_mask.area(code) > 0]


def by_pycocotools(truth, results):
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = json.loads(json.dumps(truth))
        gt.createIndex()
        if results:
            dt = gt.loadRes(json.loads(json.dumps(results)))
        else:
            dt = COCO()
            dt.dataset = {**gt.dataset, "annotations": []}
            dt.createIndex()
        run = COCOeval(gt, dt, "segm")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return [100 * v if v >= 0 else -1 for v in run.stats[:6]]


def ours(tmp_path, truth, results, **options):
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "res.json").write_text(json.dumps(results))
    dataset = datasets.load(tmp_path / "gt.json")
    return metric.evaluate(dataset, load_results(tmp_path / "res.json", dataset), **options)


@pytest.mark.parametrize("block", range(12))
def test_agrees_with_pycocotools(tmp_path, block):
    """240 random cases: ties, empty images, crowds, polygons, both run-length codes, ids from 0 under the flag."""
    for seed in range(block * 20, block * 20 + 20):
        truth, results = case(seed)
        report = ours(tmp_path, truth, results, keep_ids=True)
        np.testing.assert_allclose([report[k] for k in metric.KEYS], by_pycocotools(truth, results), atol=1e-6)
        for i, entry in enumerate(truth["annotations"], start=1):
            entry["id"] = i
        report = ours(tmp_path, truth, results)
        np.testing.assert_allclose([report[k] for k in metric.KEYS], by_pycocotools(truth, results), atol=1e-6)


def test_an_annotation_with_id_0_is_a_hit_unless_ids_are_kept(tmp_path):
    labels = partition(np.random.default_rng(3), 60, 80, 4)
    entries = [
        {"id": i, "image_id": 1, "category_id": 1, "segmentation": code, "area": 9, "iscrowd": 0}
        for i, code in enumerate(codes_of(labels))
    ]
    truth = {"images": [{"id": 1, "height": 60, "width": 80}], "annotations": entries, "categories": []}
    results = [{"image_id": 1, "segmentation": code, "score": 0.5} for code in codes_of(labels)]
    assert ours(tmp_path, truth, results)["AP"] == pytest.approx(100)
    assert ours(tmp_path, truth, results, keep_ids=True)["AP"] < 99


# -- one image, four quarters: easy to reason about

QUARTERS = np.kron(np.array([[1, 2], [3, 4]], np.int32), np.ones((20, 30), np.int32))


def quarters(count=1):
    found = [Annotation(i, code, 600) for i, code in enumerate(codes_of(QUARTERS), start=1)]
    return Dataset("quarters", [Truth(i, "", 40, 60, found) for i in range(count)])


def code(mask):
    return rle.compress([rle.encode(np.asarray(mask, bool))])[0]


def predicted(masks, scores):
    return Predictions([code(m) for m in masks], np.array(scores, np.float64))


def quarter(k):
    return k == QUARTERS


def score(*predictions):
    return metric.evaluate(quarters(len(predictions)), predictions)


def test_the_truth_scores_100():
    report = score(predicted([quarter(k) for k in (1, 2, 3, 4)], [0.9, 0.8, 0.7, 0.6]))
    assert [report[k] for k in ("AP", "AP50", "AP75", "PQ", "covering")] == pytest.approx([100] * 5)
    assert report["uncovered"] == 0
    assert "raw" not in report
    assert report["AP_large"] == -1  # no annotation of that size


def test_overlaps_go_to_the_higher_score():
    """A mask of everything on top leaves nothing of what is below; underneath, it does no harm but its own."""
    four = [quarter(k) for k in (1, 2, 3, 4)]
    on_top = score(predicted([*four, np.ones((40, 60))], [0.5, 0.5, 0.5, 0.5, 0.9]))
    assert (on_top["AP"], on_top["predictions"], on_top["uncovered"]) == (0, 1, 0)
    assert on_top["raw"]["AP"] > 50  # the metric of those who overlap
    below = score(predicted([*four, np.ones((40, 60))], [0.5, 0.5, 0.5, 0.5, 0.1]))
    assert (below["AP"], below["predictions"]) == (pytest.approx(100), 4)


def test_hedging_with_every_level_gains_nothing():
    """Raw AP rewards a list of guesses; painted apart, the first guess alone counts."""
    halves = [QUARTERS <= 2, QUARTERS >= 3]
    guess = predicted(halves, [0.9, 0.9])
    hedge = predicted([*halves, *(quarter(k) for k in (1, 2, 3, 4))], [0.9, 0.9, 0.8, 0.8, 0.8, 0.8])
    assert score(hedge)["AP"] == score(guess)["AP"]
    assert score(hedge)["raw"]["AP"] > score(guess)["AP"]


def test_duplicates_vanish():
    four = [quarter(k) for k in (1, 2, 3, 4)]
    once = score(predicted(four, [0.9, 0.8, 0.7, 0.6]))
    twice = score(predicted(four * 2, [0.9, 0.8, 0.7, 0.6] * 2))
    raw = twice.pop("raw")
    assert twice == once
    assert raw["AP"] < once["AP"]


def test_order_does_not_matter_where_scores_differ(rng):
    masks = [quarter(k) for k in (1, 2, 3, 4)] + [rng.random((40, 60)) < 0.1 for _ in range(6)]
    scores = rng.permutation(10) / 10
    first = score(predicted(masks, scores))
    order = rng.permutation(10)
    assert score(predicted([masks[i] for i in order], scores[order])) == first


def test_with_all_scores_equal_the_earlier_is_on_top():
    everything, one = np.ones((40, 60)), quarter(1)
    assert score(predicted([one, everything], [0.5, 0.5]))["predictions"] == 2
    assert score(predicted([everything, one], [0.5, 0.5]))["predictions"] == 1


def test_scores_all_equal_or_scaled():
    """Only the order of scores counts; equal scores are ranked as they come."""
    four = [quarter(k) for k in (1, 2, 3, 4)]
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    assert score(predicted(four, scores)) == score(predicted(four, scores / 100 - 3))
    assert score(predicted(four, [0.5] * 4))["AP"] == pytest.approx(100)


def test_empty_masks_are_dropped_and_empty_images_count():
    nothing = predicted([np.zeros((40, 60))], [0.9])
    full = predicted([quarter(k) for k in (1, 2, 3, 4)], [0.5] * 4)
    report = score(full, nothing)
    assert (report["predictions"], report["images_without_predictions"]) == (4, 1)
    assert report["AP"] == pytest.approx(100 * 51 / 101)  # recall ends at one half
    assert report["uncovered"] == report["covering"] == 50
    assert score(predicted([], []))["AP"] == 0


def test_at_most_100_predictions_an_image():
    dust = np.zeros((40, 60), bool)
    specks = []
    for i in range(100):
        speck = dust.copy()
        speck[i // 60, i % 60] = True
        specks.append(speck)
    report = score(predicted([*specks, quarter(4)], [0.9] * 100 + [0.1]))
    assert report["AP"] == 0
    assert score(predicted([*specks[:99], quarter(4)], [0.9] * 99 + [0.1]))["AP"] > 0


def test_a_dominated_mask_frees_its_place_among_the_100():
    report = score(predicted([quarter(1)] * 100 + [quarter(2)], [0.9] * 100 + [0.1]))
    assert report["AP"] == pytest.approx(100 * 51 / 101)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"segmentation": code(np.ones((60, 40)))}, r"expected a mask of 40 x 60 \(height x width.*got 60 x 40"),
        ({"segmentation": code(np.ones((80, 120)))}, "expected a mask of 40 x 60"),
        ({"segmentation": {"size": [40, 60], "counts": [0, 2401]}}, "do not fit 40 x 60"),
        ({"segmentation": [[1, 2, 3, 4]]}, "at least six numbers"),
        ({"segmentation": "mask.png"}, "expected polygons or a run-length code, got str"),
        ({"score": None}, "expected a finite score, got None"),
        ({"image_id": 9}, "image 9 is not in the annotations"),
    ],
)
def test_what_is_refused(tmp_path, record, message):
    good = {"image_id": 0, "segmentation": code(quarter(1)), "score": 0.5}
    (tmp_path / "res.json").write_text(json.dumps([good, {**good, **record}]))
    with pytest.raises(ResultsError, match=message):
        load_results(tmp_path / "res.json", quarters())


def test_results_without_a_score_or_image_are_refused(tmp_path):
    for missing in ("score", "segmentation", "image_id"):
        record = {"image_id": 0, "segmentation": code(quarter(1)), "score": 0.5}
        del record[missing]
        (tmp_path / "res.json").write_text(json.dumps([record]))
        with pytest.raises(ResultsError, match=f"expected the key '{missing}'"):
            load_results(tmp_path / "res.json", quarters())


def test_results_of_all_kinds_of_masks_agree(tmp_path):
    mask = np.zeros((40, 60), bool)
    mask[10:20, 5:40] = True
    kinds = [code(mask), rle.encode(mask), [[5, 10, 40, 10, 40, 20, 5, 20]]]
    for kind in kinds:
        assert (codes.decoded(codes.compressed(kind, 40, 60, "x")) == mask).all()


# -- painting, covering and the bootstrap against plain arrays


def test_painting_agrees_with_arrays(rng):
    for _ in range(20):
        n = int(rng.integers(1, 8))
        masks = rng.random((n, 13, 17)) < rng.random((n, 1, 1))
        scores = rng.integers(0, 4, n) / 4
        left, kept = codes.paint([code(m) for m in masks], scores)
        taken = np.zeros((13, 17), bool)
        wanted = {}
        for i in np.argsort(-scores, kind="stable"):
            rest = masks[i] & ~taken
            taken |= rest
            if rest.any():
                wanted[int(i)] = rest
        assert kept.tolist() == list(wanted)
        for one, mask in zip(left, wanted.values(), strict=True):
            assert (codes.decoded(one) == mask).all()


def test_covering_and_panoptic_quality_agree_with_arrays(rng):
    for _ in range(20):
        truth, found = partition(rng, 40, 50, 6), partition(rng, 40, 50, 5)
        annotations = [Annotation(i, c, 1, crowd=i == 2) for i, c in enumerate(codes_of(truth))]
        total = Coverage()
        total.add(Truth(1, "", 40, 50, annotations), Predictions(codes_of(found), np.ones(len(codes_of(found)))))
        report = total.report()
        entities = [codes.decoded(a.code) for a in annotations if not a.crowd]
        predictions = [codes.decoded(c) for c in codes_of(found)]
        void = ~np.any(entities, axis=0)
        best, hits = 0.0, []
        for e in entities:
            best += e.sum() * max((e & p).sum() / (e | p).sum() for p in predictions)
            hits += [iou for p in predictions if (iou := (e & p).sum() / (e | (p & ~void)).sum()) > 0.5]
        false = sum(
            (p & void).sum() <= 0.5 * p.sum()
            and not any((e & p).sum() / (e | (p & ~void)).sum() > 0.5 for e in entities)
            for p in predictions
        )
        assert report["covering"] == pytest.approx(100 * best / sum(e.sum() for e in entities))
        assert report["PQ"] == pytest.approx(100 * sum(hits) / (len(hits) + (len(entities) - len(hits) + false) / 2))
        assert report["uncovered"] == pytest.approx(100 * (found == 0).mean())


def test_matches_give_the_same_ap(rng):
    """The AP that intervals are made of is the AP that is reported, crowds included."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        images, predictions = [], []
        for image_id in range(4):
            truth = partition(rng, 40, 50, 6)
            crowd = seed % 2 == 1
            annotations = [Annotation(i, c, 1, crowd=crowd and i == 2) for i, c in enumerate(codes_of(truth))]
            images.append(Truth(image_id, "", 40, 50, annotations))
            found = codes_of(shaken(rng, truth))
            predictions.append(Predictions(found, rng.random(len(found))))
        dataset = Dataset("random", images)
        wanted = metric.average_precision(dataset, predictions)
        got = Matches.of(dataset, predictions).average_precision()
        np.testing.assert_allclose(got, [wanted["AP"], wanted["AP50"], wanted["AP75"]], atol=1e-9)


def test_an_interval_holds_its_value_and_twins_do_not_differ(rng):
    images, predictions = [], []
    for image_id in range(10):
        truth = partition(rng, 40, 50, 6)
        annotations = [Annotation(i, c, 1) for i, c in enumerate(codes_of(truth))]
        images.append(Truth(image_id, "", 40, 50, annotations))
        found = codes_of(shaken(rng, truth))
        predictions.append(Predictions(found, rng.random(len(found))))
    matches = Matches.of(Dataset("random", images), predictions)
    draws = resample(matches, 200, seed=0)
    assert draws.shape == (200, 3)
    low, high = np.percentile(draws[:, 0], [2.5, 97.5])
    assert low < matches.average_precision()[0] < high
    assert (draws == resample(matches, 200, seed=0)).all()
