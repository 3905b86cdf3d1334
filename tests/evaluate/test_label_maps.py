"""Folders of label maps, and panoptic PNGs, as their makers write them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from test_metric import QUARTERS

from esam_fast.cli import main
from esam_fast.evaluate import datasets, panoptic
from esam_fast.evaluate.datasets import DatasetError

MAP = QUARTERS.astype(np.uint8)
VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128, *([0] * 750), 224, 224, 192]


def save(path, values, palette=None, mode=None):
    path.parent.mkdir(exist_ok=True)
    if palette is None:
        image = Image.fromarray(values, mode)
    else:
        image = Image.new("P", values.shape[::-1])
        image.putdata(values.reshape(-1).tolist())
        image.putpalette(palette)
    image.save(path)


def labels_of(dataset):
    return {truth.image_id: truth.label_map() for truth in dataset}


# -- whose maps they are


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["2007_000033", "2007_000042", "2008_000001"], ["2007_000033", "2007_000042", "2008_000001"]),  # VOC
        (["frame_0001", "frame_0002"], ["frame_0001", "frame_0002"]),
        (["12_0", "12_1", "7_0", "7_1", "7_2"], ["12", "7"]),  # BSDS
        (["12_1", "12_2", "7_1"], ["12", "7"]),
        (["12_3", "12_7", "7_1"], ["12_3", "12_7", "7_1"]),
        (["12", "12_1", "7_1"], ["12", "12_1", "7_1"]),
        (["aachen_000000_000019_gtFine", "aachen_000001_000019_gtFine"],) * 2,
        (["a_5"], ["a_5"]),
        (["a_0"], ["a"]),
        (["one", "two"], ["one", "two"]),
    ],
)
def test_images_and_people(tmp_path, names, ids):
    for name in names:
        save(tmp_path / f"{name}.png", MAP)
    assert sorted(labels_of(datasets.load(tmp_path))) == sorted(ids)


def test_maps_of_different_sizes_are_of_different_images(tmp_path):
    save(tmp_path / "a_1.png", MAP)
    save(tmp_path / "a_2.png", MAP[:30])
    save(tmp_path / "b_1.png", MAP)
    assert sorted(labels_of(datasets.load(tmp_path))) == ["a_1", "a_2", "b_1"]


def test_names_of_images_tell(tmp_path):
    for k in (1, 2, 3):
        save(tmp_path / f"img_{k}.png", MAP)
    with pytest.raises(
        DatasetError, match=r"cannot tell whether img_1\.png to img_3\.png are 3 images or 3 people's maps"
    ):
        datasets.load(tmp_path)
    assert list(labels_of(datasets.load(tmp_path, image_names={"img_1", "img_2", "img_3"}))) == [
        "img_1",
        "img_2",
        "img_3",
    ]
    dataset = datasets.load(tmp_path, image_names={"img", "other"})
    assert list(labels_of(dataset)) == ["img"]
    assert (
        "ID_k.png are taken for several people's maps of 1 images; of each, the one with the median" in dataset.notes[0]
    )
    assert list(labels_of(datasets.load(tmp_path, annotator=2))) == ["img"]


def test_an_annotator_who_did_not_see_every_image(tmp_path):
    for name in ("a_1", "a_2", "b_1"):
        save(tmp_path / f"{name}.png", MAP)
    dataset = datasets.load(tmp_path, annotator=2)
    assert any("1 images have no map of number 2; another counts (b_1.png, for one)" in note for note in dataset.notes)


def test_the_command_looks_at_the_images(tmp_path):
    for name in ("2007_1", "2007_2", "2008_1"):
        save(tmp_path / "labels" / f"{name}.png", MAP)
        save(tmp_path / "images" / f"{name}.jpg", np.repeat(MAP[..., None] * 50, 3, axis=2))
    small = ["--set", "mmg.points_per_side=4", "--set", "emr.points_per_side=4", "--segmenter", "regions"]
    paths = ["--annotations", str(tmp_path / "labels"), "--images", str(tmp_path / "images")]
    done = CliRunner().invoke(main, ["eval", *paths, "--json", str(tmp_path / "o.json"), *small])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "o.json").read_text())["images"] == 3


# -- what the values mean


def test_a_palette_is_of_numbers_and_255_is_void(tmp_path):
    values = MAP - 1  # 0 is background
    values[18:22] = 255
    save(tmp_path / "2007_000033.png", values, VOC)
    dataset = datasets.load(tmp_path)
    wanted = np.where(values == 255, 0, values)
    assert (labels_of(dataset)["2007_000033"] == wanted).all()
    assert "the label 255 is taken for void, not for an entity, in 1 maps" in dataset.notes[0]


def test_255_is_void_in_gray_beside_other_labels(tmp_path):
    save(tmp_path / "a.png", np.where(MAP == 4, 255, MAP))
    save(tmp_path / "b.png", MAP)
    assert labels_of(datasets.load(tmp_path))["a"].max() == 3


def test_255_is_an_entity_where_labels_go_up_to_it(tmp_path):
    save(tmp_path / "a.png", np.arange(256, dtype=np.uint8).reshape(16, 16).repeat(2, axis=0))
    dataset = datasets.load(tmp_path)
    assert (len(dataset.images[0].annotations), dataset.notes) == (255, ())


def test_255_is_an_entity_where_there_is_no_other(tmp_path):
    save(tmp_path / "a.png", np.where(MAP == 1, 255, 0).astype(np.uint8))
    assert (labels_of(datasets.load(tmp_path))["a"] == (MAP == 1)).all()


def test_65535_is_void_in_16_bits(tmp_path):
    save(tmp_path / "a.png", np.where(MAP == 4, 65535, MAP.astype(np.uint16) * 300).astype(np.uint16))
    assert (labels_of(datasets.load(tmp_path))["a"] == MAP % 4).all()


def test_other_forms_of_gray(tmp_path):
    save(tmp_path / "rgb.png", np.repeat(MAP[..., None], 3, axis=2))
    save(tmp_path / "alpha.png", np.dstack([MAP, np.full_like(MAP, 255)]), mode="LA")
    save(tmp_path / "bit.PNG", MAP == 1)
    found = labels_of(datasets.load(tmp_path))
    assert (found["rgb"] == QUARTERS).all()
    assert (found["alpha"] == QUARTERS).all()
    assert (found["bit"] == (QUARTERS == 1)).all()


@pytest.mark.parametrize("bits", [2, 4])
def test_gray_of_few_bits(tmp_path, bits):
    """Written by hand: Pillow writes gray of 8 bits."""
    import struct
    import zlib

    values = np.array([[0, 1, 2, 3]] * 4)
    packed = bytes([sum(v << (8 - bits * (i + 1)) for i, v in enumerate(row)) for row in values.reshape(-1, 8 // bits)])
    rows = np.frombuffer(packed, np.uint8).reshape(4, -1)
    data = zlib.compress(np.hstack([np.zeros((4, 1), np.uint8), rows]).tobytes())

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 4, 4, bits, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert (labels_of(datasets.load(tmp_path))["a"] == values).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.dstack([MAP, MAP, MAP * 2]), "expected a label map in gray or with a palette, got one in colours"),
        (np.arange(96 * 96, dtype=np.uint16).reshape(96, 96), "expected at most 5000 entities an image, got 9215"),
        (b"GIF89a", "expected a PNG, got a damaged file or one of another kind"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 60, "expected a PNG, got a damaged file"),
        (b"", "expected a PNG, got a damaged file"),
    ],
)
def test_what_is_no_label_map(tmp_path, content, message):
    if isinstance(content, bytes):
        (tmp_path / "a.png").write_bytes(content)
    else:
        save(tmp_path / "a.png", content)
    with pytest.raises(DatasetError, match=rf"a\.png: {message}"):
        datasets.load(tmp_path)


# -- panoptic PNGs


def write_panoptic(tmp_path, image, ids, **changes):
    tmp_path.joinpath("p").mkdir(exist_ok=True)
    image.save(tmp_path / "p" / "x.png")
    segments = [{"id": i, "category_id": 1} for i in ids]
    entry = {"image_id": 9, "file_name": "x.png", "segments_info": segments} | changes
    images = [{"id": 9, "file_name": "x.jpg", "height": 40, "width": 60}]
    (tmp_path / "p.json").write_text(json.dumps({"images": images, "annotations": [entry]}))
    return tmp_path / "p.json"


def colours(ids):
    return np.dstack([ids & 255, ids >> 8 & 255, ids >> 16]).astype(np.uint8)


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("image", "ids"),
    [
        (Image.fromarray(colours(QUARTERS * 70_000)), [70_000, 140_000, 210_000, 280_000]),
        (Image.fromarray(MAP), [1, 2, 3, 4]),  # gray: the ids themselves
        (Image.fromarray(QUARTERS.astype(np.uint16) * 1000), [1000, 2000, 3000, 4000]),
        (Image.fromarray(MAP), [65793 * k for k in (1, 2, 3, 4)]),  # colours that a packer found gray
        (Image.fromarray(colours(QUARTERS * 70_000)).quantize(8), [70_000, 140_000, 210_000, 280_000]),
    ],
    ids=["colours", "gray", "gray of 16 bits", "packed into gray", "packed into a palette"],
)
def test_panoptic_files(tmp_path, image, ids, as_text):
    (truth,) = datasets.load(write_panoptic(tmp_path, image, [str(i) if as_text else i for i in ids]))
    assert (truth.label_map() == QUARTERS).all()
    assert [one.area for one in truth.annotations] == [600] * 4


@pytest.mark.parametrize(
    ("ids", "changes", "message"),
    [
        ([1, 2, 3, 4, 5], {}, r"x\.png: expected a segment of id 5, as .*image 9 says, got no such colour"),
        ([1, 1], {}, "image 9: expected one entry a segment, got two of id 1"),
        ([0, 1], {}, "segment id: expected a whole number of at least 1, got 0"),
        (["one"], {}, "segment id: expected a whole number of at least 1, got 'one'"),
        ([1 << 24], {}, "expected segment ids up to 16777215"),
        ([1.5], {}, "segment id: expected a whole number"),
        ([1], {"file_name": "../x.png"}, "image 9: expected a file name inside .*, got '../x.png'"),
        ([1], {"file_name": "/x.png"}, "expected a file name inside"),
        ([1], {"file_name": 7}, "expected a file name, got 7"),
        ([1], {"file_name": "y.png"}, r"y\.png: expected a PNG, got none"),
        ([1], {"segments_info": None}, "segments_info: expected a list of entries, got None"),
        ([1], {"image_id": 8}, "no annotation is of an image that the file lists"),
    ],
)
def test_panoptic_entries_that_cannot_be_used(tmp_path, ids, changes, message):
    with pytest.raises(DatasetError, match=message):
        datasets.load(write_panoptic(tmp_path, Image.fromarray(MAP), ids, **changes))


def test_a_panoptic_png_of_another_size(tmp_path):
    with pytest.raises(DatasetError, match=r"x\.png: expected 40 x 60 pixels as .*image 9 says, got 30 x 60"):
        datasets.load(write_panoptic(tmp_path, Image.fromarray(MAP[:30]), [1, 2]))


def test_what_a_panoptic_file_leaves_out_is_counted(tmp_path):
    path = write_panoptic(tmp_path, Image.fromarray(MAP), [1, 2])
    content = json.loads(path.read_text())
    content["images"].append({"id": 10, "file_name": "y.jpg", "height": 4, "width": 6})
    content["annotations"].append({**content["annotations"][0], "image_id": 11})
    path.write_text(json.dumps(content))
    dataset = datasets.load(path)
    assert [truth.image_id for truth in dataset] == [9]
    text = " ".join(dataset.notes)
    assert "1 of 2 annotations are of images that the file does not list (image 11, for one)" in text
    assert "1 of 2 images have no annotation" in text
    assert "2 colours in its PNGs have no entry in segments_info" in text
    assert panoptic.__doc__
