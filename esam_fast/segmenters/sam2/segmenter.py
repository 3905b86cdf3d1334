"""SAM 2 as a segmenter of images: SAM's way with SAM 2's parts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from esam_fast.segmenters.sam import SamSegmenter
from esam_fast.segmenters.sam.frame import Frame
from esam_fast.segmenters.sam.official_amg import AmgSettings
from esam_fast.segmenters.sam.recognise import check_parts
from esam_fast.segmenters.sam2 import huggingface, official_amg
from esam_fast.segmenters.sam2.encoder import ImageEncoder
from esam_fast.segmenters.sam2.frame import StretchedFrame
from esam_fast.segmenters.sam2.recognise import is_official_decoder

_PARTS = ("image_encoder", "sam_prompt_encoder", "sam_mask_decoder", "no_mem_embed")
_MEAN = (0.485, 0.456, 0.406)  # of SAM2Transforms, which the model does not hold
_STD = (0.229, 0.224, 0.225)


class Sam2Segmenter(SamSegmenter):
    """Answers point prompts with SAM 2 or SAM 2.1, each image on its own: no memory of others.

    The image encoder runs through its own forward. sam2's own mask decoder (copies of its class included) runs through
    faster code with the same result, any other through its own forward, in float32. Scores are the model's own,
    through a sigmoid where it has one.

    Args:
        model: any SAM2Base, or transformers' Sam2Model, whose weights then run in sam2's parts. It is copied as it is
            now.
        device, dtype, name, owned, backend: see `SamSegmenter`.

    Raises:
        TypeError: model lacks a part. ValueError, BackendUnavailable: see `SamSegmenter`.
    """

    score_threshold = 0.8
    _frame = StretchedFrame.of
    _is_official_decoder = staticmethod(is_official_decoder)

    def __init__(
        self,
        model: Any,
        device: str = "cpu",
        dtype: str = "float32",
        *,
        name: str = "sam2",
        owned: bool = False,
        backend: str | None = None,
    ) -> None:
        if huggingface.is_transformers_model(model):
            model, owned = huggingface.converted(model), True
        check_parts(model, _PARTS, "model must be a SAM2Base")
        parts = SimpleNamespace(
            image_encoder=ImageEncoder(model),
            prompt_encoder=model.sam_prompt_encoder,
            mask_decoder=model.sam_mask_decoder,
            pixel_mean=torch.tensor(_MEAN)[:, None, None],
            pixel_std=torch.tensor(_STD)[:, None, None],
        )
        super().__init__(parts, device, dtype, name=name, owned=owned, backend=backend)

    def official_records(self, image: NDArray[np.uint8], settings: AmgSettings) -> list[dict[str, Any]]:
        """See `segmenters.sam2.official_amg.generate`."""
        return official_amg.generate(image, self._decoding, self.side, settings)

    @staticmethod
    def official_predictor(model: Any) -> Any:
        """sam2's SAM2ImagePredictor around a model."""
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        return SAM2ImagePredictor(model)

    def _square(self, image: NDArray[np.uint8], frame: Frame) -> Tensor:
        assert isinstance(frame, StretchedFrame)
        return (frame.square(image, self.device) - self._mean) / self._std
