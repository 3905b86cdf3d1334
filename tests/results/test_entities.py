"""What an EntityMap answers."""

from __future__ import annotations

import json

import cv2
import numpy as np
import PIL.Image
import pytest
from libraries import library
from scene import scene

from esam_fast import EntityMap, Esam, MaskGrid, PackedMasks, load_segmenter

LABELS = np.array([[1, 1, 0, 2], [1, 3, 3, 2], [0, 3, 0, 2]], np.int32)
IMAGE = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)


def entity_map(**changes) -> EntityMap:
    fields = {
        "labels": LABELS,
        "scores": np.array([0.75, 0.5, 0.25], np.float32),
        "areas": np.array([3, 3, 3]),
        "boxes": np.array([[0, 0, 2, 2], [3, 0, 4, 3], [1, 1, 3, 3]], np.int32),
        "points": np.array([[0.5, 0.5], [3.5, 1.5], [1.5, 1.5]], np.float32),
        "stability": np.array([0.9, 0.8, 0.7], np.float32),
        "timings": {"total": 0.5},
        "grid": MaskGrid(8, 8, 8.0, 8.0, 3, 4),
        "stages": {"usr": PackedMasks.empty((8, 8))},
        "prompts": {"mmg": 4, "gallery": 2, "usr": 1},
    }
    return EntityMap(**{**fields, **changes})


def test_one_line_tells_what_it_is():
    assert repr(entity_map()) == "EntityMap(3 entities, 4 x 3 pixels, 75.0% covered)"
    assert repr(entity_map().filter(min_score=0.6)) == "EntityMap(1 entity, 4 x 3 pixels, 25.0% covered)"


def test_at():
    found = entity_map()
    assert [found.at(x, 1) for x in range(4)] == [1, 3, 3, 2]
    assert found.at(2.99, 0.01) == 0
    assert found.at(np.float32(3), np.int64(2)) == 2
    for x, y in ((4, 0), (-0.1, 0), (0, 3), (0, -1)):
        with pytest.raises(IndexError, match=f"the point must lie in the image of 4 x 3 pixels, got x {x}, y {y}"):
            found.at(x, y)
    with pytest.raises(TypeError, match="x must be a number, got str"):
        found.at("1", 0)
    with pytest.raises(ValueError, match="y must be finite"):
        found.at(1, float("nan"))


def test_iteration():
    found = list(entity_map())
    assert [entity.label for entity in found] == [1, 2, 3]
    assert found[1] == (2, 0.5, 3, (3, 0, 4, 3), (3.5, 1.5))
    assert [type(value) for value in found[0]] == [int, float, int, tuple, tuple]
    assert list(entity_map().filter(min_area=4)) == []


def test_places_are_those_of_the_arrays():
    found = entity_map()
    assert [found[k] for k in range(len(found))] == list(found) == [found[k] for k in (-3, -2, -1)]
    assert found[found.at(1, 1) - 1].label == 3
    assert found[np.int64(1)].score == found.scores[1]
    for place in (3, -4):
        with pytest.raises(IndexError, match=rf"there are 3 entities, .*, got the place {place}"):
            found[place]
    with pytest.raises(TypeError, match="which must be a whole number, got float"):
        found[1.0]


def test_some_entities_as_a_map():
    found = entity_map()
    assert found[1:].labels.tolist() == [[0, 0, 0, 1], [0, 2, 2, 1], [0, 2, 0, 1]]
    assert found[found.scores < 0.6].labels.tolist() == found[1:].labels.tolist()
    assert (len(found[:0]), found[:0].labels.max(), len(found[:9])) == (0, 0, 3)
    assert found[::2].scores.tolist() == [0.75, 0.25]
    with pytest.raises(ValueError, match="which must have shape"):
        found[np.array([True])]
    with pytest.raises(TypeError, match="which must be a NumPy array of bool, got int64 array"):
        found[np.array([0, 1])]


def test_masks():
    assert entity_map().mask(3).tolist() == (LABELS == 3).tolist()
    for label in (0, 4, -1):
        with pytest.raises(IndexError, match=f"label must lie in 1..3, got {label}"):
            entity_map().mask(label)
    with pytest.raises(TypeError, match="label must be a whole number, got float"):
        entity_map().mask(1.0)


