"""Results that are matched by name, and the files of images."""

from __future__ import annotations

import json
import os

import pytest
from click.testing import CliRunner
from PIL import Image
from test_metric import QUARTERS, codes_of

from esam_fast.cli import main
from esam_fast.evaluate import datasets, metric, names
from esam_fast.evaluate.names import ImageFiles
from esam_fast.evaluate.results import ResultsError, load_results, read
from esam_fast.evaluate.truth import Truth
from esam_fast.images import ImageError


def truths(*files):
    return [Truth(i, file, 40, 60, []) for i, file in enumerate(files)]


@pytest.mark.parametrize(
    ("given", "files", "wanted"),
    [
        (["a.jpg"], ["a.jpg", "a.png"], [0]),
        (["a"], ["a.jpg", "b.jpg"], [0]),
        (["a.jpg", "a.png"], ["a.jpg", "a.png"], [0, 1]),
        (["d/a", "e/a"], ["d/a.jpg", "e/a.jpg"], [0, 1]),
        (["a"], ["d\\a.jpg"], [0]),
        (["x/y/a"], ["a.jpg"], [0]),
        (["a", "x"], ["a.jpg", "b.jpg"], [0, None]),
        (["a.tif"], ["a.jpg"], [0]),
        (["a", "x/a"], ["a.jpg"], [0, None]),
    ],
)
def test_which_image_a_name_means(given, files, wanted):
    found = names.join(dict(enumerate(given)), truths(*files))
    assert [found[k].image_id if k in found else None for k in range(len(given))] == wanted


@pytest.mark.parametrize(
    ("given", "files", "message"),
    [
        (["a"], ["a.jpg", "a.png"], r"'a' may mean a\.jpg or a\.png"),
        (["a"], ["d/a.jpg", "e/a.jpg"], r"'a' may mean d/a\.jpg or e/a\.jpg"),
        (["x/a", "y/a"], ["a.jpg"], r"'x/a' and 'y/a' both mean a\.jpg"),
    ],
)
def test_names_that_cannot_be_told(given, files, message):
    with pytest.raises(ValueError, match=message):
        names.join(dict(enumerate(given)), truths(*files))


