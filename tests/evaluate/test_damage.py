"""Damaged, hostile and merely odd entries: each is normalised or refused by name, before C++ sees it."""

from __future__ import annotations

import contextlib
import copy
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as official_mask
from test_metric import QUARTERS, codes_of, quarters

from esam_fast import rle
from esam_fast.evaluate import codes, datasets, metric
from esam_fast.evaluate.datasets import DatasetError
from esam_fast.evaluate.results import ResultsError, load_results

FIRST, SECOND, _, LAST = codes_of(QUARTERS)
SIZE = [40, 60]


# -- run-length codes


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=40), st.integers(0, 3))
def test_run_lengths_are_those_that_were_compressed(run, zeros):
    """Against pycocotools, which compresses; the first run may be 0, and others too."""
    run = [0] * (zeros == 0) + run
    code = {"size": [1, sum(run)], "counts": run}
    if sum(run) == 0:
        return
    (text,) = official_mask.frPyObjects([code], 1, sum(run))
    (found,) = rle.run_lengths([text["counts"]])
    assert found.tolist() == run


def test_run_lengths_of_many_texts_at_once():
    texts = [code["counts"] for code in codes_of(QUARTERS)]
    wanted = [code["counts"] for code in rle.of_labels(QUARTERS, 4)]
    assert [run.tolist() for run in rle.run_lengths(["", *texts, ""])] == [[], *wanted, []]
    assert rle.run_lengths([]) == []


@given(st.binary(max_size=60))
def test_any_bytes_are_runs_or_damaged(data):
    with contextlib.suppress(rle.Damaged):
        (run,) = rle.run_lengths([data])
        assert (run >= 0).all()


@given(st.text(alphabet=[chr(c) for c in range(48, 112)], max_size=30))
def test_any_text_is_a_mask_of_the_image_or_refused(text):
    with contextlib.suppress(ValueError):
        code = codes.compressed({"size": [4, 5], "counts": text}, 4, 5, "x")
        assert codes.decoded(code).sum() == codes.areas([code])[0]


def test_runs_of_no_pixels_leave_the_mask_as_it_is():
    (text,) = official_mask.frPyObjects([{"size": SIZE, "counts": [0, 600, 0, 0, 0, 600, 1200, 0]}], *SIZE)
    for counts in (text["counts"], [0, 600, 0, 0, 0, 600, 1200, 0]):
        code = codes.compressed({"size": SIZE, "counts": counts}, *SIZE, "x")
        assert rle.run_lengths([code["counts"]])[0].tolist() == [0, 1200, 1200]


