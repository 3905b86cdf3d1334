"""The cache of the Hugging Face hub: where it is, and which file of which revision is taken."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from esam_fast import weights
from esam_fast.cli import main
from esam_fast.weights import huggingface

VARIABLES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")
OLD, NEW = "0" * 40, "f" * 40


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The hub's folder of facebook/sam-vit-large; there are no other weights."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("ESAM_WEIGHTS_DIR", str(tmp_path / "weights"))
    return tmp_path / "hub" / "models--facebook--sam-vit-large"


def revision(folder: Path, name: str, *files: str, seconds: int = 0) -> Path:
    snapshot = folder / "snapshots" / name
    (folder / "blobs").mkdir(parents=True, exist_ok=True)
    snapshot.mkdir(parents=True)
    for file in files:
        (folder / "blobs" / f"{name}{file}").write_bytes(b"x")
        (snapshot / file).symlink_to(f"../../blobs/{name}{file}")
    os.utime(snapshot, (seconds, seconds))
    return snapshot


def test_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    found = [huggingface.cache()]
    for variable in reversed(VARIABLES):
        monkeypatch.setenv(variable, f"~/{variable}")
        found.append(huggingface.cache())
    assert [str(path.relative_to(tmp_path)) for path in found] == [
        ".cache/huggingface/hub",
        "XDG_CACHE_HOME/huggingface/hub",
        "HF_HOME/hub",
        "HUGGINGFACE_HUB_CACHE",
        "HF_HUB_CACHE",
    ]


def test_users_without_a_home_have_no_cache(monkeypatch):
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os.path, "expanduser", str)  # what it does where nobody knows the user
    monkeypatch.setattr(weights, "folder", lambda: Path("~/weights"))
    assert weights.available() == {}


def test_the_newest_revision_unless_main_names_another(folder):
    assert weights.find("vit_l") is None
    older = revision(folder, OLD, "config.json", "pytorch_model.bin", "model.safetensors", seconds=1)
    newer = revision(folder, NEW, "config.json", "pytorch_model.bin", seconds=2)
    revision(folder, "a" * 40, "config.json", seconds=3)  # weights were not asked for
    assert weights.find("vit_l") == newer / "pytorch_model.bin"
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(f"{OLD}\n")
    assert weights.available() == {"vit_l": older / "model.safetensors"}
    (folder / "refs" / "main").write_bytes(b"\xff../../elsewhere")
    assert weights.find("vit_l") == newer / "pytorch_model.bin"
    (folder / "snapshots" / "link").symlink_to("gone")
    (folder / "snapshots" / ".DS_Store").touch()
    assert weights.find("vit_l") == newer / "pytorch_model.bin"
    (folder / "blobs" / f"{NEW}pytorch_model.bin").unlink()
    assert weights.find("vit_l") == older / "model.safetensors"


def test_every_official_model_is_known_by_its_repository(folder):
    repositories = {
        "vit_h": "sam-vit-huge",
        "vit_l": "sam-vit-large",
        "vit_b": "sam-vit-base",
        "sam2.1_hiera_large": "sam2.1-hiera-large",
        "sam2.1_hiera_base_plus": "sam2.1-hiera-base-plus",
        "sam2.1_hiera_small": "sam2.1-hiera-small",
        "sam2.1_hiera_tiny": "sam2.1-hiera-tiny",
    }
    own = {
        name: revision(folder.parent / f"models--facebook--{repository}", OLD, "config.json", weights.MODELS[name].file)
        for name, repository in repositories.items()
    }
    assert list(weights.available()) == list(repositories)  # of each family the largest first
    for name, snapshot in own.items():
        assert weights.path(name) == snapshot / weights.MODELS[name].file
        (snapshot / "model.safetensors").write_bytes(b"x")  # both are in the repositories of SAM 2.1
        assert weights.path(name) == snapshot / "model.safetensors"


def test_info_and_weights_show_what_is_in_the_cache(folder):
    snapshot = revision(folder.parent / "models--facebook--sam2.1-hiera-tiny", OLD, "sam2.1_hiera_tiny.pt")
    file = str(snapshot / "sam2.1_hiera_tiny.pt")
    for command in (["info"], ["weights", "list"], ["weights", "path", "sam2.1_hiera_tiny"]):
        assert file in CliRunner().invoke(main, command).output


def test_a_file_that_is_not_whole_is_none(folder):
    snapshot = revision(folder, OLD)
    (snapshot / "model.safetensors").symlink_to("../../blobs/still-coming")
    assert weights.find("vit_l") is None


def test_the_own_folder_comes_first(folder, tmp_path):
    revision(folder, OLD, "model.safetensors")
    own = tmp_path / "weights" / weights.MODELS["vit_l"].file
    own.parent.mkdir()
    own.write_bytes(b"x")
    assert weights.find("vit_l") == own


def test_every_name_of_a_model_becomes_another():
    ours = weights.official_names(
        [
            "shared_image_embedding.positional_embedding",
            "vision_encoder.layers.11.layer_norm2.bias",
            "vision_encoder.neck.layer_norm1.weight",
            "prompt_encoder.point_embed.3.weight",
            "prompt_encoder.not_a_point_embed.weight",
            "prompt_encoder.mask_embed.conv3.bias",
            "mask_decoder.transformer.layers.1.layer_norm4.weight",
            "mask_decoder.transformer.layer_norm_final_attn.bias",
            "mask_decoder.upscale_layer_norm.bias",
            "mask_decoder.iou_prediction_head.proj_in.weight",
            "mask_decoder.iou_prediction_head.layers.0.weight",
            "mask_decoder.iou_prediction_head.layers.1.weight",
            "mask_decoder.iou_prediction_head.proj_out.bias",
        ]
    )
    assert list(ours.values()) == [
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        "image_encoder.blocks.11.norm2.bias",
        "image_encoder.neck.1.weight",
        "prompt_encoder.point_embeddings.3.weight",
        "prompt_encoder.not_a_point_embed.weight",
        "prompt_encoder.mask_downscaling.6.bias",
        "mask_decoder.transformer.layers.1.norm4.weight",
        "mask_decoder.transformer.norm_final_attn.bias",
        "mask_decoder.output_upscaling.1.bias",
        "mask_decoder.iou_prediction_head.layers.0.weight",
        "mask_decoder.iou_prediction_head.layers.1.weight",
        "mask_decoder.iou_prediction_head.layers.2.weight",
        "mask_decoder.iou_prediction_head.layers.3.bias",
    ]


def test_hostile_names_cost_little():
    layers = [f"mask_decoder.iou_prediction_head.layers.{i}.weight" for i in range(20_000)]
    long = f"mask_decoder.iou_prediction_head.layers.{'9' * 5000}.weight"
    start = time.process_time()
    assert weights.official_names([*layers, long])[long] == long
    assert time.process_time() - start < 10  # seconds; every name with every other took a minute
