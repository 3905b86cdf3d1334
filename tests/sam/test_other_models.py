"""Recognising models, running those that differ through their own code, and reading checkpoints."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from libraries import library
from sam_models import SamSegmenter, official, photo, segment_anything, small_sam, torch

from esam_fast.segmenters.sam import load_sam
from esam_fast.segmenters.sam.decoder import FoldedDecoder
from esam_fast.segmenters.sam.encoder import ForeignEncoder, VitEncoder
from esam_fast.segmenters.sam.foreign import ForeignDecoder
from esam_fast.weights import WeightsError

MaskDecoder = segment_anything.modeling.MaskDecoder
POINTS = np.array([[10.0, 20.0], [100.0, 50.0], [60.5, 70.5]], np.float32)


class Inverted(MaskDecoder):  # type: ignore[misc]
    """Differs by a method only."""

    def predict_masks(self, **inputs: Any) -> Any:
        masks, scores = super().predict_masks(**inputs)
        return -masks, scores


class OneMask(MaskDecoder):  # type: ignore[misc]
    """With HQ-SAM's arguments, and one mask a prompt."""

    def forward(self, *, multimask_output: bool, hq_token_only: bool, interm_embeddings: Any, **inputs: Any) -> Any:
        assert multimask_output
        assert not hq_token_only
        assert interm_embeddings == ["extra"]
        masks, scores = super().forward(**inputs, multimask_output=False)
        return masks + 0.25, scores


class WithExtras(segment_anything.modeling.ImageEncoderViT):  # type: ignore[misc]
    def forward(self, x: Any) -> Any:
        return super().forward(x), ["extra"]


def test_a_decoder_that_differs_runs_by_its_own_code() -> None:
    sam, image = small_sam(), photo(100, 200)
    sam.mask_decoder.__class__ = Inverted
    segmenter = SamSegmenter(sam)
    assert isinstance(segmenter._decoder, ForeignDecoder)
    embedding = segmenter.embed(image)
    logits, scores = segmenter.decode(embedding, POINTS)
    _, exact_logits, exact_scores = official(sam, image, POINTS)
    assert (logits - exact_logits).abs().max() < 1e-3
    assert (scores - exact_scores).abs().max() < 1e-4
    answer = segmenter.masks(embedding, POINTS, min_score=float(scores.max()))
    assert np.count_nonzero(answer.masks.area.reshape(-1, 3).any(1)) == 1
    assert len(segmenter.masks(embedding, POINTS[:0])) == 0


def test_one_mask_a_prompt_is_all_three_levels() -> None:
    sam, image = small_sam(), photo(100, 200)
    sam.mask_decoder.__class__ = OneMask
    sam.image_encoder.__class__ = WithExtras
    segmenter = SamSegmenter(sam)
    assert isinstance(segmenter._encoder, ForeignEncoder)
    embedding = segmenter.embed(image)
    answer = segmenter.masks(embedding, POINTS)
    logits = segmenter.logits(embedding, POINTS, np.zeros(3, np.int8))
    assert not answer.channels.any()
    assert np.array_equal(answer.scores, answer.scores[:, :1].repeat(3, 1))
    content = logits[:, : embedding.grid.rows, : embedding.grid.cols]
    assert np.array_equal(answer.masks.area.reshape(3, 3)[:, 0], (content > 0).sum((1, 2)))
    assert np.array_equal(answer.masks.words[0], answer.masks.words[2])


def test_unknown_arguments_are_refused() -> None:
    class Needy(MaskDecoder):  # type: ignore[misc]
        def forward(self, image_embeddings: Any, depth_map: Any, **others: Any) -> Any: ...

    sam = small_sam()
    sam.mask_decoder.__class__ = Needy
    with pytest.raises(TypeError, match=r"mask_decoder needs arguments that are not known here: depth_map"):
        SamSegmenter(sam)


@pytest.mark.parametrize(
    "change",
    [
        lambda decoder: setattr(decoder, "forward", lambda *a, **k: None),
        lambda decoder: decoder.register_forward_hook(lambda *a: None),
        lambda decoder: setattr(
            decoder.transformer.layers[0].norm1, "__class__", type("Odd", (torch.nn.LayerNorm,), {})
        ),
        lambda decoder: decoder.output_upscaling.__setitem__(2, torch.nn.ReLU()),
        lambda decoder: decoder.output_upscaling.__setitem__(4, torch.nn.GELU(approximate="tanh")),
        lambda decoder: setattr(decoder.transformer, "final_attn_token_to_image", torch.nn.Identity()),
        lambda decoder: setattr(decoder, "num_multimask_outputs", 4),
    ],
)
def test_what_has_been_touched_is_not_official(change: Any) -> None:
    sam = small_sam()
    change(sam.mask_decoder)
    assert not isinstance(SamSegmenter(sam)._decoder, FoldedDecoder)


