"""`load_segmenter` with SAM's weights here: which model it takes, and when it stays with the stand-in."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sam_models import segment_anything, small_sam, torch

from esam_fast import load_segmenter, weights
from esam_fast.weights import WeightsError


@pytest.fixture
def short_vit_b(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """vit_b, were it a small model."""
    make = partial(small_sam, width=768, depth=1, side=128)
    monkeypatch.setitem(segment_anything.sam_model_registry, "vit_b", lambda: make(0))
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    return make(7)


def test_auto_takes_the_largest_model_that_is_here_and_fits(
    tmp_path: Path, short_vit_b: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = "esam_fast.segmenters.sam.models.free_memory"
    monkeypatch.setattr(memory, lambda device: 2**34)
    assert load_segmenter(device="cpu").name == "regions"
    torch.save(short_vit_b.state_dict(), tmp_path / weights.MODELS["vit_b"].file)
    assert load_segmenter(device="cpu").name == "sam:vit_b"
    assert load_segmenter("vit_b", device="cpu", dtype="float32").name == "sam:vit_b"
    with pytest.raises(WeightsError, match="the weights of vit_l are not here: run `esam-fast weights download vit_l`"):
        load_segmenter("vit_l")
    monkeypatch.setattr(memory, lambda device: 1000)
    assert load_segmenter(device="cpu").name == "regions"


def test_auto_with_a_checkpoint_tells_the_model_by_its_width(tmp_path: Path, short_vit_b: Any) -> None:
    path = tmp_path / "mine.pth"
    torch.save(short_vit_b.state_dict(), path)
    assert load_segmenter(checkpoint=path, device="cpu").name == "sam:vit_b"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match="not a checkpoint of vit_h, vit_l, vit_b"):
        load_segmenter(checkpoint=path)