HALF = SECOND["counts"][: len(SECOND["counts"]) // 2]
DAMAGED = {
    "a text of numbers": ({"size": SIZE, "counts": "12 5 8"}, "the text holds the character ' '"),
    "cut in half": ({"size": SIZE, "counts": HALF}, "expected counts of 2400 pixels in all, which is 40 x 60, got"),
    "cut in a number": ({"size": SIZE, "counts": FIRST["counts"][:1] + "o"}, "ends in the middle of a number"),
    "twice": ({"size": SIZE, "counts": FIRST["counts"] * 2}, "expected counts of 2400 pixels"),
    "empty": ({"size": SIZE, "counts": ""}, "expected counts of 2400 pixels in all, which is 40 x 60, got 0"),
    "no runs": ({"size": SIZE, "counts": []}, "expected counts of 2400 pixels in all, which is 40 x 60, got 0"),
    "short": ({"size": SIZE, "counts": [12, 5, 8]}, "expected counts of 2400 pixels in all, which is 40 x 60, got 25"),
    "negative": ({"size": SIZE, "counts": "O" * 8}, "holds a run of -"),
    "a long number": ({"size": SIZE, "counts": "o" * 100 + "0"}, "holds a number over"),
    "letters": ({"size": SIZE, "counts": "é"}, "holds the character 'é'"),
    "halves": ({"size": SIZE, "counts": [0.5, 2399.5]}, r"a list of whole numbers, got \[0.5, 2399.5\]"),
    "null": ({"size": SIZE, "counts": [None, 2400]}, "a list of whole numbers, got"),
    "texts": ({"size": SIZE, "counts": ["2400"]}, "a list of whole numbers, got"),
    "beyond": ({"size": SIZE, "counts": [10**400, 1]}, "a list of whole numbers, got"),
    "minus": ({"size": SIZE, "counts": [-1, 2401]}, "the counts do not fit 40 x 60"),
    "no counts": ({"size": SIZE, "counts": None}, "expected counts as a text or a list of whole numbers, got None"),
    "no size": ({"size": None, "counts": [2400]}, "expected a mask of 40 x 60 .* got None"),
    "size of three": ({"size": [40, 60, 1], "counts": [2400]}, r"expected a mask of 40 x 60 .* got \[40, 60, 1\]"),
    "size as text": ({"size": "4060", "counts": [2400]}, "expected a mask of 40 x 60 .* got '4060'"),
    "nothing": (None, "expected polygons or a run-length code, got NoneType None"),
    "no polygons": ([], "expected polygons or a run-length code, got an empty list"),
    "pairs": ([[[1, 2], [30, 2], [30, 30]]], r"a polygon must be a list of at least six numbers.* got \[\[1, 2\]"),
    "flat": ([1, 2, 30, 2, 30, 30], "a polygon must be a list of at least six numbers.* got 1"),
    "a box": ([[1, 2, 3, 4]], r"at least six numbers.* got \[1, 2, 3, 4\]"),
    "seven": ([[1, 2, 30, 2, 30, 30, 5]], "at least six numbers.* got 7 numbers"),
    "null in a ring": ([[1, 2, None, 4, 5, 6]], "at least six numbers"),
    "not a number": ([[0, 0, float("nan"), 0, 9, 9]], r"at least six numbers.* got \[0, 0, nan"),
    "far": ([[0, 0, 1e8, 0, 1e8, 1e8]], r"near the 40 x 60 image, got a point at 1e\+08, 0"),
    "farther": ([[0, 0, 1e300, 0, 1, 1]], "near the 40 x 60 image"),
    "too far for floats": ([[0, 0, 10**400, 0, 1, 1]], "at least six numbers"),
    "long way round": ([[0, 0, 60, 40] * 100_000 + [0, 0]], "at most 10000000 pixels round in one image, got 12000000"),
}


def truth_with(**changes):
    entries = [
        {"id": i, "image_id": 0, "segmentation": one, "area": 600} for i, one in enumerate(codes_of(QUARTERS), 1)
    ]
    entries[1] |= changes
    return {"images": [{"id": 0, "height": 40, "width": 60, "file_name": "0.png"}], "annotations": entries}


def load(tmp_path, content):
    (tmp_path / "gt.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return datasets.load(tmp_path / "gt.json")


@pytest.mark.parametrize(("segmentation", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_masks(tmp_path, segmentation, message):
    with pytest.raises(DatasetError, match=rf"gt\.json: annotation 2: .*{message}"):
        load(tmp_path, truth_with(segmentation=segmentation))
    good = {"image_id": 0, "segmentation": FIRST, "score": 0.5}
    (tmp_path / "res.json").write_text(json.dumps([good, {**good, "segmentation": segmentation}]))
    with pytest.raises(ResultsError, match=rf"res\.json: prediction 2 for image 0: .*{message}"):
        load_results(tmp_path / "res.json", quarters())


def test_polygons_a_little_outside_are_cut():
    code = codes.compressed([[-10, -10, 30, -10, 30, 20, -10, 20]], 40, 60, "x")
    assert (codes.decoded(code) == (QUARTERS == 1)).all()


# -- ids, numbers and flags


@pytest.mark.parametrize("image_id", ["0", "000", 0.0])
def test_ids_that_mean_the_same(tmp_path, image_id):
    truth = truth_with()
    for entry in truth["annotations"]:
        entry["image_id"] = image_id
    records = [{"image_id": 0, "segmentation": one, "score": 0.5} for one in codes_of(QUARTERS)]
    (tmp_path / "res.json").write_text(json.dumps(records))
    dataset = load(tmp_path, truth)
    assert metric.evaluate(dataset, load_results(tmp_path / "res.json", dataset))["AP"] == pytest.approx(100)
    for record in records:
        record["image_id"] = image_id
    (tmp_path / "res.json").write_text(json.dumps(records))
    assert metric.evaluate(dataset, load_results(tmp_path / "res.json", dataset))["AP"] == pytest.approx(100)


def test_mixed_ids_are_sorted(tmp_path):
    truth = truth_with()
    truth["images"] += [{"id": i, "height": 4, "width": 6} for i in ("b", 10, "9", "a", 2.0)]
    assert [one.image_id for one in load(tmp_path, truth)] == [0, 2, 10, "9", "a", "b"]


@pytest.mark.parametrize(
    ("value", "crowd"),
    [(0, False), (1, True), ("0", False), ("1", True), (False, False), (1.0, True), (None, False), ("False", False)],
)
def test_crowd_flags(tmp_path, value, crowd):
    assert load(tmp_path, truth_with(iscrowd=value)).images[0].annotations[1].crowd is crowd


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iscrowd": "maybe"}, "annotation 2: iscrowd: expected 0 or 1, got 'maybe'"),
        ({"iscrowd": 2}, "iscrowd: expected 0 or 1, got 2"),
        ({"iscrowd": [0]}, r"iscrowd: expected 0 or 1, got \[0\]"),
        ({"area": "600"}, "area: expected a finite number, got '600'"),
        ({"area": float("nan")}, "annotation 2: area: expected a finite number, got nan"),
        ({"area": 10**400}, "area: expected a finite number"),
        ({"area": -1}, r"annotation 2: expected an area from 0 to 1e\+10 pixels, got -1"),
        ({"id": None}, "annotation number 2: expected a whole number or a text as id, got None"),
        ({"id": 1.5}, "expected a whole number or a text as id, got 1.5"),
        ({"image_id": [0]}, r"annotation 2: image_id: expected a whole number or a text as id, got \[0\]"),
        ({"image_id": True}, "expected a whole number or a text as id, got True"),
        ({"image_id": 10**30}, "expected a whole number or a text as id, got 1000"),
    ],
)
def test_fields_that_cannot_be_told(tmp_path, changes, message):
    with pytest.raises(DatasetError, match=message):
        load(tmp_path, truth_with(**changes))


def test_numbers_beyond_all_bounds_in_the_text(tmp_path):
    with pytest.raises(DatasetError, match="area: expected a finite number, got inf"):
        load(tmp_path, json.dumps(truth_with(area=12345)).replace("12345", "1e999"))


@pytest.mark.parametrize("key", ["id", "image_id", "segmentation"])
def test_fields_that_are_missing(tmp_path, key):
    truth = truth_with()
    del truth["annotations"][1][key]
    with pytest.raises(DatasetError, match=rf"annotation (number )?2: expected the key '{key}', got "):
        load(tmp_path, truth)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 0}, "image 0: height: expected a whole number of at least 1, got 0"),
        ({"width": "60"}, "width: expected a whole number of at least 1, got '60'"),
        ({"height": 10**6, "width": 10**6}, "expected at most 300 megapixels, got 1000000 x 1000000"),
        ({"id": None}, "image number 1: expected a whole number or a text as id, got None"),
        ({"file_name": 7}, "image 0: expected a text as file_name, got 7"),
    ],
)
def test_images_that_cannot_be_used(tmp_path, changes, message):
    truth = truth_with()
    truth["images"][0] |= changes
    with pytest.raises(DatasetError, match=message):
        load(tmp_path, truth)