def test_a_model_without_a_part_is_refused() -> None:
    with pytest.raises(TypeError, match=r"sam must be a SAM model, but Linear has no image_encoder"):
        SamSegmenter(torch.nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": "int8"}, "dtype must be"),
        ({"dtype": "float16"}, "float16.* needs a GPU"),
        ({"device": "toaster"}, "device must be"),
    ],
)
def test_unknown_devices_and_dtypes(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SamSegmenter(small_sam(), **arguments)


def test_auto_takes_what_the_machine_has() -> None:
    segmenter = SamSegmenter(small_sam(), "auto", "auto")
    assert segmenter.device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert segmenter.dtype in (torch.float32, torch.bfloat16)


def test_a_half_precision_model_can_be_given() -> None:
    sam, image = small_sam().to(torch.bfloat16), photo(64, 64)
    segmenter = SamSegmenter(sam, dtype="bfloat16")
    assert segmenter.masks(segmenter.embed(image), POINTS / 4).scores.shape == (3, 3)
    assert sam.mask_decoder.iou_token.weight.dtype == torch.bfloat16


@pytest.fixture
def short_vit_b(monkeypatch: pytest.MonkeyPatch) -> Any:
    """vit_b, were it a small model."""
    make = partial(small_sam, width=768, depth=1, side=128)
    monkeypatch.setitem(segment_anything.sam_model_registry, "vit_b", lambda: make(0))
    return make(7)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_checkpoints(tmp_path: Path, short_vit_b: Any, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(short_vit_b.state_dict(), path)
    else:
        from safetensors.torch import save_file

        save_file(short_vit_b.state_dict(), path)
    image = photo(60, 90)
    segmenter = load_sam("vit_b", path, "cpu", "float32")
    assert segmenter.name == "sam:vit_b"
    expected = SamSegmenter(short_vit_b)
    assert np.array_equal(segmenter.embed(image).features, expected.embed(image).features)
    ours, theirs = (each.masks(each.embed(image), POINTS / 4) for each in (segmenter, expected))
    assert np.array_equal(ours.scores, theirs.scores)
    with pytest.raises(WeightsError, match=r"not a checkpoint of vit_h: its encoder is 768 wide, that of vit_b"):
        load_sam("vit_h", path)


def test_bad_checkpoints(tmp_path: Path, short_vit_b: Any) -> None:
    path = tmp_path / "weights.pth"
    state = short_vit_b.state_dict()
    torch.save(state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="cut off"):
        load_sam("vit_b", path)
    path.write_bytes(b"<!DOCTYPE html><html>no</html>")
    with pytest.raises(WeightsError, match="web page"):
        load_sam("vit_b", path)
    torch.save({name: tensor for name, tensor in state.items() if "iou_token" not in name}, path)
    with pytest.raises(WeightsError, match=r"not a checkpoint of vit_b: 1 tensors do not fit, mask_decoder.iou_token"):
        load_sam("vit_b", path)
    torch.save([1, 2], path)
    with pytest.raises(WeightsError, match="expected one dictionary of tensors"):
        load_sam("vit_b", path)
    path.write_bytes(pickle.dumps({"a": 1}, 2))
    with pytest.raises(WeightsError, match=r"weights\.pth"):
        load_sam("vit_b", path)
    with pytest.raises(ValueError, match="model must be one of"):
        load_sam("vit_x", path)


class Command:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["ESAM_TEST_TRAP"],)


def test_a_checkpoint_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap, path = tmp_path / "trap", tmp_path / "weights.pth"
    monkeypatch.setenv("ESAM_TEST_TRAP", str(trap))
    torch.save({"weight": Command()}, path)
    with pytest.raises(WeightsError, match="more than tensors"):
        load_sam("vit_b", path)
    assert not trap.exists()


def test_an_official_model_builds_without_memory_for_its_weights() -> None:
    from esam_fast.segmenters.sam.models import build

    sam = build("vit_h")
    assert sum(weight.numel() for weight in sam.parameters()) > 6e8
    assert all(weight.device.type == "meta" for weight in sam.parameters())
    assert sam.pixel_mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])


def test_mobile_sam() -> None:
    mobile_sam = library("mobile_sam", "ESAM_EXPECT_SAM")
    torch.manual_seed(0)
    sam, image = mobile_sam.sam_model_registry["vit_t"](), photo(300, 400)
    segmenter = SamSegmenter(sam)
    assert isinstance(segmenter._encoder, ForeignEncoder)
    assert isinstance(segmenter._decoder, FoldedDecoder)
    embedding = segmenter.embed(image)
    _, exact_logits, exact_scores = official(sam.eval(), image, POINTS)
    logits, scores = segmenter.decode(embedding, POINTS)
    assert (logits - exact_logits).abs().max() < 1e-3
    assert (scores - exact_scores).abs().max() < 1e-4
    vit = mobile_sam.modeling.ImageEncoderViT(img_size=128, embed_dim=48, depth=1, num_heads=3, use_rel_pos=True)
    small = small_sam(side=128)
    small.image_encoder = vit.eval()
    assert isinstance(SamSegmenter(small)._encoder, VitEncoder)


def test_hq_sam() -> None:
    hq = library("segment_anything_hq", "ESAM_EXPECT_SAM")
    torch.manual_seed(0)
    sam, image = hq.sam_model_registry["vit_tiny"](), photo(300, 400)
    segmenter = SamSegmenter(sam)
    assert isinstance(segmenter._encoder, ForeignEncoder)
    assert isinstance(segmenter._decoder, ForeignDecoder)
    embedding = segmenter.embed(image)
    predictor = hq.SamPredictor(sam.eval())
    predictor.set_image(image)
    coordinates = torch.as_tensor(predictor.transform.apply_coords(POINTS, image.shape[:2]))[:, None]
    _, scores, logits = predictor.predict_torch(coordinates, torch.ones(3, 1), return_logits=True)
    ours, our_scores = segmenter.decode(embedding, POINTS)
    assert (ours - logits).abs().max() < 1e-3
    assert (our_scores - scores).abs().max() < 1e-4
    assert segmenter.masks(embedding, POINTS).channels.tolist() == [[0, 0, 0]] * 3


def test_the_benchmark_runs_and_memory_stays_small() -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "bench_sam.py"
    done = subprocess.run([sys.executable, script, "--memory", "320"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "320 prompts to bits" in done.stdout
