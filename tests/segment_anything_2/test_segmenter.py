"""Sam2Segmenter against sam2's own predictor: embedding, logits, scores; levels, frames, dtypes, copies."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sam2_models import official, small_sam2, torch
from sam_models import photo

from esam_fast import Esam, EsamMaskGenerator
from esam_fast.masks import MaskGrid
from esam_fast.segmenters.sam.decoder import FoldedDecoder
from esam_fast.segmenters.sam.foreign import ForeignDecoder
from esam_fast.segmenters.sam2 import Sam2Segmenter

POINTS = np.array([[10.0, 20.0], [100.0, 50.0], [60.5, 70.5], [199.3, 99.1]], np.float32)
PLAIN = {
    "use_high_res_features_in_sam": False, "pred_obj_scores": False, "pred_obj_scores_mlp": False,
    "directly_add_no_mem_embed": False, "iou_prediction_use_sigmoid": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Any:
    return small_sam2()


def other_decoder(model: Any) -> Any:
    """The model with a decoder that differs by a method only."""

    class Inverted(type(model.sam_mask_decoder)):  # type: ignore[misc]
        def predict_masks(self, **inputs: Any) -> Any:
            masks, *rest = super().predict_masks(**inputs)
            return -masks, *rest

    model.sam_mask_decoder.__class__ = Inverted
    return model


@pytest.mark.parametrize("changes", [{}, PLAIN], ids=["SAM 2.1", "without its extras"])
@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("size", [(100, 200), (300, 260), (256, 256)])
def test_parity_with_the_official_predictor(changes: dict[str, Any], foreign: bool, size: tuple[int, int]) -> None:
    model, image = small_sam2(1, **changes), photo(*size)
    model = other_decoder(model) if foreign else model
    segmenter = Sam2Segmenter(model)
    assert isinstance(segmenter._decoder, ForeignDecoder if foreign else FoldedDecoder)
    embedding = segmenter.embed(image)
    features, exact_logits, exact_scores = official(model, image, POINTS)
    logits, scores = segmenter.decode(embedding, POINTS)
    assert np.array_equal(embedding.features, features.numpy())
    assert exact_logits.std() > 0.5
    assert (logits - exact_logits).abs().max() < 1e-3
    assert (scores - exact_scores).abs().max() < 1e-4


def test_the_image_fills_the_grid(model: Any) -> None:
    """No padding: x and y have scales of their own, and every part of the library meets such a grid."""
    image = photo(60, 240)
    segmenter = Sam2Segmenter(model)
    embedding = segmenter.embed(image)
    assert embedding.grid == MaskGrid(64, 64, 64.0, 64.0, 60, 240)
    assert embedding.features.shape == (256, 16, 16)
    assert embedding.frame.points(np.array([[120.0, 15.0]], np.float32)).tolist() == [[128.0, 64.0]]
    assert embedding.grid.pixels(np.array([[239.9, 0.1], [0.1, 59.9]], np.float32)).tolist() == [63, 63 * 64]
    entities = Esam(segmenter).segment(image)
    assert entities.labels.shape == (60, 240)


def test_levels_by_area_and_the_logits_of_each(model: Any) -> None:
    segmenter, image = Sam2Segmenter(model), photo(100, 200)
    embedding = segmenter.embed(image)
    answer = segmenter.masks(embedding, POINTS)
    areas = answer.masks.area.reshape(-1, 3)
    assert (np.diff(areas, axis=1) >= 0).all()
    assert not np.array_equal(answer.channels, np.tile(np.arange(3), (4, 1)))  # the output index says little
    every, scores = segmenter.decode(embedding, POINTS)
    for level in range(3):
        channel = answer.channels[:, level]
        logits = segmenter.logits(embedding, POINTS, np.ascontiguousarray(channel))
        assert np.array_equal(logits, every.numpy()[np.arange(4), channel])
        assert np.array_equal((logits > 0).sum((1, 2)), areas[:, level])
        assert np.array_equal(answer.scores[:, level], scores.numpy()[np.arange(4), channel])


@pytest.mark.parametrize("foreign", [False, True])
def test_half_precision(foreign: bool) -> None:
    model, image = small_sam2(2), photo(100, 200)
    model = other_decoder(model) if foreign else model
    _, exact_logits, exact_scores = official(model, image, POINTS)
    segmenter = Sam2Segmenter(model, dtype="bfloat16")
    logits, scores = segmenter.decode(segmenter.embed(image), POINTS)
    assert logits.dtype == scores.dtype == torch.float32
    assert (logits - exact_logits).abs().mean() < 0.03 * exact_logits.std()
    assert (scores - exact_scores).abs().max() < 0.01
    assert next(model.parameters()).dtype == torch.float32
    halved = Sam2Segmenter(model.to(torch.bfloat16), dtype="bfloat16")
    assert halved.masks(halved.embed(image), POINTS).scores.shape == (4, 3)


def test_chunks_make_no_difference(model: Any) -> None:
    """The image side is computed once, and memory is that of a chunk, however many points are asked."""
    segmenter = Sam2Segmenter(model)
    embedding = segmenter.embed(photo(100, 200))
    points = np.random.default_rng(0).uniform(0, 100, (50, 2)).astype(np.float32)
    _, at_once = segmenter.decode(embedding, points)
    apart = torch.cat([segmenter.decode(embedding, points[i : i + 1])[1] for i in range(50)])
    assert torch.equal(at_once, apart)


def test_a_segmenter_is_a_copy_and_can_be_pickled(model: Any) -> None:
    image = photo(64, 64)
    changed = small_sam2()
    segmenter = Sam2Segmenter(changed)
    before = segmenter.decode(segmenter.embed(image), POINTS)
    with torch.no_grad():
        for weight in changed.parameters():
            weight.zero_()
    again = pickle.loads(pickle.dumps(segmenter))
    for one in (segmenter, again):
        assert torch.equal(one.decode(one.embed(image), POINTS)[0], before[0])
    assert all(not weight.requires_grad for weight in again._encoder._module.parameters())
    assert all(weight.requires_grad for weight in model.parameters())


def test_a_model_without_a_part_is_refused() -> None:
    with pytest.raises(TypeError, match="model must be a SAM2Base, but Linear has no image_encoder"):
        Sam2Segmenter(torch.nn.Linear(1, 1))


def test_the_generator_takes_a_model(model: Any) -> None:
    generator = EsamMaskGenerator(model, points_per_side=4, pred_iou_thresh=0.0, stability_score_thresh=0.0)
    assert isinstance(generator.segmenter, Sam2Segmenter)
    records = generator.generate(photo(60, 90))
    assert np.stack([record["segmentation"] for record in records]).sum(0).max() == 1
