"""Mode "amg" against segment_anything's own generator: fed the official logits, equal record for record."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sam_models import photo, segment_anything, small_sam, spread, torch
from scene import scene

from esam_fast import EsamConfig, EsamMaskGenerator, load_segmenter
from esam_fast.amg import to_transformers

OPEN: dict[str, Any] = {"points_per_side": 6, "pred_iou_thresh": -1e6, "stability_score_thresh": 0.0}


@pytest.fixture(scope="module")
def sam() -> Any:
    model = small_sam(4, depth=1)
    spread(model)
    return model


def fed_officially(generator: EsamMaskGenerator, sam: Any) -> EsamMaskGenerator:
    """The generator, its segmenter replaced by the official predictor."""

    def embed(crop: np.ndarray) -> Any:
        predictor = segment_anything.SamPredictor(sam)
        predictor.set_image(crop)
        return predictor

    def decode(predictor: Any, points: np.ndarray) -> tuple[Any, Any]:
        coordinates = torch.as_tensor(predictor.transform.apply_coords(points, predictor.original_size))
        labels = torch.ones(len(points), dtype=torch.int)
        _, scores, logits = predictor.predict_torch(coordinates[:, None], labels[:, None], return_logits=True)
        return logits, scores

    generator.segmenter.embed = embed  # type: ignore[method-assign]
    generator.segmenter.decode = decode  # type: ignore[attr-defined]
    return generator


def same(ours: list[dict[str, Any]], official: list[dict[str, Any]]) -> None:
    assert len(ours) == len(official)
    for mine, theirs in zip(ours, official, strict=True):
        assert list(theirs) == [key for key in mine if key in theirs]
        for key, value in theirs.items():
            assert type(mine[key]) is type(value), key
            if isinstance(value, np.ndarray):
                assert mine[key].dtype == value.dtype
                assert np.array_equal(mine[key], value)
            else:
                assert mine[key] == value, key


@pytest.mark.parametrize(
    ("size", "arguments"),
    [
        ((90, 140), {}),
        ((200, 120), {"output_mode": "uncompressed_rle", "box_nms_thresh": 0.9}),
        ((128, 128), {"output_mode": "coco_rle", "crop_n_layers": 1, "crop_n_points_downscale_factor": 2}),
        ((90, 140), {"min_mask_region_area": 30}),
        ((90, 140), {"points_per_side": None, "point_grids": [np.array([[0.2, 0.3], [0.9, 0.5], [0.5, 0.5]])]}),
        ((90, 140), {"stability_score_thresh": 0.5, "stability_score_offset": 0.5, "points_per_batch": 7}),
    ],
)
def test_equal_record_for_record(sam: Any, size: tuple[int, int], arguments: dict[str, Any]) -> None:
    arguments = {**OPEN, "box_nms_thresh": 0.999, **arguments}
    image = photo(*size)
    official = segment_anything.SamAutomaticMaskGenerator(sam, **arguments).generate(image)
    assert official
    same(fed_officially(EsamMaskGenerator(sam, **arguments, mode="amg"), sam).generate(image), official)


def test_nothing_passes_the_filter(sam: Any) -> None:
    generator = EsamMaskGenerator(sam, points_per_side=2, pred_iou_thresh=1e6, mode="amg")
    assert generator.generate(photo(60, 80)) == []


@pytest.mark.parametrize("mode", ["entities", "object"])
def test_the_other_modes_answer_with_the_same_keys(sam: Any, mode: str) -> None:
    image = photo(90, 140)
    official = segment_anything.SamAutomaticMaskGenerator(sam, **OPEN).generate(image)
    records = EsamMaskGenerator(sam, **OPEN, mode=mode).generate(image)
    assert records
    assert set(official[0]) <= set(records[0])
    for key, value in official[0].items():
        assert type(records[0][key]) is type(value), key
    if mode == "entities":
        assert np.stack([record["segmentation"] for record in records]).sum(axis=0).max() == 1


def test_refusals(sam: Any) -> None:
    regions = load_segmenter("regions")
    with pytest.raises(TypeError, match="crop_n_layers must be a whole number, got float"):  # sam2's order, by position
        EsamMaskGenerator(regions, 32, 64, 0.8, 0.95, 1.0, 0.0, 0.7)
    with pytest.raises(AttributeError, match="pred_iou_thresh"):
        EsamMaskGenerator(regions).pred_iou_thresh = 0.9  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="mode 'amg' needs a SAM model"):
        EsamMaskGenerator(regions, mode="amg")
    with pytest.raises(ValueError, match="mode must be one of entities, amg, object"):
        EsamMaskGenerator(regions, mode="best")
    with pytest.raises(TypeError, match="config must be an EsamConfig, got dict"):
        EsamMaskGenerator(regions, config={})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="device must be the name of a device of torch, got int"):
        EsamMaskGenerator(sam, device=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"dtype must be 'auto' or one of float32, .*, got ''"):
        EsamMaskGenerator(sam, dtype="")
    with pytest.raises(TypeError, match="model must be a SAM model or a Segmenter, got int"):
        EsamMaskGenerator(3)


def test_arguments_without_a_use_are_named_and_change_nothing() -> None:
    """The arguments of sam2's own example, and those of code with points of its own."""
    regions, image = load_segmenter("regions"), scene(240, 160)
    plain = [record["area"] for record in EsamMaskGenerator(regions).generate(image)]
    given: dict[str, Any] = {
        "stability_score_offset": 0.7, "crop_n_layers": 1, "crop_n_points_downscale_factor": 2, "use_m2m": True,
        "points_per_batch": 128, "box_nms_thresh": 0.7, "min_mask_region_area": 0.0,
    }  # fmt: skip
    names = "stability_score_offset, crop_n_layers, crop_n_points_downscale_factor, use_m2m"
    with pytest.warns(UserWarning, match=f"^not used in mode 'entities': {names}$") as told:
        generator = EsamMaskGenerator(regions, **given)
    assert [(len(told), told[0].filename)] == [(1, __file__)]
    assert [record["area"] for record in generator.generate(image)] == plain
    with pytest.warns(UserWarning, match="^not used in mode 'object': point_grids$"):
        generator = EsamMaskGenerator(regions, points_per_side=None, point_grids=[np.zeros((1, 2))], mode="object")
    assert generator._esam.config == EsamConfig()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EsamMaskGenerator(regions, box_nms_thresh=0.7, crop_overlap_ratio=512 / 1500, multimask_output=True)


