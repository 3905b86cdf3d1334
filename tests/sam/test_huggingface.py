"""transformers' SamModel: saved by it and loaded here, given as an object, and found in the hub's cache.

Where transformers is missing, the tests that need it are skipped; with ESAM_EXPECT_SAM=1, they fail.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from libraries import library
from sam_models import SamSegmenter, official, photo, spread, torch

from esam_fast import EsamMaskGenerator, _limits, load_segmenter, weights
from esam_fast.cli import main
from esam_fast.segmenters.sam import huggingface, load_sam
from esam_fast.segmenters.sam.decoder import FoldedDecoder
from esam_fast.segmenters.sam.encoder import VitEncoder
from esam_fast.weights import WeightsError

transformers = library("transformers", "ESAM_EXPECT_SAM")

# The widths and heads of facebook/sam-vit-base, -large and -huge, two layers deep.
SIZES = {
    "vit_b": {"hidden_size": 768, "num_attention_heads": 12},
    "vit_l": {"hidden_size": 1024, "num_attention_heads": 16},
    "vit_h": {"hidden_size": 1280, "num_attention_heads": 16},
}
POINTS = np.array([[10.0, 20.0], [100.0, 50.0], [60.5, 70.5], [3.25, 99.0]], np.float32)


def small_model(seed: int = 0, *, side: int = 128, decoder: dict[str, Any] | None = None, **vision: Any) -> Any:
    """A SamModel with random weights such that attention is not flat and logits have spread.

    `vision`, `decoder`: more of vision_config and mask_decoder_config.
    """
    torch.manual_seed(seed)
    model = transformers.SamModel(
        transformers.SamConfig(
            vision_config={
                "hidden_size": 48, "num_attention_heads": 3, "num_hidden_layers": 2, "global_attn_indexes": [1],
                "window_size": 7, "image_size": side, "initializer_range": 0.02, **vision,
            },
            prompt_encoder_config={"image_size": side},
            mask_decoder_config=decoder or {},
        )
    ).eval()  # fmt: skip
    for name, weight in model.named_parameters():  # torch's own initialisation, as segment_anything has it
        if weight.dim() > 1 and "embed" not in name and "rel_pos" not in name:
            torch.nn.init.kaiming_uniform_(weight, a=5**0.5)
    spread(model)
    with torch.no_grad():  # a frequency, of which sine and cosine are taken
        model.shared_image_embedding.positional_embedding.copy_(torch.randn(2, 128))
        model.prompt_encoder.shared_embedding.positional_embedding.copy_(
            model.shared_image_embedding.positional_embedding
        )
    return model


def answers(model: Any, image: np.ndarray, points: np.ndarray) -> tuple[Any, Any]:
    """What transformers' own code answers: logits [N, 3, h, w] and scores [N, 3]."""
    from segment_anything.utils.transforms import ResizeLongestSide

    resize = ResizeLongestSide(model.config.vision_config.image_size)
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    pixels = ((torch.as_tensor(resize.apply_image(image)).float() - mean) / std).permute(2, 0, 1)
    side = resize.target_length
    pixels = torch.nn.functional.pad(pixels, (0, side - pixels.shape[2], 0, side - pixels.shape[1]))
    placed = torch.as_tensor(resize.apply_coords(points, image.shape[:2]), dtype=torch.float32)[None, :, None]
    with torch.no_grad():
        out = model(pixel_values=pixels[None], input_points=placed, multimask_output=True)
    return out.pred_masks[0], out.iou_scores[0]


def assert_equal(segmenter: SamSegmenter, model: Any, image: np.ndarray) -> None:
    """Within the tolerance used against segment_anything."""
    logits, scores = segmenter.decode(segmenter.embed(image), POINTS)
    exact_logits, exact_scores = answers(model, image, POINTS)
    assert exact_logits.std() > 0.1
    assert (logits - exact_logits).abs().max() < 1e-3
    assert (scores - exact_scores).abs().max() < 1e-4


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("given", ["folder", "file"])
def test_saved_by_transformers_and_loaded_here(tmp_path: Path, size: str, given: str) -> None:
    model, image = small_model(**SIZES[size]), photo(100, 200)
    model.save_pretrained(tmp_path)
    path = tmp_path if given == "folder" else tmp_path / "model.safetensors"
    segmenter = load_segmenter("auto", checkpoint=path, device="cpu", dtype="float32")
    assert segmenter.name == f"sam:{size}"
    assert segmenter.checkpoint == tmp_path / "model.safetensors"
    assert isinstance(segmenter._encoder, VitEncoder)
    assert isinstance(segmenter._decoder, FoldedDecoder)
    assert_equal(segmenter, model, image)
    if size == "vit_b":
        load_segmenter(size, checkpoint=path, device="cpu")
        other = "vit_l"
        with pytest.raises(WeightsError, match=f"not a checkpoint of {other}: .* that of {size}"):
            load_segmenter(other, checkpoint=path, device="cpu")


