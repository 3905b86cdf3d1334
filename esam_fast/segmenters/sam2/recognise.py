"""Is a mask decoder sam2's own?"""

from __future__ import annotations

from sam2.modeling import sam2_utils
from sam2.modeling.sam import mask_decoder, transformer
from torch import nn

from esam_fast.segmenters.sam.recognise import follows, has_gelu

_DECODER = {
    "": mask_decoder.MaskDecoder,
    "transformer": transformer.TwoWayTransformer,
    "transformer.layers.0": transformer.TwoWayAttentionBlock,
    "transformer.layers.0.self_attn": transformer.Attention,
    "iou_prediction_head": sam2_utils.MLP,
    "output_upscaling.1": sam2_utils.LayerNorm2d,
}


def is_official_decoder(module: nn.Module) -> bool:
    """Whether `module` computes what sam2's MaskDecoder computes, with GELU in its upscaling."""
    return follows(module, _DECODER) and has_gelu(module)