@pytest.mark.parametrize(
    "content", ["null", "7", '"x"', "[", "[" * 100_000, '{"images": null, "annotations": []}', "[NaN]", "",
                '{"images": {}, "annotations": []}', '{"images": [1], "annotations": []}',
                '{"images": [], "annotations": []}',
                '{"images": [{"id": 1, "height": 4, "width": 6}], "annotations": [null]}',
                '{"images": [{"id": 1, "height": 4, "width": 6}], "annotations": 7}'],
)  # fmt: skip
def test_what_is_no_annotation_file(tmp_path, content):
    with pytest.raises(DatasetError, match=r"gt\.json: (expected|not JSON|'images': expected|'annotations': expected)"):
        load(tmp_path, content)


@pytest.mark.parametrize(
    "content", ["null", "7", "{}", '{"annotations": null}', "[1]", "[null]", "[" * 100_000, "[NaN]", ""]
)
def test_what_is_no_results_file(tmp_path, content):
    (tmp_path / "res.json").write_text(content)
    with pytest.raises(ResultsError, match=r"res\.json: (COCO results: expected|not JSON)"):
        load_results(tmp_path / "res.json", quarters())


# -- joins


def test_annotations_of_no_image_are_counted(tmp_path):
    truth = truth_with()
    truth["annotations"] += [{**truth["annotations"][0], "id": 70 + i, "image_id": "x"} for i in range(3)]
    dataset = load(tmp_path, truth)
    assert len(dataset.images[0].annotations) == 4
    (note,) = dataset.notes
    assert "3 of 7 annotations are of images that the file does not list (annotation 70 of image x, for one)" in note
    for entry in truth["annotations"]:
        entry["image_id"] = "image_0"
    with pytest.raises(
        DatasetError, match="no annotation is of an image that the file lists, as annotation 1 of image image_0"
    ):
        load(tmp_path, truth)


def test_images_that_stand_there_twice(tmp_path):
    truth = truth_with()
    truth["images"] *= 2
    dataset = load(tmp_path, truth)
    assert len(dataset) == 1
    assert "1 images stand there twice" in dataset.notes[0]
    truth["images"][1] = {**truth["images"][1], "id": "0", "height": 41}
    with pytest.raises(DatasetError, match="expected one entry an image, got two different ones with this id"):
        load(tmp_path, truth)