@pytest.mark.parametrize(
    "shape",
    [
        {"side": 256, "window_size": 14},
        {"num_hidden_layers": 3, "global_attn_indexes": [0, 2], "mlp_dim": 100},
        {"use_abs_pos": False, "qkv_bias": False},
        {"use_rel_pos": False},
        {"output_channels": 256, "decoder": {"num_hidden_layers": 3, "num_attention_heads": 4, "iou_head_depth": 4}},
    ],
)
def test_models_given_as_objects(shape: dict[str, Any]) -> None:
    model, image = small_model(3, **shape), photo(100, 120)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert_equal(SamSegmenter(model), model, image)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_generator_takes_a_model_of_transformers() -> None:
    model, image = small_model(1, side=128), photo(90, 128)
    options = {"points_per_side": 4, "pred_iou_thresh": -9.0, "stability_score_thresh": 0.0}
    for mode in ("amg", "entities"):
        generator = EsamMaskGenerator(model, **options, mode=mode)
        assert generator.generate(image)
        with pytest.raises(AttributeError, match="no predictor"):
            generator.predictor  # noqa: B018
    half = EsamMaskGenerator(model.to(torch.bfloat16)).segmenter
    assert half.dtype == torch.bfloat16


def test_default_initialisation_too() -> None:
    """Weights of 0.02: there the eps of the norms shows, which is not segment_anything's."""
    torch.manual_seed(0)
    side = {"image_size": 256}
    vision = {**side, "num_hidden_layers": 2, "global_attn_indexes": [1], "initializer_range": 0.02}
    model = transformers.SamModel(transformers.SamConfig(vision_config=vision, prompt_encoder_config=side)).eval()
    image, segmenter = photo(100, 120), SamSegmenter(model)
    logits, scores = segmenter.decode(segmenter.embed(image), POINTS)
    exact_logits, exact_scores = answers(model, image, POINTS)
    assert (logits - exact_logits).abs().max() < 1e-3
    assert (scores - exact_scores).abs().max() < 1e-4


@pytest.mark.parametrize("form", ["pytorch_model.bin", "half", "wrapped", "without config"])
def test_other_forms_of_the_same_weights(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = small_model(2, **SIZES["vit_b"]), photo(80, 128)
    if form == "without config":  # then the official model of this width is expected, which here is this small one
        sam = huggingface.build(model.config.to_dict(), "config")
        huggingface.set_eps(sam, 1e-5)
        monkeypatch.setattr("esam_fast.segmenters.sam.models.build", lambda name: sam)
    (model.half() if form == "half" else model).save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    if form in ("pytorch_model.bin", "wrapped"):
        path.unlink()
        state = {f"sam.{name}": value for name, value in model.state_dict().items()}
        torch.save(
            model.state_dict() if form == "pytorch_model.bin" else {"state_dict": state}, tmp_path / "pytorch_model.bin"
        )
    if form == "without config":
        (tmp_path / "config.json").unlink()
    segmenter = load_sam(None, tmp_path, "cpu", "float32")
    assert_equal(segmenter, model.float(), image)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "sam2"}, r"config\.json is not of a SAM: expected model_type 'sam', got 'sam2'"),
        ({"vision_config": {"hidden_act": "relu"}}, r"vision_config: hidden_act: expected 'gelu', got 'relu'"),
        ({"vision_config": {"num_hidden_layers": 10**9}}, "num_hidden_layers: expected a whole number from 1 to 256"),
        ({"vision_config": {"hidden_size": "768"}}, "hidden_size: expected another type, got '768'"),
        ({"vision_config": {"mlp_ratio": 10**400}}, "mlp_ratio: expected a positive number"),
        ({"vision_config": {"num_attention_heads": 7}}, "do not fit"),
        ({"prompt_encoder_config": {"image_size": 64}}, "prompt_encoder_config: image_size: expected 128, got '64'"),
        ({"mask_decoder_config": {"num_attention_heads": 7}}, r"config\.json describes no SAM"),
        ({"vision_config": {"num_hidden_layers": 3}}, r"not a checkpoint of vit_b: \d+ tensors do not fit"),
    ],
)
def test_configs_that_do_not_fit(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    small_model(**SIZES["vit_b"]).save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    for name, value in change.items():
        config[name] = {**config[name], **value} if isinstance(value, dict) else value
    file.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(WeightsError, match=message) as caught:
        load_sam(None, tmp_path, "cpu", "float32")
    assert "\n" not in str(caught.value)
    for text in ("{", " " * (_limits.MAX_CONFIG_BYTES + 1)):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(WeightsError, match=r"cannot read .*config\.json"):
            load_sam(None, tmp_path, "cpu", "float32")


def test_folders_without_a_weight_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"is a folder without weights: expected model\.safetensors or pytorch_"):
        load_segmenter("auto", checkpoint=tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(WeightsError, match="holds an adapter alone: merge it into its model, and save that"):
        load_segmenter("auto", checkpoint=tmp_path)
    for name in ("pytorch_model.bin.index.json", "model.safetensors.index.json"):
        (tmp_path / name).write_text("{}")
        with pytest.raises(WeightsError, match=r"several files: save them as one \(max_shard_size='10GB'\)"):
            load_segmenter("vit_b", checkpoint=tmp_path)
        (tmp_path / name).unlink()


def test_safetensors_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_model().save_pretrained(tmp_path)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ModuleNotFoundError, match=r"model\.safetensors needs safetensors.*'esam-fast\[sam\]'"):
        load_segmenter("vit_b", tmp_path)


