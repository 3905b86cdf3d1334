"""Small SAMs with random weights, and the official code's answers to compare with.

Where torch and segment_anything are missing, the tests that import this are skipped; with ESAM_EXPECT_SAM=1, they fail.
"""

from __future__ import annotations

import copy
import warnings
from functools import partial
from typing import Any

import numpy as np
from libraries import library

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # other people's imports
    library("torch", "ESAM_EXPECT_SAM")
    library("segment_anything", "ESAM_EXPECT_SAM")
    import segment_anything
    import torch
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from esam_fast.segmenters.sam import SamSegmenter

__all__ = ["SamSegmenter", "official", "photo", "segment_anything", "small_sam", "spread", "torch"]


def small_sam(
    seed: int = 0,
    *,
    side: int = 256,
    width: int = 48,
    depth: int = 4,
    channels: int = 256,
    heads: int = 8,
    layers: int = 2,
    **encoder: Any,
) -> Any:
    """A SAM of all the official parts, with weights such that attention is not flat and logits have spread.

    `encoder`: more arguments of ImageEncoderViT.
    """
    torch.manual_seed(seed)
    cells = side // 16
    sam = Sam(
        ImageEncoderViT(
            img_size=side, embed_dim=width, depth=depth, num_heads=3, out_chans=channels,
            global_attn_indexes=(1, 3), norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            **{"use_rel_pos": True, "window_size": 7, **encoder},
        ),
        PromptEncoder(channels, (cells, cells), (side, side), 16),
        MaskDecoder(transformer_dim=channels, transformer=TwoWayTransformer(layers, channels, heads, 8 * channels)),
    )  # fmt: skip
    spread(sam)
    return sam.eval()


def spread(sam: Any) -> None:
    """Random values where initialisation leaves zeros or little."""
    with torch.no_grad():
        for name, weight in sam.named_parameters():
            if "pos" in name:
                weight.copy_(torch.randn_like(weight) * 0.3)
            elif weight.dim() > 1:
                weight.mul_(1.7)
            else:
                weight.add_(torch.randn_like(weight) * 0.2)


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A random image with structure: uint8 [H, W, 3]."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    return coarse.repeat(16, 0).repeat(16, 1)[:height, :width].copy()


def official(sam: Any, image: np.ndarray, points: np.ndarray, dtype: str = "float32") -> tuple[Any, Any, Any]:
    """What segment_anything's own code answers: embedding [C, h, w], logits [N, 3, H, W] and scores [N, 3].

    In a half precision the encoder and the mask decoder run in it, the prompt encoder does not.
    """
    kind = getattr(torch, dtype)
    encoder, decoder = (copy.deepcopy(part).to(kind) for part in (sam.image_encoder, sam.mask_decoder))
    resize = segment_anything.utils.transforms.ResizeLongestSide(sam.image_encoder.img_size)
    with torch.no_grad():
        pixels = torch.as_tensor(resize.apply_image(image)).permute(2, 0, 1)[None]
        embedding = encoder(sam.preprocess(pixels).to(kind))
        coordinates = torch.as_tensor(resize.apply_coords(points, image.shape[:2]))[:, None]
        sparse, dense = sam.prompt_encoder((coordinates, torch.ones(len(points), 1)), None, None)
        position = sam.prompt_encoder.get_dense_pe()
        logits, scores = decoder(embedding, position.to(kind), sparse.to(kind), dense.to(kind), True)
    return embedding[0].float(), logits.float(), scores.float()
