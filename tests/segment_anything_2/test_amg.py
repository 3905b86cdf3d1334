"""Mode "amg" against sam2's SAM2AutomaticMaskGenerator: equal record for record."""

from __future__ import annotations

import sys
import warnings
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from blobs import Blobs2, Points
from sam2_models import SAM2AutomaticMaskGenerator, fit, small_sam2, torch
from sam_models import photo

from esam_fast import EsamMaskGenerator

SIDE = 256
OPEN: dict[str, Any] = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}


@pytest.fixture(scope="module")
def model() -> Any:
    return small_sam2(4, side=128)


@pytest.fixture(scope="module")
def blobs() -> Any:
    """A SAM 2 with blobs for masks: the same to the last bit, however many points are asked at a time."""
    model = small_sam2(0, side=SIDE, use_high_res_features_in_sam=False)
    model.sam_prompt_encoder, model.sam_mask_decoder = Points(), Blobs2(SIDE)
    return model


def official(model: Any, image: np.ndarray, **arguments: Any) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit.script
        generator = SAM2AutomaticMaskGenerator(model, **arguments)
    fit(generator.predictor, model)
    return generator.generate(image)


def ours(model: Any, image: np.ndarray, **arguments: Any) -> list[dict[str, Any]]:
    return EsamMaskGenerator(model, mode="amg", **arguments).generate(image)


@pytest.mark.parametrize(
    ("size", "arguments"),
    [
        ((200, 256), {"points_per_side": 9}),
        ((90, 40), {**OPEN, "points_per_side": 20, "box_nms_thresh": 1.0}),  # over 1000 boxes: torchvision's other path
        ((100, 128), {**OPEN, "points_per_side": 6, "output_mode": "binary_mask", "box_nms_thresh": 0.9}),
        ((100, 300), {**OPEN, "points_per_side": 5, "output_mode": "coco_rle"}),
        ((61, 67), {**OPEN, "points_per_side": 6, "crop_n_layers": 2, "crop_n_points_downscale_factor": 2}),
        (
            (300, 130),
            {"points_per_side": 6, "crop_n_layers": 1, "pred_iou_thresh": 0.5, "stability_score_thresh": 0.3,
             "stability_score_offset": 0.5, "crop_overlap_ratio": 0.1, "crop_nms_thresh": 0.9, "points_per_batch": 7},
        ),
        (
            (120, 160),
            {**OPEN, "points_per_side": None, "crop_n_layers": 1, "points_per_batch": 1,
             "point_grids": [np.float32([[0.01, 0.5], [0.5, 0.5]]), np.float32([[0.01, 0.1]])]},
        ),
    ],
    ids=["defaults", "many boxes", "masks", "compressed", "crops", "crops, all else", "empty crops"],
)  # fmt: skip
def test_equal_to_the_last_type(blobs: Any, size: tuple[int, int], arguments: dict[str, Any]) -> None:
    arguments = {"output_mode": "uncompressed_rle", **arguments}
    image = photo(*size)
    expected = official(blobs, image, **arguments)
    assert len(expected) > 1
    same(ours(blobs, image, **arguments), expected)


def same(mine: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Equal in everything: order, keys, types, NaN and every pixel."""
    assert len(mine) == len(expected)
    for one, other in zip(mine, expected, strict=True):
        masks = [record["segmentation"] for record in (one, other)]
        if isinstance(masks[1], np.ndarray):
            assert masks[0].dtype == masks[1].dtype
            assert np.array_equal(*masks)
        else:
            assert repr(masks[0]) == repr(masks[1])
        assert repr({**one, "segmentation": None}) == repr({**other, "segmentation": None})


def test_the_defaults_are_sam2s(model: Any) -> None:
    settings = EsamMaskGenerator(model, mode="amg")._settings
    assert (settings.pred_iou_thresh, settings.stability_score_thresh) == (0.8, 0.95)
    assert EsamMaskGenerator(model, mode="amg", pred_iou_thresh=0.5)._settings.pred_iou_thresh == 0.5
    assert EsamMaskGenerator(model).segmenter.score_threshold == 0.8


def test_small_regions_stay_where_sam2_cannot_clean_them(blobs: Any) -> None:
    """Without sam2's CUDA extension it warns, and its records are those of min_mask_region_area 0."""
    image, arguments = photo(90, 140), {**OPEN, "points_per_side": 4}
    with pytest.warns(UserWarning, match="Skipping the post-processing step"):
        expected = official(blobs, image, **arguments, min_mask_region_area=30)
    with pytest.warns(UserWarning, match="Skipping the post-processing step"):
        same(ours(blobs, image, **arguments, min_mask_region_area=30), expected)
    same(ours(blobs, image, **arguments), expected)


def test_small_regions_are_cleaned_where_sam2_can(blobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def components(masks: Any) -> tuple[Any, Any]:
        """What sam2's extension answers, by OpenCV: labels and areas, int32 [N, 1, h, w]."""
        labels, areas = [], []
        for mask in masks[:, 0].numpy():
            _, found, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
            labels.append(found)
            areas.append(np.where(found, stats[found, cv2.CC_STAT_AREA], 0))
        return tuple(torch.from_numpy(np.stack(each))[:, None] for each in (labels, areas))

    extension = ModuleType("sam2._C")
    extension.get_connected_componnets = components  # type: ignore[attr-defined]  # sam2's spelling
    monkeypatch.setitem(sys.modules, "sam2._C", extension)
    monkeypatch.setattr("sam2._C", extension, raising=False)
    image, arguments = photo(100, 128), {**OPEN, "points_per_side": 6, "box_nms_thresh": 0.9}
    expected = official(blobs, image, **arguments, min_mask_region_area=20)
    same(ours(blobs, image, **arguments, min_mask_region_area=20), expected)
    uncleaned = ours(blobs, image, **arguments)
    assert {record["area"] for record in uncleaned} != {record["area"] for record in expected}


def test_with_random_weights(model: Any) -> None:
    """Logits differ in the sixth digit: scores are equal but for that, masks but for a few pixels."""
    image, arguments = photo(90, 140), {**OPEN, "points_per_side": 5, "box_nms_thresh": 1.0}
    pairs = [
        sorted(records, key=lambda record: (record["point_coords"], record["predicted_iou"]))
        for records in (ours(model, image, **arguments), official(model, image, **arguments))
    ]
    assert len(pairs[0]) == len(pairs[1]) > 50
    for mine, expected in zip(*pairs, strict=True):
        assert mine["point_coords"] == expected["point_coords"]
        assert mine["predicted_iou"] == pytest.approx(expected["predicted_iou"], abs=1e-5)
        assert (mine["segmentation"] != expected["segmentation"]).sum() <= 3


@pytest.mark.parametrize(
    ("name", "default", "other"),
    [("use_m2m", False, True), ("multimask_output", True, False), ("mask_threshold", 0.0, 0.5)],
)
def test_arguments_that_only_sam2_has_serve_by_their_defaults(
    model: Any, name: str, default: float, other: float
) -> None:
    EsamMaskGenerator(model, mode="amg", **{name: default})
    with pytest.raises(ValueError, match=f"{name} must be {default}"):
        EsamMaskGenerator(model, mode="amg", **{name: other})


def test_the_predictor_is_sam2s(model: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit.script
        found = EsamMaskGenerator(model, mode="amg").predictor
    assert type(found).__name__ == "SAM2ImagePredictor"
    assert found.model is model