def test_objects_that_are_not_as_transformers_made_them() -> None:
    hooked = small_model()
    hooked.mask_decoder.register_forward_hook(lambda *a: None)
    with pytest.raises(TypeError, match="sam must be transformers' SamModel as it is, but mask_decoder is changed"):
        SamSegmenter(hooked)
    adapted = small_model()
    adapted.vision_encoder.layers[0].attn.qkv = type("Adapted", (torch.nn.Linear,), {"__module__": "mine"})(48, 144)
    with pytest.raises(TypeError, match=r"but vision_encoder\.layers\.0\.attn\.qkv is changed"):
        SamSegmenter(adapted)
    apart = small_model()
    embedding = apart.prompt_encoder.shared_embedding
    embedding.positional_embedding = torch.nn.Parameter(embedding.positional_embedding.detach() + 1)
    with pytest.raises(ValueError, match="SamModel has one position encoding for images and another for points"):
        SamSegmenter(apart)
    other = small_model()
    other.config.vision_config.num_hidden_layers = 3
    with pytest.raises(
        ValueError, match=r"SamModel is no SAM by its config: \d+ tensors do not fit, image_encoder\.bl"
    ):
        SamSegmenter(other)
    other = small_model()
    other.config.model_type = "sam_hq"
    with pytest.raises(TypeError, match=r"sam must be a SamModel .*, got SamModel of type 'sam_hq'"):
        EsamMaskGenerator(other)


def test_auto_finds_a_model_in_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "none"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("esam_fast.segmenters.sam.models.free_memory", lambda device: 2**34)
    model, image = small_model(**SIZES["vit_b"]), photo(64, 64)
    revision = tmp_path / "models--facebook--sam-vit-base" / "snapshots" / ("a" * 40)
    model.save_pretrained(revision)
    segmenter = load_segmenter(device="cpu", dtype="float32")
    assert segmenter.name == "sam:vit_b"
    assert_equal(segmenter, model, image)
    shutil.rmtree(revision)
    assert load_segmenter(device="cpu").name == "regions"


def test_a_folder_on_the_command_line(tmp_path: Path) -> None:
    from PIL import Image

    small_model(side=128, **SIZES["vit_b"]).save_pretrained(tmp_path / "model")
    Image.fromarray(photo(60, 80)).save(tmp_path / "photo.png")
    done = CliRunner().invoke(
        main,
        ["segment", str(tmp_path / "photo.png"), "--out", str(tmp_path / "out"), "--device", "cpu",
         "--checkpoint", str(tmp_path / "model"), "--set", "mmg.points_per_side=4"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "segmenter 'sam:vit_b': told by its checkpoint" in done.stderr
    about = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert about["segmenter"] == "sam:vit_b"
    assert about["checkpoint"] == str(tmp_path / "model" / "model.safetensors")


def test_the_official_model_under_both_names_is_the_same(tmp_path: Path) -> None:
    """Independently of the conversion: segment_anything's own code on the weights as converted here."""
    model, image = small_model(5), photo(150, 100)
    _, logits, scores = official(huggingface.converted(model), image, POINTS)
    exact_logits, exact_scores = answers(model, image, POINTS)
    assert (logits - exact_logits).abs().max() < 1e-3
    assert (scores - exact_scores).abs().max() < 1e-4