def test_filter_keeps_the_ends_and_numbers_anew():
    found = entity_map(areas=np.array([3, 4, 5]))
    assert found.filter().labels.tolist() == LABELS.tolist()
    few = found.filter(min_area=4, max_area=5, min_score=0.25)
    assert few.labels.tolist() == [[0, 0, 0, 1], [0, 2, 2, 1], [0, 2, 0, 1]]
    assert (few.scores.tolist(), few.areas.tolist(), len(few)) == ([0.5, 0.25], [4, 5], 2)
    assert few.boxes.tolist() == [[3, 0, 4, 3], [1, 1, 3, 3]]
    assert (few.points.tolist(), few.stability.tolist()) == ([[3.5, 1.5], [1.5, 1.5]], found.stability[1:].tolist())
    assert (few.prompts, few.timings, few.grid, few.stages) == (found.prompts, found.timings, found.grid, None)
    assert few.labels.dtype == np.int32
    assert len(found.filter(max_area=2)) == 0
    with pytest.raises(ValueError, match="min_area must be at least 0"):
        found.filter(min_area=-1)


def test_polygons_lie_in_the_image():
    assert [(ring.tolist(), holes) for ring, holes in entity_map().polygons(2)] == [
        ([[3, 0], [4, 0], [4, 3], [3, 3]], [])
    ]
    ((ring, _),) = entity_map().polygons(3, tolerance=0)
    assert sorted(ring.tolist()) == [[1, 1], [1, 3], [2, 2], [2, 3], [3, 1], [3, 2]]
    with pytest.raises(IndexError, match="label must lie in"):
        entity_map().polygons(9)
    with pytest.raises(ValueError, match="tolerance must be at least 0"):
        entity_map().polygons(1, -1)


def test_cutout():
    cut = entity_map().cutout(IMAGE, 3)
    assert cut.shape == (2, 2, 4)
    assert cut[..., :3].tolist() == IMAGE[1:3, 1:3].tolist()
    assert cut[..., 3].tolist() == [[255, 255], [255, 0]]
    with pytest.raises(ValueError, match=r"image must have shape \[3, 4, 3\]"):
        entity_map().cutout(IMAGE[:2], 3)


def test_the_image_as_segment_takes_it(tmp_path):
    found, path = entity_map(), tmp_path / "a.png"
    PIL.Image.fromarray(IMAGE).save(path)
    for image in (path, str(path), PIL.Image.fromarray(IMAGE), IMAGE.tolist()):
        assert found.cutout(image, 3).tolist() == found.cutout(IMAGE, 3).tolist()
        assert found.plot(image).tolist() == found.plot(IMAGE).tolist()
    gray = IMAGE[..., 0]
    assert found.cutout(gray, 1).tolist() == found.cutout(np.dstack([gray] * 3), 1).tolist()
    with pytest.raises(TypeError, match=r"image must be a path, a NumPy array, .*, got int"):
        found.plot(5)