def test_numbers_as_the_official_generator_takes_them(sam: Any) -> None:
    same = {"points_per_side": 4, "points_per_batch": 16, "crop_n_layers": 1, "min_mask_region_area": 3}
    plain = EsamMaskGenerator(sam, mode="amg", **same, pred_iou_thresh=0.5)._settings
    for wrap in (float, np.int64, np.array, torch.tensor):
        wrapped = {name: wrap(value) for name, value in same.items()}
        found = EsamMaskGenerator(sam, mode="amg", **wrapped, pred_iou_thresh=torch.tensor(0.5))._settings
        assert repr(found) == repr(plain)
    with pytest.raises(TypeError, match="points_per_side must be a whole number, got float"):
        EsamMaskGenerator(sam, points_per_side=4.5)
    with pytest.raises(TypeError, match="pred_iou_thresh must be a number, got str"):
        EsamMaskGenerator(sam, pred_iou_thresh="0.5")


def test_the_predictor_is_there(sam: Any) -> None:
    generator = EsamMaskGenerator(sam)
    generator.predictor.set_image(photo(60, 80))
    masks, _, _ = generator.predictor.predict(np.array([[10, 10]]), np.array([1]))
    assert masks.shape == (3, 60, 80)
    assert generator.predictor.model is sam
    assert not hasattr(EsamMaskGenerator(load_segmenter("regions")), "predictor")


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_the_backend_is_passed_on(backend: str) -> None:
    assert EsamMaskGenerator(load_segmenter("regions"), backend=backend)._esam.backend == backend


def test_thresholds_reach_what_fills_the_rest() -> None:
    """Given, they hold for USR's masks too: nothing passes 2.0; left out, only the grid's masks are filtered."""
    regions, image = load_segmenter("regions"), scene(240, 160)
    assert EsamMaskGenerator(regions, pred_iou_thresh=2.0).generate(image) == []
    assert EsamMaskGenerator(regions, stability_score_thresh=1.0, pred_iou_thresh=0.999).generate(image) == []
    config = EsamMaskGenerator(regions, pred_iou_thresh=0.7)._esam.config
    assert (config.mmg.score_threshold, config.usr.score_threshold) == (0.7, 0.7)
    assert (config.mmg.stability_threshold, config.usr.stability_threshold) == (None, None)
    assert EsamMaskGenerator(regions)._esam.config == EsamConfig()


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    found = EsamMaskGenerator(load_segmenter("regions")).generate(scene(240, 160))
    assert len(found) > 3
    return found


def test_records_as_transformers_returns_them(records: list[dict[str, Any]]) -> None:
    adapted = to_transformers(records)
    assert [mask.dtype for mask in adapted["masks"]] == [np.bool_] * len(records)
    assert adapted["scores"].dtype == torch.float32
    assert adapted["scores"].tolist() == pytest.approx([record["predicted_iou"] for record in records])
