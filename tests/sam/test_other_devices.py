"""Devices that torch can do less on: forced on the CPU, since none is here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from no_doubles import NoDoubles
from sam_models import SamSegmenter, photo, segment_anything, small_sam, torch

from esam_fast import Esam, EsamConfig, EsamMaskGenerator, MmgConfig, PackedMasks
from esam_fast.config import EmrConfig
from esam_fast.ops import pack_logits
from esam_fast.segmenters.sam import devices, models, prompts
from esam_fast.segmenters.sam.foreign import ForeignDecoder

POINTS = np.array([[10.0, 20.0], [100.0, 50.0], [60.5, 70.5]], np.float32)


class Inverted(segment_anything.modeling.MaskDecoder):  # type: ignore[misc]
    """A decoder that is not the official one."""

    def predict_masks(self, **inputs: Any) -> Any:
        masks, scores = super().predict_masks(**inputs)
        return -masks, scores


def as_elsewhere(segmenter: SamSegmenter) -> SamSegmenter:
    """The segmenter with the code that runs on other devices than the CPU."""
    segmenter._decoder._at_once = True
    segmenter._decoder._chunks._in_threads = False
    for block in segmenter._encoder._blocks:
        object.__setattr__(block.attention, "in_chunks", False)
    return segmenter


def answers(segmenter: SamSegmenter) -> list[np.ndarray]:
    embedding = segmenter.embed(photo(100, 150))
    masks = segmenter.masks(embedding, POINTS)
    logits = segmenter.logits(embedding, POINTS, np.zeros(3, np.int8))
    return [embedding.features, masks.scores, logits, *(each.numpy() for each in segmenter.decode(embedding, POINTS))]


@pytest.fixture
def no_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "has_double", lambda device: False)


@pytest.mark.parametrize("foreign", [False, True])
def test_sam_without_float64(no_doubles: None, foreign: bool) -> None:
    sam = small_sam(3)
    if foreign:
        sam.mask_decoder.__class__ = Inverted
    expected = answers(SamSegmenter(sam))
    segmenter = as_elsewhere(SamSegmenter(sam))
    assert isinstance(segmenter._decoder, ForeignDecoder) == foreign
    with NoDoubles():
        found = answers(segmenter)
    for ours, other in zip(found, expected, strict=True):
        assert np.allclose(ours, other, atol=1e-3)


def test_a_whole_image_and_the_official_generator_without_float64(no_doubles: None) -> None:
    sam, image = small_sam(3), photo(120, 200)
    thresholds = {"points_per_side": 8, "pred_iou_thresh": -9.0, "stability_score_thresh": 0.0}
    config = EsamConfig(
        mmg=MmgConfig(points_per_side=8, score_threshold=-9.0, stability_threshold=0.0),
        emr=EmrConfig(points_per_side=16),
    )
    segmenter = as_elsewhere(SamSegmenter(sam))
    with NoDoubles():
        assert len(Esam(segmenter, config).segment(image)) > 0
    assert len(EsamMaskGenerator(segmenter, **thresholds, mode="amg").generate(image)) > 0


def test_the_refusal_is_one_that_shows() -> None:
    with NoDoubles(), pytest.raises(TypeError, match="no float64"):
        answers(as_elsewhere(SamSegmenter(small_sam(3))))


def test_masks_stay_on_cuda_alone() -> None:
    assert devices.works_on_masks(torch.device("cuda"))
    for name in ("cpu", "mps", "xpu"):
        assert not devices.works_on_masks(torch.device(name))
    with pytest.raises(ValueError, match="masks must be on the CPU or a CUDA device, got meta: decisions need float64"):
        pack_logits(torch.zeros(1, 4, 4, device="meta"))


@pytest.mark.parametrize("name", ["mps", "xpu", "meta"])
def test_a_device_that_is_not_here_is_refused_by_name(name: str) -> None:
    if name != "meta" and getattr(torch, name).is_available():
        pytest.fail(f"this machine has {name!r}: run the other tests of this folder on it")
    with pytest.raises(ValueError, match=f"device '{name}' is not available"):
        SamSegmenter(small_sam(), device=name)


def test_autocast_where_torch_has_none() -> None:
    with devices.autocast(torch.device("meta")):
        pass
    with pytest.raises(ValueError, match="dtype must be 'float32' on 'meta', for which torch has no autocast"):
        devices.autocast(torch.device("meta"), torch.bfloat16)


def test_auto_is_float32_where_bfloat16_is_not_sure_to_be_fast() -> None:
    assert devices.resolve_dtype("auto", torch.device("mps")) == torch.float32
    assert devices.resolve_dtype("float16", torch.device("mps")) == torch.float16


def test_memory_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert 0 < models.free_memory(cpu) <= sys.maxsize
    monkeypatch.setattr(models, "MEMORY", tmp_path / "meminfo")
    limits = tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"
    monkeypatch.setattr(models, "CONTAINER_LIMITS", limits)
    assert models.free_memory(cpu) == models.free_memory(torch.device("mps")) == sys.maxsize  # a system that tells none
    models.MEMORY.write_text("MemTotal:       24000000 kB\nMemFree:          300000 kB\nMemAvailable:   20000000 kB\n")
    assert models.free_memory(cpu) == 20000000 * 1024  # what file caches hold can be had
    for strange in ("MemAvailable:\nMemFree: 5 kB\n", "MemAvailable: some kB\n", ""):
        models.MEMORY.write_text(strange)
        assert models.free_memory(cpu) == sys.maxsize
    models.MEMORY.write_bytes(b"\n\xffHuge: 1: 2\nMemAvailable:   20000000 kB\n")
    for limit, none in zip(limits, ("max\n", "9223372036854771712\n"), strict=True):
        limit.write_text(none)
        assert models.free_memory(cpu) == 20000000 * 1024
        limit.write_text("4294967296\n")
        assert models.free_memory(cpu) == 2**32
        limit.unlink()


@pytest.mark.parametrize(
    "call", [PackedMasks.from_bool(np.ones((1, 2, 2), np.bool_)).to, lambda d: PackedMasks.empty((2, 2), d)]
)
def test_devices_are_named_or_refused(call: Any) -> None:
    with pytest.raises(ValueError, match="device 'meta' is not available: it holds no values"):
        call("meta")
    for wrong in ("x", "cpu:y", "a" * 10**5):
        with pytest.raises(
            ValueError, match="device must be the name of a device of torch, as 'cpu' or 'cuda:0', got '"
        ) as refusal:
            call(wrong)
        assert len(str(refusal.value)) < 200
    with pytest.raises(TypeError, match="device must be the name of a device of torch, got float"):
        call(1.5)
