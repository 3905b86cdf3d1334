"""SAM 2's image encoder with what its predictor adds to it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class ImageEncoder(nn.Module):  # type: ignore[misc]  # torch is not followed
    """Hiera and its feature pyramid, the projections of the fine levels, and the embedding of "no memory".

    Args:
        sam2: a SAM2Base; its parts are shared, not copied.
    """

    def __init__(self, sam2: Any) -> None:
        super().__init__()
        self.img_size: int = sam2.image_size
        self.pyramid = sam2.image_encoder
        self.no_memory = sam2.no_mem_embed if sam2.directly_add_no_mem_embed else None  # [1, 1, C]
        decoder = sam2.sam_mask_decoder
        self.fine = nn.ModuleList([decoder.conv_s0, decoder.conv_s1] if sam2.use_high_res_features_in_sam else [])

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The embedding [1, C, h, w] of an image [1, 3, side, side], and the fine levels that its decoder takes.

        Returns:
            The fine levels: none, or [1, C / 8, 4 h, 4 w] and [1, C / 4, 2 h, 2 w].
        """
        levels = self.pyramid(image)["backbone_fpn"]  # finest first
        embedding = levels[-1]
        if self.no_memory is not None:
            embedding = embedding + self.no_memory.view(1, -1, 1, 1)
        return embedding, [conv(level).float() for conv, level in zip(self.fine, levels, strict=False)]
