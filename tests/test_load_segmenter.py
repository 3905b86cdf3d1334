"""`load_segmenter`: which segmenter a name gives, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from esam_fast import load_segmenter, segmenters, weights


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def test_regions_by_name_and_without_weights() -> None:
    assert load_segmenter("regions").name == "regions"
    assert load_segmenter().name == "regions"


def test_unknown_names_and_needless_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name must be one of auto, regions, vit_h, vit_l, vit_b, got 'vit_x'"):
        load_segmenter("vit_x")
    with pytest.raises(ValueError, match="checkpoint must be None for the segmenter 'regions'"):
        load_segmenter("regions", checkpoint=tmp_path / "a.pth")


def test_sam_without_its_packages_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmenters, "find_spec", lambda package: None)
    with pytest.raises(ModuleNotFoundError, match=r"SAM needs torch, .*pip install 'esam-fast\[sam\]'"):
        load_segmenter("vit_b")
