"""Small SAM 2s with random weights, and sam2's own predictor to compare with.

Where torch and sam2 are missing, the tests that import this are skipped; with ESAM_EXPECT_SAM2=1, they fail.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from libraries import library

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # other people's imports
    library("torch", "ESAM_EXPECT_SAM2")
    library("sam2", "ESAM_EXPECT_SAM2")
    import sam2
    import torch
    from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator
    from sam2.modeling.backbones.hieradet import Hiera
    from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
    from sam2.modeling.position_encoding import PositionEmbeddingSine
    from sam2.modeling.sam2_base import SAM2Base
    from sam2.sam2_image_predictor import SAM2ImagePredictor

__all__ = ["Hiera", "SAM2AutomaticMaskGenerator", "fit", "official", "sam2", "small_sam2", "torch"]


def small_sam2(seed: int = 0, *, side: int = 256, **changes: Any) -> Any:
    """A SAM 2.1 of all the official parts that images need, with weights such that attention is not flat.

    `changes`: more arguments of SAM2Base.
    """
    torch.manual_seed(seed)
    hiera = Hiera(
        embed_dim=16, num_heads=1, stages=(1, 2, 3, 1), global_att_blocks=(4,), window_spec=(8, 4, 7, 4),
        window_pos_embed_bkg_spatial_size=(7, 7),
    )  # fmt: skip
    neck = FpnNeck(
        PositionEmbeddingSine(256), 256, hiera.channel_list, fpn_top_down_levels=[2, 3], fpn_interp_model="nearest"
    )
    arguments = {
        "image_size": side, "directly_add_no_mem_embed": True, "use_high_res_features_in_sam": True,
        "multimask_output_in_sam": True, "iou_prediction_use_sigmoid": True, "use_obj_ptrs_in_encoder": True,
        "pred_obj_scores": True, "pred_obj_scores_mlp": True, "use_multimask_token_for_obj_ptr": True,
        "sam_mask_decoder_extra_args": {"dynamic_multimask_via_stability": True},
    }  # fmt: skip
    model = SAM2Base(ImageEncoder(hiera, neck, scalp=1), None, None, **{**arguments, **changes})
    spread_all(model)
    return model.eval()


def spread_all(model: Any) -> None:
    """Random values where initialisation leaves zeros or little."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "pos_embed" in name or name.startswith(("no_mem", "no_memory")):
                weight.copy_(torch.randn_like(weight) * 0.3)
            elif weight.dim() > 1:
                weight.mul_(1.7)
            else:
                weight.add_(torch.randn_like(weight) * 0.2)


def predictor(model: Any, image: np.ndarray | None = None, **arguments: Any) -> Any:
    """sam2's predictor, told the sizes of a small model's levels, which it otherwise takes for those of 1024 pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit.script
        found = SAM2ImagePredictor(model, **arguments)
    fit(found, model)
    if image is not None:
        found.set_image(image)
    return found


def fit(found: Any, model: Any) -> None:
    found._bb_feat_sizes = [(model.image_size // cell,) * 2 for cell in (4, 8, 16)]


def official(model: Any, image: np.ndarray, points: np.ndarray) -> tuple[Any, Any, Any]:
    """What sam2's own code answers: embedding [C, h, w], logits [N, 3, H, W], not limited to 32, and scores [N, 3]."""
    with torch.no_grad():
        asked = predictor(model, image)
        coordinates = asked._transforms.transform_coords(torch.as_tensor(points), True, image.shape[:2])
        prompts = coordinates[:, None], torch.ones(len(points), 1, dtype=torch.int)
        sparse, dense = model.sam_prompt_encoder(points=prompts, boxes=None, masks=None)
        logits, scores, _, _ = model.sam_mask_decoder(
            asked._features["image_embed"], model.sam_prompt_encoder.get_dense_pe(), sparse, dense,
            multimask_output=True, repeat_image=True, high_res_features=asked._features["high_res_feats"],
        )  # fmt: skip
    return asked.get_image_embedding()[0], logits, scores
