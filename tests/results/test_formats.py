"""Each format read back by other means gives the label map again."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import cv2
import numpy as np
import pytest
from entity_maps import blobs, entity_map
from libraries import library
from PIL import Image, ImageDraw
from test_polygons import filled

from esam_fast.export import cvat, formats, geojson, labelme, yolo
from esam_fast.polygons import keyhole, polygons

NESTED = np.zeros((60, 80), np.int32)
NESTED[5:55, 5:50] = 1  # a square with a hole that holds another entity, and a second piece
NESTED[15:45, 15:40] = 0
NESTED[20:40, 20:35] = 2
NESTED[10:30, 60:75] = 1
LABELS = {"nested": NESTED, "many": blobs(70, 90, 6, seed=3), "pixels": np.array([[1, 0, 2], [0, 1, 2]], np.int32)}

every = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)


def points_of(text):
    return np.array(text, np.float64).reshape(-1, 2)


def drawn(shapes, shape):
    """A label map of (label, ring) pairs, by the even-odd rule."""
    out = np.zeros(shape, np.int32)
    for label, ring in shapes:
        out[filled([(ring, [])], shape)] = label
    return out


@every
def test_yolo(labels):
    entities = entity_map(labels)
    height, width = labels.shape
    lines = [line.split() for line in yolo.text(entities, 0).decode().splitlines()]
    assert [line[0] for line in lines] == ["0"] * len(entities)
    rings = [np.rint(points_of(line[1:]) * (width, height)) for line in lines]
    np.testing.assert_array_equal(drawn(enumerate(rings, 1), labels.shape), labels)
    for line in lines:
        assert 0 <= min(map(float, line[1:])) <= max(map(float, line[1:])) <= 1


def test_an_entity_without_pixels_has_no_outline_in_any_format(tmp_path):
    """A user's own map may have one, as where a later entity covers it."""
    entities = replace(entity_map(NESTED), labels=np.where(NESTED == 2, 0, NESTED), areas=np.array([1650, 0]))
    entities = replace(entities, boxes=entities.boxes * np.array([[1], [0]], np.int32))
    entities.save(tmp_path, "a", formats.FORMATS)
    assert yolo.text(entities).count(b"\n") == 1
    assert [shape["group_id"] for shape in labelme.description(entities, "a.jpg")["shapes"]] == [1, 1]
    assert cvat.image(entities, 0, "a.jpg").count('group_id="2"') == 0


def test_yolo_as_ultralytics_fills_it():
    """cv2.fillPoly on whole pixels, which also draws the outline: a pixel wider, and along slits."""
    entities = entity_map(NESTED)
    for label, line in enumerate(yolo.text(entities).decode().splitlines(), 1):
        ring = points_of(line.split()[1:]) * (80, 60)
        mask = cv2.fillPoly(np.zeros((60, 80), np.uint8), [np.int32(ring)], 1) > 0
        truth = label == NESTED
        assert (mask & truth).sum() == truth.sum()
        assert mask.sum() <= 1.25 * truth.sum()


@every
def test_labelme(labels):
    entities = entity_map(labels)
    found = json.loads(json.dumps(labelme.description(entities, "../a.jpg", 0)))
    assert (found["imagePath"], found["imageHeight"], found["imageWidth"]) == ("../a.jpg", *labels.shape)
    shapes = found["shapes"]
    assert {shape["shape_type"] for shape in shapes} == {"polygon"}
    rings = [(shape["group_id"], points_of(shape["points"])) for shape in shapes]
    np.testing.assert_array_equal(drawn(rings, labels.shape), labels)
    assert len(shapes) == sum(len(polygons(labels == k + 1)) for k in range(len(entities)))


def test_labelme_as_its_own_reader_draws_it():
    """PIL's polygon, outline included, as labelme's shape_to_mask."""
    found = labelme.description(entity_map(NESTED), "a.jpg")
    picture = Image.new("I", (80, 60))
    for shape in found["shapes"]:
        ImageDraw.Draw(picture).polygon([tuple(p) for p in shape["points"]], fill=shape["group_id"])
    labels = np.asarray(picture)
    for k in (1, 2):
        assert ((labels == k) & (k == NESTED)).sum() / ((labels == k) | (k == NESTED)).sum() > 0.85


@every
def test_geojson(labels):
    shapely = library("shapely", "ESAM_EXPECT_RECIPES")
    entities = entity_map(labels)
    found = json.loads(json.dumps(geojson.features(entities, 0)))
    y, x = np.mgrid[: labels.shape[0], : labels.shape[1]] + 0.5
    out = np.zeros(labels.shape, np.int32)
    for feature in found["features"]:
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.is_valid
        assert shape.area == feature["properties"]["area"]
        pieces = getattr(shape, "geoms", [shape])
        assert all(piece.exterior.is_ccw and not any(hole.is_ccw for hole in piece.interiors) for piece in pieces)
        out[shapely.contains_xy(shape, x, y)] = feature["properties"]["label"]
    np.testing.assert_array_equal(out, labels)
    assert [feature["properties"]["score"] for feature in found["features"]] == entities.scores.tolist()


@every
def test_cvat(labels):
    entities = entity_map(labels)
    text = cvat.START + cvat.image(entities, 0, 'odd "<name>&\x1b\udcff.jpg', 0) + cvat.END
    (image,) = ET.fromstring(text).findall("image")
    assert image.attrib == {
        "id": "0",
        "name": 'odd "<name>&\\x1b\\udcff.jpg',
        "width": str(labels.shape[1]),
        "height": str(len(labels)),
    }
    rings = [
        (int(one.get("group_id")), np.array([p.split(",") for p in one.get("points").split(";")], float))
        for one in image.findall("polygon")
    ]
    np.testing.assert_array_equal(drawn(rings, labels.shape), labels)
    assert image.find("polygon/attribute").text == "0.9000"


def test_a_keyhole_goes_through_every_ring():
    found = polygons(NESTED == 1, 0)
    rings = [ring for outer, holes in found for ring in (outer, *holes)]
    joined = keyhole(rings)
    assert len(joined) == sum(map(len, rings)) + 2 * (len(rings) - 1)
    np.testing.assert_array_equal(filled([(joined, [])], NESTED.shape), NESTED == 1)
