"""Records of the mask generators as supervision and FiftyOne take them."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from entity_maps import blobs, entity_map
from libraries import library

from esam_fast import records
from esam_fast.records import to_fiftyone, to_supervision

ENTITIES = entity_map(blobs(40, 60, 5))
RECORDS = ENTITIES.to_amg_records()


def tight(mask: np.ndarray) -> list[int]:
    y, x = np.nonzero(mask)
    return [x.min(), y.min(), x.max() + 1, y.max() + 1]


@pytest.fixture
def fiftyone(monkeypatch: pytest.MonkeyPatch) -> None:
    """FiftyOne's two classes, which keep what they are given; the library itself brings a database."""
    monkeypatch.setitem(sys.modules, "fiftyone", SimpleNamespace(Detection=SimpleNamespace, Detections=SimpleNamespace))


def test_fiftyone(fiftyone: None) -> None:
    found = to_fiftyone(RECORDS, label="thing").detections
    assert len(found) == len(RECORDS) == 5
    for detection, record in zip(found, RECORDS, strict=True):
        assert detection.label == "thing"
        assert detection.confidence == record["predicted_iou"]
        x, y, w, h = (detection.bounding_box * np.array([60, 40, 60, 40])).round().astype(int)
        full = np.zeros((40, 60), np.bool_)
        full[y : y + h, x : x + w] = detection.mask  # as FiftyOne lays it
        np.testing.assert_array_equal(full, record["segmentation"])
        assert [x, y, x + w, y + h] == tight(record["segmentation"])
    assert to_fiftyone([]).detections == []


def test_the_official_generators_boxes_are_not_trusted(fiftyone: None) -> None:
    """They are one pixel short at the right and below."""
    x, y, w, h = RECORDS[0]["bbox"]
    (found,) = to_fiftyone([RECORDS[0] | {"bbox": [x, y, w - 1, h - 1]}]).detections
    assert found.mask.shape == (h, w)


def test_supervision() -> None:
    supervision = library("supervision", "ESAM_EXPECT_RECIPES")
    found, official = to_supervision(RECORDS), supervision.Detections.from_sam(RECORDS)  # by area, largest first
    np.testing.assert_allclose(found.confidence, ENTITIES.scores)
    np.testing.assert_array_equal(found.mask, [record["segmentation"] for record in RECORDS])
    np.testing.assert_array_equal(found.xyxy, [tight(mask) for mask in found.mask])
    order = np.argsort(-found.area, kind="stable")
    np.testing.assert_array_equal(found.xyxy[order], official.xyxy)
    np.testing.assert_array_equal(found.mask[order], official.mask)
    assert len(to_supervision([])) == 0


@pytest.mark.parametrize("convert", [to_fiftyone, to_supervision])
def test_codes_are_refused(convert: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fiftyone", "supervision"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())
    with pytest.raises(TypeError, match="records must be of output_mode 'binary_mask', got a segmentation of dict"):
        convert([RECORDS[0] | {"segmentation": {"size": [40, 60], "counts": "x"}}])


@pytest.mark.parametrize("record", [5, {}, {"segmentation": np.ones((2, 2), np.bool_)}])
def test_what_is_no_record_is_refused(record: Any) -> None:
    with pytest.raises(TypeError, match="records must be of SamAutomaticMaskGenerator, with"):
        records.to_transformers([record])
