"""Ground truth of every kind of file."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from PIL import Image
from test_metric import QUARTERS, codes_of, partition

from esam_fast import rle
from esam_fast.evaluate import codes, datasets
from esam_fast.evaluate.datasets import DatasetError
from esam_fast.evaluate.names import ImageFiles

POLYGON = [[5, 10, 40, 10, 40, 20, 5, 20]]


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def coco(tmp_path, **changes):
    entry = {"id": 5, "image_id": 3, "category_id": 2, "segmentation": codes_of(QUARTERS)[1], "area": 7, "iscrowd": 0}
    images = [{"id": 3, "height": 40, "width": 60, "file_name": "a/b.jpg"}, {"id": 1, "height": 4, "width": 6}]
    return write(tmp_path / "gt.json", {"images": images, "annotations": [{**entry, **changes}]})


def test_coco(tmp_path):
    dataset = datasets.load(coco(tmp_path))
    assert [truth.image_id for truth in dataset] == [1, 3]
    empty, truth = dataset
    assert (empty.annotations, truth.file, truth.height, truth.width) == ([], "a/b.jpg", 40, 60)
    (one,) = truth.annotations
    assert (one.id, one.area, one.crowd) == (5, 7, False)
    assert (codes.decoded(one.code) == (QUARTERS == 2)).all()
    assert (truth.label_map() == (QUARTERS == 2)).all()
    assert len(dataset.limited(1)) == 1
    assert len(dataset.limited(None)) == 2


@pytest.mark.parametrize(
    "segmentation",
    [POLYGON, {"size": [40, 60], "counts": rle.encode(QUARTERS == 3)["counts"]}],
    ids=["polygon", "counts"],
)
def test_other_forms_of_masks(tmp_path, segmentation):
    (one,) = datasets.load(coco(tmp_path, segmentation=segmentation)).images[1].annotations
    wanted = QUARTERS == 3
    if segmentation is POLYGON:
        wanted = np.zeros((40, 60), bool)
        wanted[10:20, 5:40] = True
    assert (codes.decoded(one.code) == wanted).all()


def test_of_overlapping_annotations_the_smaller_is_on_top_in_the_label_map(tmp_path):
    entries = [
        {"id": i, "image_id": 1, "segmentation": code}
        for i, code in enumerate(rle.compress([rle.encode(QUARTERS == 1), rle.encode(QUARTERS > 0)]))
    ]
    path = write(tmp_path / "gt.json", {"images": [{"id": 1, "height": 40, "width": 60}], "annotations": entries})
    assert (datasets.load(path).images[0].label_map() == np.where(QUARTERS == 1, 1, 2)).all()


def test_areas_are_measured_where_the_file_has_none(tmp_path):
    path = coco(tmp_path)
    content = json.loads(path.read_text())
    del content["annotations"][0]["area"]
    (one,) = datasets.load(write(path, content)).images[1].annotations
    assert one.area == 600


def panoptic(tmp_path, masks):
    ids = np.where(QUARTERS == 4, 0, QUARTERS * 70000)
    masks.mkdir(exist_ok=True)
    cv2.imwrite(str(masks / "x.png"), np.stack([ids >> 16, ids >> 8 & 255, ids & 255], axis=-1).astype(np.uint8))
    segments = [{"id": k * 70000, "area": 600, "iscrowd": int(k == 3), "category_id": k} for k in (1, 2, 3)]
    content = {
        "images": [{"id": 9, "file_name": "x.jpg", "height": 40, "width": 60}],
        "annotations": [{"image_id": 9, "file_name": "x.png", "segments_info": segments}],
    }
    return write(tmp_path / "panoptic.json", content)


@pytest.mark.parametrize("folder", ["panoptic", ".", "elsewhere"])
def test_panoptic(tmp_path, folder):
    masks = tmp_path / folder
    path = panoptic(tmp_path, masks)
    (truth,) = datasets.load(path, panoptic_masks=masks if folder == "elsewhere" else None)
    assert (truth.image_id, truth.file, [a.crowd for a in truth.annotations]) == (9, "x.jpg", [False, False, True])
    assert (truth.label_map() == QUARTERS % 4).all()


def label_folder(tmp_path):
    folder = tmp_path / "labels"
    folder.mkdir()
    for k, n in enumerate((2, 9, 5)):
        labels = partition(np.random.default_rng(k), 30, 40, n) + 1
        Image.fromarray(labels.astype(np.uint16)).save(folder / f"12_{k}.png")
    Image.fromarray(QUARTERS.astype(np.uint8)).save(folder / "plain.png")
    return folder


def test_label_maps(tmp_path):
    folder = label_folder(tmp_path)
    images = {truth.image_id: truth for truth in datasets.load(folder)}
    assert sorted(images) == ["12", "plain"]
    assert len(images["12"].annotations) == len(np.unique(partition(np.random.default_rng(2), 30, 40, 5)))
    assert (images["plain"].label_map() == QUARTERS).all()
    chosen = {truth.image_id: truth for truth in datasets.load(folder, annotator=0)}
    assert len(chosen["12"].annotations) < len(images["12"].annotations)
    numbers = [a.id for truth in datasets.load(folder) for a in truth.annotations]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_image_of_annotations(tmp_path):
    dataset = datasets.load(coco(tmp_path))
    files = ImageFiles(tmp_path, dataset)
    (tmp_path / "b.jpg").touch()
    assert files.path(dataset.images[1]) == tmp_path / "b.jpg"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.jpg").touch()
    assert files.path(dataset.images[1]) == tmp_path / "a" / "b.jpg"
    (tmp_path / "plain.jpg").touch()
    folder = label_folder(tmp_path)
    maps = datasets.load(folder)
    assert ImageFiles(tmp_path, maps).path(maps.images[1]) == tmp_path / "plain.jpg"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected COCO annotations with 'images' and 'annotations'"),
        ('{"images": [{"id": 1}], "annotations": []}', r"gt\.json: image 1: expected the key 'height', got id"),
    ],
)
def test_what_is_no_dataset(tmp_path, content, message):
    (tmp_path / "gt.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        datasets.load(tmp_path / "gt.json")


def test_annotations_that_cannot_be_used(tmp_path):
    with pytest.raises(DatasetError, match="annotation 5: expected a mask of 40 x 60"):
        datasets.load(coco(tmp_path, segmentation={"size": [4, 6], "counts": [24]}))
    path = panoptic(tmp_path, tmp_path / "panoptic")
    (tmp_path / "panoptic" / "x.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"x\.png: expected a PNG, got a damaged file"):
        datasets.load(path)
    with pytest.raises(DatasetError, match="expected label maps"):
        datasets.load(tmp_path / "panoptic" / "..")
    with pytest.raises(DatasetError, match="No such file"):
        datasets.load(tmp_path / "none.json")
