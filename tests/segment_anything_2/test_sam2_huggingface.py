"""transformers' Sam2Model: the same answers as its own."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from libraries import library
from sam2_models import small_sam2, spread_all, torch
from sam_models import photo

from esam_fast import EsamMaskGenerator, load_segmenter, weights
from esam_fast.segmenters.sam.decoder import FoldedDecoder
from esam_fast.segmenters.sam2 import Sam2Segmenter, models

transformers = library("transformers", "ESAM_EXPECT_SAM2")

POINTS = np.array([[10.0, 20.0], [100.0, 50.0], [60.5, 70.5]], np.float32)


@pytest.fixture(scope="module")
def model() -> Any:
    trunk = {
        "model_type": "sam2_hiera_det_model", "hidden_size": 16, "blocks_per_stage": [1, 2, 3, 1],
        "embed_dim_per_stage": [16, 32, 64, 128], "window_size_per_stage": [8, 4, 7, 4],
        "global_attention_blocks": [4], "image_size": [256, 256],
    }  # fmt: skip
    vision = {
        "backbone_config": trunk, "backbone_channel_list": [128, 64, 32, 16],
        "backbone_feature_sizes": [[64, 64], [32, 32], [16, 16]],
    }  # fmt: skip
    torch.manual_seed(0)
    config = transformers.Sam2Config(vision_config=vision, prompt_encoder_config={"image_size": 256})
    model = transformers.Sam2Model(config).eval()
    spread_all(model)
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(model.shared_image_embedding.positional_embedding)
    return model


def test_answers_are_transformers_own(model: Any) -> None:
    segmenter, image = Sam2Segmenter(model), photo(100, 200)
    assert isinstance(segmenter._decoder, FoldedDecoder)
    embedding = segmenter.embed(image)
    logits, scores = segmenter.decode(embedding, POINTS)
    points = torch.from_numpy(embedding.frame.points(POINTS)).float()[None, :, None]
    with torch.no_grad():
        theirs = model(
            pixel_values=segmenter._square(image, embedding.frame),
            input_points=points,
            input_labels=torch.ones(1, len(POINTS), 1, dtype=torch.int),
            multimask_output=True,
        )
    spread = theirs.pred_masks.std()
    assert (theirs.pred_masks[0] - logits).abs().max() < 1e-4 * spread
    assert (theirs.iou_scores[0] - scores).abs().max() < 1e-5


def video(model: Any) -> Any:
    """A Sam2VideoModel with a Sam2Model's weights where images need them."""
    settings = model.config.to_dict()
    config = transformers.Sam2VideoConfig(
        **{part: settings[part] for part in ("vision_config", "prompt_encoder_config", "mask_decoder_config")}
    )
    found = transformers.Sam2VideoModel(config).eval()
    assert not found.load_state_dict(model.state_dict(), strict=False).unexpected_keys
    return found


def test_models_for_video_serve_with_their_image_parts(model: Any) -> None:
    image = photo(100, 200)
    ours, theirs = (each.decode(each.embed(image), POINTS) for each in map(Sam2Segmenter, (video(model), model)))
    assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


def test_the_generator_takes_it(model: Any) -> None:
    assert isinstance(EsamMaskGenerator(model, mode="amg").segmenter, Sam2Segmenter)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> str:
    """sam2.1_hiera_tiny, were it as small as the model."""
    name = "sam2.1_hiera_tiny"
    monkeypatch.setattr(models, "build", lambda model: small_sam2(0, no_obj_embed_spatial=True))
    monkeypatch.setitem(models._MODELS, name, ("sam2.1_hiera_t.yaml", 7))
    monkeypatch.setitem(weights.MODELS, name, replace(weights.MODELS[name], width=16))
    return name


@pytest.mark.parametrize("name", ["sam2.1_hiera_tiny", "auto"])
def test_files_by_transformers_names(model: Any, tmp_path: Path, tiny: str, name: str) -> None:
    model.save_pretrained(tmp_path)
    segmenter, expected = load_segmenter(name, tmp_path, "cpu", "float32"), Sam2Segmenter(model)
    assert segmenter.name == f"sam2:{tiny}"
    image = photo(100, 200)
    ours, theirs = (each.decode(each.embed(image), POINTS) for each in (segmenter, expected))
    assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("form", ["model.safetensors", "sam2.1_hiera_tiny.pt"])
