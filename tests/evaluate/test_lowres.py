"""resize-lr: sizes, names that clash, sources that change, paths that lead out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from test_datasets import coco, write
from test_eval_commands import results_of_another_tool
from test_metric import QUARTERS, codes_of

from esam_fast.cli import main
from esam_fast.evaluate import datasets
from esam_fast.evaluate.lowres import is_low_resolution, low_resolution, shrink_dataset
from esam_fast.evaluate.truth import Dataset, DatasetError, Truth


def run(*args):
    return CliRunner().invoke(main, [str(a) for a in args])


def shrink(folder, *more):
    return run(
        "resize-lr", "--annotations", folder / "gt.json", "--images", folder / "in", "--out", folder / "out", *more
    )


@pytest.fixture
def colours(tmp_path):
    """A function that makes images of one colour, 40 x 60, and annotations that name them."""

    def make(**names_and_colours):
        (tmp_path / "in").mkdir(exist_ok=True)
        images = []
        for i, (name, colour) in enumerate(names_and_colours.items(), start=1):
            (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (60, 40), colour).save(tmp_path / "in" / name, lossless=True)
            images.append({"id": i, "height": 40, "width": 60, "file_name": name})
        entry = {"id": 5, "image_id": 1, "segmentation": codes_of(QUARTERS)[1]}
        write(tmp_path / "gt.json", {"images": images, "annotations": [entry]})
        return tmp_path

    return make


def colour_of(folder, image_id):
    content = json.loads((folder / "out" / "gt_lr.json").read_text())
    (name,) = [image["file_name"] for image in content["images"] if image["id"] == image_id]
    with Image.open(folder / "out" / "images_lr" / name) as image:
        return image.convert("RGB").getpixel((300, 300))


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((1600, 2400), (800, 1200)), ((3000, 1000), (1333, 444)), ((100, 150), (800, 1200)), ((801, 1333), (800, 1331)),
     ((1, 100_000), (1, 1333))],
)  # fmt: skip
def test_low_resolution(size, wanted):
    assert low_resolution(*size) == wanted


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ([(800, 1200), (1333, 444)], True),
        ([(800, 1199)], True),
        ([(800, 1200), (1600, 2400)], False),
        ([(40, 60)], False),
    ],
)
def test_which_datasets_are_of_low_resolution(sizes, wanted):
    assert is_low_resolution(Dataset("x", [Truth(i, "", h, w, []) for i, (h, w) in enumerate(sizes)])) == wanted


def test_a_dataset_of_low_resolution(tmp_path):
    path = coco(tmp_path)
    content = json.loads(path.read_text())
    content["images"] = content["images"][:1]
    write(path, content)
    (tmp_path / "a").mkdir()
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "a" / "b.jpg")
    target = shrink_dataset(path, tmp_path, tmp_path / "out")
    (truth,) = datasets.load(target)
    assert (truth.height, truth.width) == (800, 1200)
    with Image.open(tmp_path / "out" / "images_lr" / "a" / "b.jpg") as image:
        assert image.size == (1200, 800)
    (one,) = truth.annotations
    assert one.area == 400 * 600
    before = (tmp_path / "out" / "images_lr" / "a" / "b.jpg").stat().st_mtime_ns
    shrink_dataset(path, tmp_path, tmp_path / "out")
    assert (tmp_path / "out" / "images_lr" / "a" / "b.jpg").stat().st_mtime_ns == before


def test_resize_lr(tmp_path):
    truth, _ = results_of_another_tool(tmp_path)
    Image.new("RGB", (60, 40)).save(tmp_path / "8.jpg")
    done = run("resize-lr", "--annotations", truth, "--images", tmp_path, "--out", tmp_path / "lr")
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "lr" / "entity_val_lr.json").read_text())
    assert [(i["height"], i["width"]) for i in content["images"]] == [(800, 1200)]
    assert [a["area"] for a in content["annotations"]] == [400 * 600] * 4


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def near(a, b):
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) <= 3


@pytest.mark.parametrize(
    "names", [("a.jpg", "a.webp"), ("a.png", "a.PNG"), ("a.bmp", "a.webp"), ("A.jpg", "a.webp"), ("b/a.jpg", "b/a.tif")]
)
def test_images_whose_names_would_be_one(colours, names):
    folder = colours(**{names[0]: RED, names[1]: GREEN, "c.png": BLUE})
    done = shrink(folder)
    assert done.exit_code == 0, done.output
    assert near(colour_of(folder, 1), RED)
    assert near(colour_of(folder, 2), GREEN)
    assert near(colour_of(folder, 3), BLUE)
    again = datasets.load(folder / "out" / "gt_lr.json")
    assert len({truth.file.lower() for truth in again}) == 3


def test_a_source_that_changed_is_shrunk_again(colours):
    folder = colours(**{"a.png": RED, "b.png": GREEN})
    assert shrink(folder).exit_code == 0
    colours(**{"a.png": BLUE, "b.png": GREEN})
    assert shrink(folder).exit_code == 0
    assert (colour_of(folder, 1), colour_of(folder, 2)) == (BLUE, GREEN)


def test_a_small_image_that_is_not_what_was_written_is_made_again(colours):
    folder = colours(**{"a.png": RED})
    assert shrink(folder).exit_code == 0
    (folder / "out" / "images_lr" / "a.png").write_bytes(b"cut")
    assert shrink(folder).exit_code == 0
    assert colour_of(folder, 1) == RED


def test_what_lies_there_already_is_not_taken_for_done(colours):
    folder = colours(**{"a.png": RED})
    (folder / "out" / "images_lr").mkdir(parents=True)
    Image.new("RGB", (1200, 800), BLUE).save(folder / "out" / "images_lr" / "a.png")
    assert shrink(folder).exit_code == 0
    assert colour_of(folder, 1) == RED


def test_one_bad_image_does_not_stop_the_others(colours):
    folder = colours(**{"a.png": RED, "b.png": GREEN, "c.png": BLUE})
    assert shrink(folder).exit_code == 0
    (folder / "in" / "a.png").write_bytes(b"no image")
    Image.new("RGB", (40, 60)).save(folder / "in" / "b.png")
    done = shrink(folder)
    assert done.exit_code == 1
    assert "a.png: expected an image" in done.output
    assert "b.png: expected 40 x 60 pixels (height x width, as annotated), got 60 x 40" in done.output
    assert "2 of 3 images failed" in done.output
    assert colour_of(folder, 3) == BLUE
    assert [p.name for p in (folder / "out" / "images_lr").iterdir()] == ["c.png"]  # nothing of an older source


def test_another_dataset_in_the_same_folder_is_refused(colours):
    folder = colours(**{"a.png": RED})
    assert shrink(folder).exit_code == 0
    (folder / "gt.json").rename(folder / "other.json")
    done = run("resize-lr", "--annotations", folder / "other.json", "--images", folder / "in", "--out", folder / "out")
    assert done.exit_code == 1
    assert "holds the images of another run (other dataset); remove it, or choose another --out" in done.output


@pytest.mark.parametrize(
    "name", ["../x/a.png", "in/../../a.png", "..\\a.png", "/etc/a.png", "C:\\a.png", "\\\\host\\a.png"]
)
def test_names_that_lead_out_are_refused(colours, name):
    folder = colours(**{"a.png": RED})
    content = json.loads((folder / "gt.json").read_text())
    content["images"][0]["file_name"] = name
    write(folder / "gt.json", content)
    Image.new("RGB", (60, 40), GREEN).save(folder / "a.png")
    before = sorted(p for p in folder.rglob("*") if p.is_file())
    done = shrink(folder)
    assert done.exit_code == 1
    assert repr(name) in done.output
    assert sorted(p for p in folder.rglob("*") if p.is_file()) == before
    with pytest.raises(DatasetError, match="expected a file name inside"):
        shrink_dataset(folder / "gt.json", folder / "in", folder / "out")


def test_links_that_lead_out_are_refused(colours):
    folder = colours(**{"a.png": RED})
    (folder / "in" / "a.png").rename(folder / "a.png")
    (folder / "in" / "a.png").symlink_to(folder / "a.png")
    done = shrink(folder)
    assert done.exit_code == 1
    assert "is a link to" in done.output


def test_backslashes_are_folders(colours):
    folder = colours(**{"b/a.png": RED})
    content = json.loads((folder / "gt.json").read_text())
    content["images"][0]["file_name"] = "b\\a.png"
    write(folder / "gt.json", content)
    assert shrink(folder).exit_code == 0
    assert colour_of(folder, 1) == RED
    assert (folder / "out" / "images_lr" / "b" / "a.png").is_file()