def test_plot_and_notebook_picture():
    esam, image = Esam(load_segmenter("regions")), scene(120, 80)
    found = esam.segment(image)
    picture, numbered = found.plot(image), found.plot(image, ids=True)
    assert picture.shape == numbered.shape == image.shape
    assert (picture != image).any()
    assert (picture != numbered).any()
    shown = cv2.imdecode(np.frombuffer(found._repr_png_(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert (shown[found.labels == 0] == 0).all()
    for label in range(1, len(found) + 1):
        assert len(np.unique(shown[found.labels == label], axis=0)) == 1
    assert sum(found.prompts.values()) > 0


def test_dataframe():
    pandas = library("pandas", "ESAM_EXPECT_RECIPES")
    frame = entity_map().to_dataframe()
    assert frame.index.tolist() == [1, 2, 3]
    assert list(frame) == ["score", "area", "x0", "y0", "x1", "y1", "point_x", "point_y", "stability"]
    assert frame.loc[2, ["score", "x1", "point_y"]].tolist() == [0.5, 4, 1.5]
    assert isinstance(frame, pandas.DataFrame)
    assert len(entity_map().filter(min_area=9).to_dataframe()) == 0


def test_supervision():
    library("supervision", "ESAM_EXPECT_RECIPES")
    found = entity_map().to_supervision()
    assert found.xyxy.tolist() == [[0, 0, 2, 2], [3, 0, 4, 3], [1, 1, 3, 3]]
    assert found.mask.tolist() == [(k == LABELS).tolist() for k in (1, 2, 3)]
    assert found.confidence.tolist() == [0.75, 0.5, 0.25]
    assert found.data["label"].tolist() == [1, 2, 3]
    assert len(entity_map().filter(min_area=9).to_supervision()) == 0


def test_save(tmp_path):
    found = entity_map()
    every = ("labels", "coco", "panoptic", "yolo", "labelme", "geojson", "cvat")
    paths = found.save(tmp_path / "new", "a", every, file_name="photo.png")
    names = sorted(str(path.relative_to(tmp_path / "new")) for path in paths)
    assert names == [
        "a.json", "a.png", "cvat/a.xml", "geojson/a.geojson", "labelme/a.json", "panoptic/a.json", "panoptic/a.png",
        "yolo/a.txt", "yolo/data.yaml",
    ]  # fmt: skip
    assert all(path.is_file() for path in paths)
    assert cv2.imread(str(tmp_path / "new/a.png"), cv2.IMREAD_UNCHANGED).tolist() == LABELS.tolist()
    assert json.loads((tmp_path / "new/a.json").read_text()) == found.to_coco_results("a")
    assert json.loads((tmp_path / "new/labelme/a.json").read_text())["imagePath"] == "photo.png"
    found.save(tmp_path, "in/it", ["labelme"], file_name="in/it.png")  # labelme looks from the file's own folder
    assert json.loads((tmp_path / "labelme/in/it.json").read_text())["imagePath"] == "it.png"
    assert [path.name for path in found.save(tmp_path, "b")] == ["b.png", "b.json"]
    with pytest.raises(ValueError, match="stem must be the name of a file, got ''"):
        entity_map().save(tmp_path, "")
    with pytest.raises(ValueError, match="formats must be one of labels, coco, panoptic, yolo, labelme, geojson, cvat"):
        found.save(tmp_path, "c", ["svg"])
    with pytest.raises(TypeError, match="formats must be a list of names, got the str 'labels'"):
        found.save(tmp_path, "c", "labels")
    assert not list(tmp_path.glob("c*"))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"labels": LABELS.astype(np.int64)}, TypeError, "labels must be a NumPy array of int32, got int64 array"),
        ({"labels": LABELS[0]}, ValueError, r"labels must have shape \[H, W\], got \[4\]"),
        ({"labels": LABELS[:, :0]}, ValueError, r"labels must have pixels, got shape \[3, 0\]"),
        ({"labels": LABELS + np.int32(1)}, ValueError, "labels must lie in 0..3, one for each score, got 1 to 4"),
        ({"labels": LABELS - np.int32(1)}, ValueError, "labels must lie in 0..3, one for each score, got -1 to 2"),
        ({"scores": np.zeros(2, np.float32)}, ValueError, "labels must lie in 0..2, one for each score, got 0 to 3"),
        ({"scores": [0.5] * 3}, TypeError, "scores must be a NumPy array of float32, got list"),
        ({"scores": np.full(3, np.nan, np.float32)}, ValueError, "scores must be finite"),
        ({"areas": np.array([3, 3])}, ValueError, r"areas must have shape \[3\], got \[2\]"),
        ({"areas": np.array([3, -1, 3])}, ValueError, r"areas must lie in \[0, 13\), got -1 to 3"),
        ({"boxes": np.zeros((3, 4))}, TypeError, "boxes must be a NumPy array of int32, got float64 array"),
        ({"boxes": np.array([[0, 0, 2, 2], [0, 0, 5, 1], [0] * 4], np.int32)}, ValueError,
         r"boxes\[1\] must lie in the image of 4 x 3 pixels, got \[0, 0, 5, 1\]"),
        ({"boxes": np.array([[2, 0, 1, 2], [0] * 4, [0] * 4], np.int32)}, ValueError, r"boxes\[0\] must lie in"),
        ({"points": np.zeros((3, 3), np.float32)}, ValueError, r"points must have shape \[3, 2\]"),
        ({"stability": np.zeros(3)}, TypeError, "stability must be a NumPy array of float32"),
        ({"grid": (8, 8)}, TypeError, "grid must be a MaskGrid, got tuple"),
        ({"timings": None}, TypeError, "timings must be a dict, got NoneType"),
    ],
)  # fmt: skip
def test_what_is_given_is_checked(changes, error, message):
    with pytest.raises(error, match=message):
        entity_map(**changes)


def test_a_label_of_a_thousand_digits_is_refused_in_short():
    with pytest.raises(IndexError) as refusal:
        entity_map().mask(10**1000)
    assert len(str(refusal.value)) < 100


def test_image_ids():
    for given, wanted in ((np.int64(7), 7), (7, 7), ("a", "a")):
        assert json.loads(json.dumps(entity_map().to_coco_results(given)))[0]["image_id"] == wanted
    for wrong in (1.5, None, True, np.array([1])):
        with pytest.raises(TypeError, match="image_id must be a whole number, got"):
            entity_map().to_coco_results(wrong)