def test_files_of_images(tmp_path):
    for name in ("a.jpg", "d/b.png", "c.jpg", "c.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    known = truths("a.jpg", "x/a2.jpg", "d\\b.png", "d/b", "c", "x/c.jpg", "y/c.jpg", "../a.jpg", "", "x/a.jpg")
    files = ImageFiles(tmp_path, known[:-1])
    assert files.path(known[0]) == tmp_path / "a.jpg"
    assert files.path(known[2]) == tmp_path / "d" / "b.png"
    assert files.path(known[3]) == tmp_path / "d" / "b.png"
    for truth, message in (
        (known[1], "no such file"),
        (known[4], r"expected one image of this name, got c\.jpg and c\.webp"),
        (known[5], "no such file"),  # c.jpg may be that of x or of y
        (known[7], r"image 7: expected a file name inside .*, got '\.\./a\.jpg'"),
        (known[8], "8: no such file"),
    ):
        with pytest.raises(ImageError, match=message):
            files.path(truth)


def test_names_cannot_write_to_the_terminal(tmp_path):
    image = {"id": 1, "height": 4, "width": 6, "file_name": "\x1b[2J.png"}
    (tmp_path / "gt.json").write_text(json.dumps({"images": [image], "annotations": []}))
    arguments = ["--annotations", tmp_path / "gt.json", "--images", tmp_path, "--out", tmp_path / "out"]
    done = CliRunner().invoke(main, ["resize-lr", *map(str, arguments)])
    assert done.exit_code == 1
    told = [line for line in done.output.splitlines() if "no such file" in line]
    assert len(told) == 2
    assert all("\\x1b[2J.png: no such file" in line for line in told)
    assert not any("\x1b" in line for line in told)


@pytest.fixture
def annotated(tmp_path):
    """Two images, a/1.jpg and a/2.jpg, of four quarters each."""
    images = [{"id": i, "height": 40, "width": 60, "file_name": f"a/{i}.jpg"} for i in (1, 2)]
    entries = [
        {"id": 4 * i + k, "image_id": i, "segmentation": code}
        for i in (1, 2)
        for k, code in enumerate(codes_of(QUARTERS))
    ]
    (tmp_path / "gt.json").write_text(json.dumps({"images": images, "annotations": entries}))
    return tmp_path


def records(image_id, count=4):
    return [{"image_id": image_id, "segmentation": code, "score": 0.5} for code in codes_of(QUARTERS)[:count]]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def found_in(folder, name="res"):
    return [len(one) for one in load_results(folder / name, datasets.load(folder / "gt.json"))]


@pytest.mark.parametrize("place", ["a/", "", "x/y/"])
def test_a_folder_of_results(annotated, place):
    """Whatever image ids its files give."""
    write(annotated / f"res/{place}1.json", records("one", 3))
    write(annotated / f"res/{place}2.json", records(1, 2))
    assert found_in(annotated) == [3, 2]


def test_what_else_segment_writes_is_left_aside(annotated):
    write(annotated / "res/1.json", records(1))
    write(annotated / "res/labelme/2.json", {"version": 5, "shapes": []})
    write(annotated / "res/run.json", {"config": {}})
    write(annotated / "res/panoptic/1.json", {"images": []})
    write(annotated / "res/coco.json", {"images": [], "annotations": []})
    write(annotated / "res/9.json", records(9))
    dataset = datasets.load(annotated / "gt.json")
    predictions, notes = read(annotated / "res").matched(dataset)
    assert [len(one) for one in predictions] == [4, 0]
    (note,) = notes
    assert "1 JSON files are of no annotated image (9.json, for one)" in note


def test_one_file_for_all_is_matched_by_name(annotated):
    images = [{"id": 7, "file_name": "a/2.jpg"}, {"id": 2, "file_name": "a\\1.jpg"}]
    write(annotated / "res/coco.json", {"images": images, "annotations": [*records(7, 3), *records(2, 1)]})
    assert found_in(annotated) == [1, 3]
    assert found_in(annotated, "res/coco.json") == [1, 3]


def test_names_that_are_not_annotated_leave_the_ids(annotated):
    images = [{"id": 1, "file_name": "x.jpg"}, {"id": 2, "file_name": "y.jpg"}]
    write(annotated / "res.json", {"images": images, "annotations": [*records(1, 1), *records(2, 3)]})
    assert found_in(annotated, "res.json") == [1, 3]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "expected what segment writes, a NAME.json for every image, got no JSON file"),
        (
            {"8.json": [], "9.json": []},
            r"expected NAME\.json for images of the annotations, as a/1\.jpg, got 2 others, as 8\.json",
        ),
        ({"1.json": {"shapes": []}}, r"1\.json: COCO results: expected a list of entries, got None"),
        ({"1.json": [{"score": 1}]}, r"1\.json: prediction 1 for image 1: expected the key 'segmentation', got score"),
        ({"x/1.json": [], "y/1.json": []}, r"'x/1' and 'y/1' both mean a/1\.jpg"),
    ],
)
def test_folders_that_cannot_be_used(annotated, files, message):
    (annotated / "res").mkdir()
    for name, content in files.items():
        write(annotated / "res" / name, content)
    with pytest.raises(ResultsError, match=message):
        found_in(annotated)


def test_the_command_on_a_folder_that_segment_wrote(annotated):
    for i in (1, 2):
        Image.new("RGB", (60, 40), (90 * i, 0, 0)).save(annotated / f"{i}.jpg")
    command = ["segment", *(str(annotated / f"{i}.jpg") for i in (1, 2)), "--out", str(annotated / "res")]
    assert CliRunner().invoke(main, [*command, "--segmenter", "regions"]).exit_code == 0
    before = sorted(annotated.rglob("*"))
    done = CliRunner().invoke(
        main, ["eval", "--annotations", str(annotated / "gt.json"), "--results", str(annotated / "res")]
    )
    assert done.exit_code == 0, done.output
    assert "| res |" in done.output
    assert "95 % intervals over images: AP^e " in done.output
    assert sorted(annotated.rglob("*")) == before


def test_ids_that_cannot_be_told_apart(tmp_path):
    (tmp_path / "labels").mkdir()
    for name in ("7", "007"):
        Image.fromarray(QUARTERS.astype("uint8")).save(tmp_path / "labels" / f"{name}.png")
    write(tmp_path / "res.json", records(7))
    with pytest.raises(ResultsError, match="image ids cannot tell 007 and 7 of the annotations apart"):
        load_results(tmp_path / "res.json", datasets.load(tmp_path / "labels"))


def test_results_of_images_beyond_the_limit_are_no_strangers(annotated):
    write(annotated / "res.json", [*records(1, 2), *records(2)])
    dataset = datasets.load(annotated / "gt.json").limited(1)
    assert [len(one) for one in load_results(annotated / "res.json", dataset)] == [2]
    assert metric.evaluate(dataset, load_results(annotated / "res.json", dataset))["images"] == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_a_pipe_is_no_results_file(annotated):
    os.mkfifo(annotated / "pipe.json")
    with pytest.raises(ResultsError, match=r"pipe\.json: expected a regular file, got a pipe"):
        found_in(annotated, "pipe.json")
