"""`load_segmenter`: which segmenter a name gives, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from libraries import library

from esam_fast import load_segmenter, segmenters, weights


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def test_regions_by_name_and_without_weights() -> None:
    assert load_segmenter("regions").name == "regions"
    assert load_segmenter().name == "regions"


def test_unknown_names_and_needless_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"name must be one of auto, regions, vit_h, vit_l, vit_b, sam2\.1_\w+, .*, got 'vit_x'"
    ):
        load_segmenter("vit_x")
    with pytest.raises(ValueError, match="checkpoint must be None for the segmenter 'regions'"):
        load_segmenter("regions", checkpoint=tmp_path / "a.pth")


def test_sam_without_its_packages_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmenters, "installed", lambda package: False)
    with pytest.raises(ModuleNotFoundError, match=r"SAM needs torch, .*pip install 'esam-fast\[sam\]'"):
        load_segmenter("vit_b")


def test_a_folder_of_a_packages_name_is_no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sam2_in_no_index").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(segmenters.PACKAGES, "sam2", ("sam2_in_no_index",))
    monkeypatch.setitem(segmenters.PACKAGES, "sam", ())
    with pytest.raises(ModuleNotFoundError, match=r"needs sam2_in_no_index: pip install 'esam-fast\[sam2\]'"):
        load_segmenter("sam2.1_hiera_tiny")


@pytest.mark.parametrize(("option", "value"), [("device", "cuda"), ("device", "bogus"), ("dtype", "float16")])
@pytest.mark.parametrize("missing", [True, False])
def test_auto_takes_no_stand_in_where_more_was_asked_for(monkeypatch, tmp_path, option, value, missing):
    monkeypatch.setenv("ESAM_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setattr("esam_fast.segmenters.installed", lambda name: not missing)
    why = "SAM needs torch" if missing else "no weights of SAM are here"
    with pytest.raises(ValueError, match=rf"{option} '{value}' was asked for, but {why}.*'regions' if it is meant"):
        load_segmenter("auto", **{option: value})
    assert load_segmenter("auto", device="cpu").name == "regions"


def test_a_device_given_as_an_object():
    cpu = library("torch", "ESAM_EXPECT_SAM").device("cpu")  # which SAM's segmenters take too
    assert load_segmenter("auto", device=cpu).name == "regions"  # type: ignore[arg-type]


def test_a_device_that_is_not_here_is_refused_with_the_stand_in_too(monkeypatch):
    assert load_segmenter("regions", dtype="float16").name == "regions"
    with pytest.raises(ValueError, match=r"dtype must be one of auto, float32, .*, got 'int3'"):
        load_segmenter("regions", dtype="int3")
    monkeypatch.setattr("esam_fast.segmenters.installed", lambda name: False)
    with pytest.raises(ValueError, match="device must be 'auto' or 'cpu' where torch is missing, got 'cuda'"):
        load_segmenter("regions", device="cuda")


@pytest.mark.parametrize("device", ["bogus", "cuda:99", "meta", "vulkan"])
def test_devices_that_torch_cannot_use(device):
    library("torch", "ESAM_EXPECT_SAM")
    library("segment_anything", "ESAM_EXPECT_SAM")
    with pytest.raises(ValueError, match=f"device .*'{device}'"):
        load_segmenter("regions", device=device)
