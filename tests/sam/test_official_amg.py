"""Mode "amg" where masks are small: edges of crops, duplicates, ties, holes and islands, against the official code.

The official generator runs on a SAM whose decoder draws spotted blobs around each point; ours is fed its logits.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from blobs import Blobs, Points
from sam_models import photo, segment_anything, small_sam, torch

from esam_fast import EsamMaskGenerator
from esam_fast.segmenters.sam import official_amg

SIDE = 256


@pytest.fixture(scope="module")
def sam() -> Any:
    return small_sam(0, side=SIDE, depth=1, channels=32, heads=2)


@pytest.fixture(scope="module")
def blobs(sam: Any) -> Any:
    """The same SAM with blobs for masks."""
    model = copy.deepcopy(sam)
    model.prompt_encoder, model.mask_decoder = Points(), Blobs(SIDE)
    return model


def both(sam: Any, blobs: Any, image: np.ndarray, **arguments: Any) -> tuple[list[Any], list[Any]]:
    """Records of the official generator, and of ours fed with the same logits."""
    transform = segment_anything.SamPredictor(blobs).transform

    def decode(size: tuple[int, int], points: np.ndarray) -> tuple[Any, Any]:
        xy = torch.as_tensor(transform.apply_coords(points, size))
        return blobs.mask_decoder(sparse_prompt_embeddings=xy[:, None].float())

    arguments["output_mode"] = "uncompressed_rle"
    ours = EsamMaskGenerator(sam, mode="amg", **arguments)
    ours.segmenter.embed = lambda crop: crop.shape[:2]  # type: ignore[method-assign]
    ours.segmenter.decode = decode  # type: ignore[attr-defined]
    official = segment_anything.SamAutomaticMaskGenerator(blobs, **arguments)
    return official.generate(image), ours.generate(image)


OPEN = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}


@pytest.mark.parametrize(
    ("size", "arguments"),
    [
        ((200, 256), {"points_per_side": 9}),
        ((90, 40), {**OPEN, "points_per_side": 20, "box_nms_thresh": 1.0}),  # over 1000 boxes: torchvision's other path
        ((100, 128), {**OPEN, "points_per_side": 6, "min_mask_region_area": 40, "box_nms_thresh": 0.9}),
        ((100, 128), {**OPEN, "points_per_side": 5, "min_mask_region_area": 400}),
        ((61, 67), {**OPEN, "points_per_side": 6, "crop_n_layers": 2, "crop_n_points_downscale_factor": 2}),
        (
            (300, 130),
            {"points_per_side": 6, "crop_n_layers": 1, "pred_iou_thresh": 0.5, "stability_score_thresh": 0.3,
             "min_mask_region_area": 5, "crop_overlap_ratio": 0.1, "crop_nms_thresh": 0.9},
        ),
        (
            (120, 160),
            {**OPEN, "points_per_side": None, "crop_n_layers": 1, "points_per_batch": 1,
             "point_grids": [np.float32([[0.01, 0.5], [0.5, 0.5]]), np.float32([[0.01, 0.1]])]},
        ),
    ],
    ids=["defaults", "many boxes", "cleaned", "smaller than what is cleaned", "crops", "crops, cleaned", "empty crops"],
)  # fmt: skip
def test_equal_to_the_last_type(sam: Any, blobs: Any, size: tuple[int, int], arguments: dict[str, Any]) -> None:
    official, ours = both(sam, blobs, photo(*size), **arguments)
    assert official
    assert repr(ours) == repr(official)  # types and NaN included


def test_cases_are_what_they_should_be(sam: Any, blobs: Any) -> None:
    """Boxes are many and small, scores tie, and cleaning changes masks."""
    image, arguments = photo(100, 128), {**OPEN, "points_per_side": 6}
    plain, _ = both(sam, blobs, image, **arguments)
    cleaned, _ = both(sam, blobs, image, **arguments, min_mask_region_area=40)
    cropped, _ = both(sam, blobs, image, **arguments, crop_n_layers=1)
    assert len(plain) > 30
    assert np.median([record["area"] for record in plain]) < 0.1 * image[..., 0].size
    assert len({record["predicted_iou"] for record in plain}) < len(plain) / 3
    assert {str(record["segmentation"]) for record in cleaned} - {str(record["segmentation"]) for record in plain}
    assert len({tuple(record["crop_box"]) for record in cropped}) == 5


def test_fewer_than_all_masks_are_drawn_at_a_time(sam: Any, blobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    image, arguments = photo(100, 128), {**OPEN, "points_per_side": 4}
    at_once, ours = both(sam, blobs, image, **arguments)
    drawn = []
    draw = official_amg.Plane.draw
    monkeypatch.setattr(official_amg, "_DRAWN", 3 * SIDE * SIDE)
    monkeypatch.setattr(official_amg.Plane, "draw", lambda *a: drawn.append(len(a[1])) or draw(*a))
    _, few = both(sam, blobs, image, **arguments)
    assert repr(few) == repr(ours) == repr(at_once)
    assert set(drawn) == {3}
