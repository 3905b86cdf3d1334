"""AMG of SAM 2: the records of sam2's SAM2AutomaticMaskGenerator, from any decoder's low-resolution logits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sam2.utils.transforms import SAM2Transforms
from torch import Tensor

from esam_fast.segmenters.sam import official_amg
from esam_fast.segmenters.sam.official_amg import AmgSettings, Embed


@dataclass(frozen=True)
class StretchedPlane(official_amg.Plane):
    """Where a decoder's logits lie: over the whole image, stretched to a square.

    Attributes:
        cleaned: area, in pixels of the logits, up to which holes and islands are cleaned.
    """

    cleaned: int = 0

    def draw(self, logits: Tensor, height: int, width: int) -> Tensor:
        """Logits [N, h, w] over the square as logits [N, height, width] over the image, small regions cleaned.

        sam2 cleans by a CUDA extension of its own; where that is missing, or the logits are on a CPU, it warns and
        does not clean.
        """
        settings = SimpleNamespace(
            mask_threshold=self.threshold, max_hole_area=self.cleaned, max_sprinkle_area=self.cleaned
        )  # in place of an object of the class, which would compile a resize that is not used here
        return SAM2Transforms.postprocess_masks(settings, logits[None], (height, width))[0]


def generate(image: NDArray[np.uint8], embed: Embed, side: int, settings: AmgSettings) -> list[dict[str, Any]]:
    """sam2's records, their segmentations as run lengths: see `segmenters.sam.official_amg.generate`.

    Unlike segment_anything, sam2 cleans small regions on the model's plane and not afterwards, holds prompts in
    float32, and hands out every number as float.

    Args:
        side: of the square that the model sees, in pixels.
    """
    plane = StretchedPlane(side, cleaned=settings.min_mask_region_area)
    records = official_amg.generate(image, embed, plane, replace(settings, min_mask_region_area=0, float32=True))
    return [
        {**record, **{name: [float(value) for value in record[name]] for name in ("bbox", "crop_box")}}
        for record in records
    ]
