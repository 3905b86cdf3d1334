"""SAM 2.1 by name and by checkpoint."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sam2_models import Hiera, sam2, small_sam2, torch
from sam_models import photo, small_sam

from esam_fast import load_segmenter, segmenters, weights
from esam_fast.segmenters.sam2 import Sam2Segmenter, load_sam2, models
from esam_fast.weights import WeightsError

TINY = "sam2.1_hiera_tiny"
POINTS = np.array([[10.0, 20.0], [60.5, 40.5]], np.float32)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Any:
    """sam2.1_hiera_tiny, were it a small model."""
    monkeypatch.setattr(models, "build", lambda model: small_sam2(0, side=128, no_obj_embed_spatial=True))
    monkeypatch.setitem(models._MODELS, TINY, ("sam2.1_hiera_t.yaml", 7))
    monkeypatch.setitem(weights.MODELS, TINY, replace(weights.MODELS[TINY], width=16))
    return small_sam2(7, side=128, no_obj_embed_spatial=True)


def save(model: Any, path: Path) -> Path:
    """As the publisher does, or as safetensors."""
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(model.state_dict(), path)
    else:
        torch.save({"model": model.state_dict()}, path)
    return path


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("name", [TINY, "auto"])
def test_checkpoints(tmp_path: Path, tiny: Any, suffix: str, name: str) -> None:
    path = save(tiny, tmp_path / f"weights{suffix}")
    segmenter, expected = load_segmenter(name, path, "cpu", "float32"), Sam2Segmenter(tiny)
    assert isinstance(segmenter, Sam2Segmenter)
    assert (segmenter.name, segmenter.checkpoint) == ("sam2:sam2.1_hiera_tiny", path)
    image = photo(60, 90)
    ours, theirs = (each.masks(each.embed(image), POINTS) for each in (segmenter, expected))
    assert np.array_equal(ours.scores, theirs.scores)
    assert np.array_equal(ours.masks.words, theirs.masks.words)


def test_auto_takes_sam_first_and_sam2_where_only_that_is_here(
    folder: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esam_fast.segmenters.sam.models.free_memory", lambda device: 2**34)
    save(tiny, folder / "sam2.1_hiera_tiny.pt")
    assert load_segmenter("auto", device="cpu").name == load_segmenter(TINY, device="cpu").name == f"sam2:{TINY}"
    (folder / "sam_vit_b_01ec64.pth").write_bytes(b"\0")
    with pytest.raises(WeightsError, match=r"sam_vit_b_01ec64\.pth"):
        load_segmenter("auto", device="cpu")
    (folder / "sam_vit_b_01ec64.pth").unlink()
    found = segmenters.installed
    monkeypatch.setattr(segmenters, "installed", lambda name: name != "sam2" and found(name))
    assert load_segmenter("auto").name == "regions"
    with pytest.raises(ModuleNotFoundError, match=r"SAM 2\.1 needs sam2: pip install 'esam-fast\[sam2\]'"):
        load_segmenter(TINY)
    with pytest.raises(ModuleNotFoundError, match=r"SAM 2\.1 needs sam2"):
        load_segmenter("auto", folder / "sam2.1_hiera_tiny.pt")


def test_weights_that_are_not_here_say_how_to_get_them(folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"weights download sam2\.1_hiera_small.*put sam2\.1_hiera_small\.pt into"):
        load_segmenter("sam2.1_hiera_small")


def test_checkpoints_of_others(tmp_path: Path, tiny: Any) -> None:
    path = save(tiny, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"not a checkpoint of sam2\.1_hiera_large: it is one of sam2\.1_hiera_tiny"):
        load_sam2("sam2.1_hiera_large", path)
    save(small_sam2(0, side=128), path)
    with pytest.raises(WeightsError, match=r"not a checkpoint of SAM 2\.1: it is one of SAM 2\.0"):
        load_sam2(TINY, path)
    cut = {name: value for name, value in tiny.state_dict().items() if name != "sam_mask_decoder.iou_token.weight"}
    torch.save({"model": cut}, path)
    with pytest.raises(WeightsError, match=r"1 tensors do not fit, sam_mask_decoder\.iou_token\.weight for one"):
        load_sam2(TINY, path)
    save(small_sam(), path)
    with pytest.raises(WeightsError, match=r"not a checkpoint of sam2\.1_hiera_tiny: it is one of SAM$"):
        load_sam2(TINY, path)
    torch.save({"image_encoder.trunk.blocks.0.norm1.weight": torch.ones(1)}, path)
    with pytest.raises(WeightsError, match=r"not a checkpoint of sam2\.1_hiera_large, .*, sam2\.1_hiera_tiny$"):
        load_sam2(None, path)
    save(tiny, path)
    with pytest.raises(WeightsError, match=r"not a checkpoint of vit_b: it is one of SAM 2$"):
        load_segmenter("vit_b", path)
    with pytest.raises(ValueError, match=r"model must be one of sam2\.1_hiera_large, .*, got 'vit_b'"):
        load_sam2("vit_b", path)


def test_official_models_are_built_whatever_hydra_has_been_told() -> None:
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    try:
        model = models.build(TINY)
    finally:
        initialize_config_module("sam2", version_base="1.2")
    assert sum(weight.numel() for weight in model.parameters()) == 38_962_498
    assert models._model_of(model.state_dict()) == TINY
    assert not model.training
    assert model.sam_mask_decoder.dynamic_multimask_via_stability
    assert load_weights_of(model)


def load_weights_of(model: Any) -> bool:
    """Whether an official model becomes a segmenter with the decoder of a model of SAM."""
    from esam_fast.segmenters.sam.decoder import FoldedDecoder

    segmenter = Sam2Segmenter(model, owned=True)
    return isinstance(segmenter._decoder, FoldedDecoder) and segmenter.side == 1024


@pytest.mark.parametrize("name", models._MODELS)
def test_each_configuration_is_the_model_it_is_named_for(name: str) -> None:
    from omegaconf import OmegaConf

    file, blocks = models._MODELS[name]
    trunk = OmegaConf.load(Path(sam2.__file__).parent / "configs" / "sam2.1" / file).model.image_encoder.trunk
    assert trunk.embed_dim == weights.MODELS[name].width
    assert sum(trunk.get("stages", signature(Hiera).parameters["stages"].default)) == blocks