def test_in_the_hubs_cache(model: Any, tmp_path: Path, tiny: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Sam2VideoModel by transformers' names, or the publisher's own file, as each repository holds both."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("esam_fast.segmenters.sam.models.free_memory", lambda device: 2**34)
    revision = tmp_path / "models--facebook--sam2.1-hiera-tiny" / "snapshots" / ("a" * 40)
    revision.mkdir(parents=True)
    if form == "model.safetensors":
        video(model).save_pretrained(revision)
        expected = Sam2Segmenter(model)
    else:
        official = small_sam2(7, no_obj_embed_spatial=True)
        torch.save({"model": official.state_dict()}, revision / form)
        expected = Sam2Segmenter(official)
    image = photo(100, 200)
    theirs = expected.decode(expected.embed(image), POINTS)
    for name in ("auto", tiny):
        segmenter = load_segmenter(name, device="cpu", dtype="float32")
        assert (segmenter.name, segmenter.checkpoint) == (f"sam2:{tiny}", revision / form)
        assert all(
            torch.equal(*pair) for pair in zip(segmenter.decode(segmenter.embed(image), POINTS), theirs, strict=True)
        )


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("", "model_type", "sam"),
        ("prompt_encoder_config", "image_size", 512),
        ("vision_config.backbone_config", "window_size_per_stage", [8, 4, 14, 7]),
        ("vision_config.backbone_config", "global_attention_blocks", [5]),
        ("vision_config.backbone_config", "hidden_act", "relu"),
        ("vision_config.backbone_config", "layer_norm_eps", 0.01),
        ("vision_config.backbone_config", "num_attention_heads_per_stage", [2, 4, 8, 16]),
        ("vision_config.backbone_config", "num_query_pool_stages", 2),
        ("vision_config.backbone_config", "query_stride", 1),
        ("vision_config", "fpn_top_down_levels", [3]),
        ("vision_config", "num_feature_levels", 4),
        ("mask_decoder_config", "num_attention_heads", 4),
    ],
)
def test_a_config_that_is_not_the_official_models(
    model: Any, tmp_path: Path, tiny: str, section: str, name: str, value: Any
) -> None:
    model.save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text("utf-8"))
    place = config
    for part in filter(None, section.split(".")):
        place = place[part]
    place[name] = value
    file.write_text(json.dumps(config), "utf-8")
    with pytest.raises(weights.WeightsError, match=rf"config\.json.*{name}"):
        load_segmenter(tiny, tmp_path)
    file.unlink()
    assert load_segmenter(tiny, tmp_path).name == f"sam2:{tiny}"


def test_what_sam2_cannot_run_is_refused(model: Any) -> None:
    other = copy.deepcopy(model)
    other.prompt_encoder.shared_embedding.positional_embedding.add_(1)
    with pytest.raises(ValueError, match="one position encoding for images and another for points"):
        Sam2Segmenter(other)
    other = copy.deepcopy(model)
    other.config.vision_config.backbone_config.hidden_size = 24
    with pytest.raises(ValueError, match="Sam2Model is no SAM 2 that sam2 can run"):
        Sam2Segmenter(other)


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("vision_config.backbone_config", "hidden_act", "relu"),
        ("vision_config.backbone_config", "layer_norm_eps", 0.01),
        ("vision_config.backbone_config", "num_attention_heads_per_stage", [1, 2, 2, 4]),
        ("vision_config.backbone_config", "patch_stride", [2, 2]),
        ("vision_config", "num_feature_levels", 4),
        ("mask_decoder_config", "num_attention_heads", 4),
    ],
)
def test_values_that_no_tensor_tells_are_not_passed_over(model: Any, section: str, name: str, value: Any) -> None:
    other = copy.deepcopy(model)
    setattr(attrgetter(section)(other.config), name, value)
    with pytest.raises(ValueError, match=rf"Sam2Model is no SAM 2 that sam2 can run: .*{name}: expected"):
        Sam2Segmenter(other)


def test_objects_that_are_not_as_transformers_made_them(model: Any) -> None:
    other = copy.deepcopy(model)
    other.mask_decoder.register_forward_hook(lambda *a: None)
    with pytest.raises(TypeError, match="model must be transformers' Sam2Model as it is, but mask_decoder is changed"):
        Sam2Segmenter(other)
    other = copy.deepcopy(model)
    other.mask_decoder.__class__ = type("Mine", (type(other.mask_decoder),), {"__module__": "mine"})
    with pytest.raises(TypeError, match="but mask_decoder is changed"):
        Sam2Segmenter(other)
