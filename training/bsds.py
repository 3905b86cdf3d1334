"""Photographs with several people's segmentations: images/ID.jpg and labels/ID_k.png (uint16 label maps 1..n)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

# Never trained or fitted on: all numbers are reported on these, every fifth of BSDS500's training set.
HELD_OUT = (  # noqa: SIM905
    "100075 105019 108073 113044 12074 134008 138078 145053 151087 157036 161062 169012 176035 181091 "
    "187039 188091 198023 209070 22013 227046 232038 24004 246053 253036 268002 277095 292066 309004 "
    "317080 35010 361084 370036 376020 42044 46076 56028 65010 66075 78019 90076"
).split()

FOLDS = 3  # the other photographs, every third a fold: each is also segmented by a network that has not seen it


def names(data: Path, *, held_out: bool) -> list[str]:
    """Names of the photographs that are held out, or of the others, sorted."""
    found = sorted(path.stem for path in (data / "images").glob("*.jpg"))
    chosen = [name for name in found if (name in HELD_OUT) == held_out]
    if not chosen:
        raise ValueError(f"{data} has no images/ID.jpg to {'measure' if held_out else 'train'} on")
    return chosen


def fold(chosen: list[str], k: int) -> list[str]:
    """Those of fold k, 0 <= k < FOLDS."""
    return chosen[k::FOLDS]


def read(data: Path, name: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """The photograph uint8 [h, w, 3] RGB and people's label maps, uint16 [h, w] each."""
    image = cv2.imread(str(data / "images" / f"{name}.jpg"))
    maps = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((data / "labels").glob(f"{name}_*.png"))]
    if image is None or not maps or any(m is None or m.shape != image.shape[:2] for m in maps):
        raise ValueError(f"{data}: {name} must have a photograph and label maps of its size")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), maps
