"""Results out: exact RLE, the formats others read, and no half-written file whatever happens."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from entity_maps import FullDisk, blobs, entity_map
from faster_coco_eval import COCO
from faster_coco_eval.core import mask as coco_mask
from PIL import Image

from esam_fast import _files, export

SHAPES = {
    "blobs": blobs(61, 83, 40),
    "noise": np.random.default_rng(1).integers(0, 9, (40, 50)).astype(np.int32),
    "nothing": np.zeros((7, 9), np.int32),
    "everything": np.ones((7, 9), np.int32),
    "one pixel": np.ones((1, 1), np.int32),
    "row": np.random.default_rng(2).integers(0, 3, (1, 5000)).astype(np.int32),
    "column": np.random.default_rng(3).integers(0, 3, (5000, 1)).astype(np.int32),
    "last pixel": np.pad([[1]], ((8, 0), (6, 0))).astype(np.int32),
    "first pixel": np.pad([[1]], ((0, 8), (0, 6))).astype(np.int32),
}


@pytest.mark.parametrize("block", [1, 50, 1 << 20])
@pytest.mark.parametrize("name", SHAPES)
def test_rle_is_the_mask_apis_own(name, block, monkeypatch):
    monkeypatch.setattr("esam_fast.rle._BLOCK", block)
    monkeypatch.setattr("esam_fast.rle._BATCH", block)
    labels = SHAPES[name]
    codes = export.encode_labels(labels, int(labels.max()))
    assert len(codes) == labels.max()
    for k, code in enumerate(codes):
        expected = coco_mask.encode(np.asfortranarray(labels == k + 1).astype(np.uint8))
        assert code == {"size": list(labels.shape), "counts": expected["counts"].decode()}


def test_rle_of_a_label_that_is_not_there():
    code = export.encode_labels(np.full((3, 4), 2, np.int32), 3)
    assert [coco_mask.area({**c, "counts": c["counts"].encode()}) for c in code] == [0, 12, 0]


def test_coco_results():
    entities = entity_map(blobs(61, 83, 12))
    records = entities.to_coco_results(42)
    assert len(records) == 12
    for k, record in enumerate(records):
        assert set(record) == {"image_id", "category_id", "segmentation", "bbox", "area", "score"}
        assert record["image_id"] == 42
        assert record["category_id"] == 1
        mask = entities.mask(k + 1)
        np.testing.assert_array_equal(coco_mask.decode(record["segmentation"]), mask)
        rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = [cols[0], rows[0], cols[-1] - cols[0] + 1, rows[-1] - rows[0] + 1]
        assert record["bbox"] == box
        assert all(type(v) is float for v in record["bbox"])
        assert record["area"] == mask.sum()
        assert type(record["area"]) is int
        assert record["score"] == float(entities.scores[k])
    assert json.loads(json.dumps(records)) == records


def test_coco_results_load_in_a_coco_api(tmp_path):
    entities = entity_map(blobs(61, 83, 12))
    export.write_coco(tmp_path / "a.json", entities.to_coco_results(7))
    truth = {
        "images": [{"id": 7, "height": 61, "width": 83, "file_name": "a.jpg"}],
        "categories": [export.CATEGORY],
        "annotations": [],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    loaded = COCO(str(tmp_path / "truth.json")).loadRes(str(tmp_path / "a.json"))
    assert len(loaded.anns) == 12


def test_nothing_found():
    entities = entity_map(np.zeros((5, 6)))
    assert entities.to_coco_results("a") == []
    assert entities.to_amg_records() == []


def test_amg_records():
    entities = entity_map(blobs(61, 83, 12))
    records = entities.to_amg_records()
    for k, record in enumerate(records):
        keys = "segmentation area bbox predicted_iou point_coords stability_score crop_box"
        assert set(record) == set(keys.split())
        assert record["segmentation"].dtype == np.bool_
        np.testing.assert_array_equal(record["segmentation"], entities.mask(k + 1))
        assert record["area"] == entities.areas[k]
        assert record["bbox"] == [int(v) for v in entities.to_coco_results(0)[k]["bbox"]]
        assert record["predicted_iou"] == float(entities.scores[k])
        assert record["stability_score"] == float(entities.stability[k])
        assert record["point_coords"] == [entities.points[k].tolist()]
        assert record["crop_box"] == [0, 0, 83, 61]


# Files


def test_masks_that_no_machine_holds_are_refused():
    labels = np.broadcast_to(np.int32(1), (20000, 20000))
    with pytest.raises(ValueError, match="at most 16 GB of masks, got 37 for 100 entities of 20000 x 20000 pixels"):
        export.segmentations(labels, np.zeros((100, 4), np.int32), "binary_mask")


@pytest.mark.parametrize("block", [1, 50, 1 << 20])
@pytest.mark.parametrize("name", SHAPES)
def test_label_png_keeps_every_label(tmp_path, name, block, monkeypatch):
    monkeypatch.setattr("esam_fast.export.labels._BLOCK", block)
    export.write_labels(tmp_path / "a.png", SHAPES[name])
    read = np.asarray(Image.open(tmp_path / "a.png"))
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, SHAPES[name])


def test_label_png_holds_65535_entities_and_no_more(tmp_path):
    labels = np.arange(65536, dtype=np.int32).reshape(256, 256)
    export.write_labels(tmp_path / "a.png", labels)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), labels)
    with pytest.raises(ValueError, match="labels must be at most 65535 for a 16-bit PNG, got 65536 entities"):
        export.write_labels(tmp_path / "b.png", labels + 1)
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("block", [1, 1000, 1 << 20])
def test_more_labels_go_to_a_tiff_of_32_bits(tmp_path, block, monkeypatch):
    monkeypatch.setattr("esam_fast.export.labels._BLOCK", block)
    labels = np.arange(300 * 250, dtype=np.int32).reshape(300, 250)
    export.write_labels(tmp_path / "a.tif", labels)
    with Image.open(tmp_path / "a.tif") as image:
        np.testing.assert_array_equal(np.asarray(image), labels)
    found = tifffile.imread(tmp_path / "a.tif")
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(found, labels)
    assert export.is_result(tmp_path / "a.tif")
    assert export.labels_file(labels) == (".tif", (tmp_path / "a.tif").read_bytes())
    assert export.labels_file(labels % 65536)[0] == ".png"


def test_save_writes_a_tiff_where_a_png_is_too_shallow(tmp_path):
    entities = entity_map(np.arange(300 * 250).reshape(300, 250))
    assert entities.save(tmp_path, "a", ["labels"]) == [tmp_path / "a.tif"]
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), entities.labels)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_json_has_no_nan(tmp_path, bad):
    with pytest.raises(ValueError, match="JSON"):
        export.write_coco(tmp_path / "a.json", [{"score": bad}])
    assert os.listdir(tmp_path) == []


def test_panoptic(tmp_path):
    labels = np.zeros((20, 30), np.int32)
    labels[:, :29] = np.arange(20 * 29).reshape(20, 29)  # more than 255, so that two channels are used
    entities = entity_map(labels)
    export.write_panoptic(tmp_path / "a_panoptic.png", entities, 5, "a.jpg")
    rgb = np.asarray(Image.open(tmp_path / "a_panoptic.png")).astype(np.int32)
    np.testing.assert_array_equal(rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2], labels)
    described = json.loads((tmp_path / "a_panoptic.json").read_text())
    assert described["images"] == [{"id": 5, "file_name": "a.jpg", "height": 20, "width": 30}]
    (annotation,) = described["annotations"]
    assert annotation["image_id"] == 5
    assert annotation["file_name"] == "a_panoptic.png"
    assert [s["id"] for s in annotation["segments_info"]] == list(range(1, len(entities) + 1))
    first = annotation["segments_info"][0]
    assert first == {"id": 1, "category_id": 1, "area": 1, "bbox": [1, 0, 1, 1], "iscrowd": 0}
    assert described["categories"][0]["id"] == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_pictures_are_rgb(tmp_path, suffix):
    picture = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    export.write_image(tmp_path / f"a{suffix}", picture)
    read = np.asarray(Image.open(tmp_path / f"a{suffix}"))
    assert np.abs(read.astype(int) - picture).max() <= (2 if suffix == ".jpg" else 0)


# Whole or not at all


def test_an_older_file_is_replaced(tmp_path):
    (tmp_path / "a").write_bytes(b"old and longer")
    export.write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_files_have_ordinary_permissions(tmp_path):
    (tmp_path / "other").touch()
    export.write_bytes(tmp_path / "a", b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_long_name_can_be_written(tmp_path):
    export.write_bytes(tmp_path / ("n" * 255), b"x")
    assert os.listdir(tmp_path) == ["n" * 255]


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_disk_full(tmp_path, monkeypatch, size):
    monkeypatch.setattr(_files, "locked", FullDisk)
    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.png'") as caught:
        export.write_bytes(tmp_path / "a.png", bytes(size))
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_write_that_stops_half_way(tmp_path):
    """The kernel itself stops the write after 1000 bytes."""
    (tmp_path / "a").write_bytes(b"old")
    program = (
        "import resource, sys; from esam_fast.export import write_bytes\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "write_bytes(sys.argv[1], bytes(100_000))"
    )
    run = subprocess.run([sys.executable, "-c", program, tmp_path / "a"], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert f"File too large: '{tmp_path / 'a'}'" in run.stderr
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), PermissionError(errno.EACCES, "Permission denied")])
def test_stopped_before_the_last_step(tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(type(error)):
        export.write_bytes(tmp_path / "a", b"x")
    assert os.listdir(tmp_path) == []


def test_no_permission(tmp_path, monkeypatch):
    def refuse(path, *_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError, match=r"Permission denied: '.*a\.png'"):
        export.write_bytes(tmp_path / "a.png", b"x")


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"'.*no.a\.png'"):
        export.write_bytes(tmp_path / "no" / "a.png", b"x")


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"'.*file.a\.png'"):
        export.write_bytes(tmp_path / "file" / "a.png", b"x")


def test_name_that_is_a_folder(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OSError, match=r"'.*a\.png'"):
        export.write_bytes(tmp_path / "a.png", b"x")
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda to: export.write_labels(to, 5), TypeError, "labels must be a NumPy array of int32, got int"),
        (lambda to: export.write_labels(to, -np.eye(3, dtype=np.int32)), ValueError, "labels must .* be 0 or more"),
        (lambda to: export.write_labels(to, np.zeros((0, 3), np.int32)), ValueError, "labels must have pixels"),
        (lambda to: export.write_image(to, [1]), TypeError, "image must be a NumPy array of uint8, got list"),
        (lambda to: export.write_image(to, np.zeros((0, 3, 4), np.uint8)), ValueError, "image must have pixels"),
        (lambda to: export.write_image(to, np.zeros((2, 2, 2), np.uint8)), ValueError, "image must have 3 channels"),
        (lambda to: export.write_panoptic(to, None, 1, "a.jpg"), TypeError, "entities must be an EntityMap, got None"),
        (lambda to: export.coco_results({}, 1), TypeError, "entities must be an EntityMap, got dict"),
        (lambda to: export.amg_records("x"), TypeError, "entities must be an EntityMap, got str"),
        (lambda to: entity_map(blobs(4, 5, 2)).save(to.parent, 5), TypeError, "stem must be a str, got int"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path, call, error, message):
    with pytest.raises(error, match=message):
        call(tmp_path / "a.png")
    assert not any(tmp_path.iterdir())