def test_annotations_that_stand_there_twice(tmp_path):
    truth = truth_with()
    truth["annotations"] += copy.deepcopy(truth["annotations"])
    dataset = load(tmp_path, truth)
    assert len(dataset.images[0].annotations) == 4
    assert "4 annotations stand there twice" in dataset.notes[0]


def test_an_empty_mask_is_noted_and_breaks_no_report(tmp_path):
    truth = truth_with()
    truth["annotations"] = [{**truth["annotations"][0], "segmentation": {"size": SIZE, "counts": [2400]}}]
    dataset = load(tmp_path, truth)
    assert "1 annotations have masks of no pixel" in dataset.notes[0]
    (tmp_path / "res.json").write_text(json.dumps([{"image_id": 0, "segmentation": FIRST, "score": 0.5}]))
    report = metric.evaluate(dataset, load_results(tmp_path / "res.json", dataset))
    json.dumps(report, allow_nan=False)
    assert report["covering"] == 0


def test_ids_that_cannot_be_kept(tmp_path):
    for entry_id, message in (("two", "got the text 'two'"), (1, "got 2 annotations with id 1")):
        dataset = load(tmp_path, truth_with(id=entry_id))
        nothing = [load_results_of_nothing(tmp_path, dataset)]
        with pytest.raises(ValueError, match=f"to keep ids, expected whole numbers that differ, {message}"):
            metric.evaluate(dataset, nothing[0], keep_ids=True)
        assert metric.evaluate(dataset, nothing[0])["AP"] == 0


def load_results_of_nothing(tmp_path, dataset):
    (tmp_path / "res.json").write_text("[]")
    return load_results(tmp_path / "res.json", dataset)


def test_too_many_of_anything(tmp_path):
    truth = truth_with()
    truth["annotations"] = [{**truth["annotations"][0], "id": i} for i in range(5001)]
    with pytest.raises(DatasetError, match="image 0: expected at most 5000 entities an image, got 5001"):
        load(tmp_path, truth)
    (tmp_path / "res.json").write_text(json.dumps([{"image_id": 0, "segmentation": FIRST, "score": 0.5}] * 5_001))
    with pytest.raises(ResultsError, match="image 0: expected at most 5000 predictions, got 5001"):
        load_results(tmp_path / "res.json", quarters())


# -- files changed at random

ODD = [None, True, -1, 0, 1.5, 1e8, float("nan"), float("inf"), 10**400, 2**63, "", "1", "../x", "\0", "\ud800", [],
       [[]], {}, [0, 0, 1, 1, 5, 5], {"size": SIZE, "counts": "x"}, "0" * 500, "o" * 50]  # fmt: skip


def changed(content, rng):
    """The content with one value, anywhere in it, replaced, removed, doubled or turned into a text."""
    content = copy.deepcopy(content)
    place = content
    while True:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if not (isinstance(place[key], (dict, list)) and place[key]) or rng.random() < 0.15:
            break
        place = place[key]
    what = rng.random()
    if what < 0.6:
        place[key] = copy.deepcopy(rng.choice(ODD))
    elif what < 0.75:
        del place[key]
    elif what < 0.9 and isinstance(place, list):
        place.insert(key, copy.deepcopy(place[key]))
    else:
        place[key] = str(place[key])[: rng.randrange(1, 60)]
    return content


@pytest.mark.parametrize("block", range(4))
def test_any_change_is_measured_or_refused_by_name(tmp_path, block):
    outcomes = set()
    for seed in range(block * 50, block * 50 + 50):
        rng = random.Random(seed)
        truth, records = (
            truth_with(),
            [{"image_id": 0, "segmentation": one, "score": 0.5} for one in codes_of(QUARTERS)],
        )
        truth["annotations"][2]["segmentation"] = [[0, 20, 30, 20, 30, 40, 0, 40]]
        if rng.random() < 0.5:
            truth = changed(truth, rng)
        else:
            records = changed(records, rng)
        (tmp_path / "res.json").write_text(json.dumps(records))
        message = ""
        try:
            dataset = load(tmp_path, truth)
            report = metric.evaluate(dataset, load_results(tmp_path / "res.json", dataset))
            json.dumps(report, allow_nan=False)
        except (DatasetError, ResultsError) as error:
            message = str(error)
        assert message == "" or message.startswith(str(tmp_path)), seed
        outcomes.add("refused" if message else "measured")
    assert outcomes == {"refused", "measured"}
