"""transformers' Sam2Model as sam2's SAM2Base: the same parts under other names. Needs no transformers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor, nn

from esam_fast import weights
from esam_fast.segmenters.sam import huggingface as sam
from esam_fast.segmenters.sam.recognise import check_unchanged, misfits
from esam_fast.weights.huggingface import COMMON_NAMES

IMAGE_PARTS = ("image_encoder.", "sam_prompt_encoder.", "sam_mask_decoder.", "no_mem_embed")  # the others are for video

# transformers' names and sam2's, replaced in this order.
_NAMES = (
    ("vision_encoder.backbone.", "image_encoder.trunk."),
    ("vision_encoder.", "image_encoder."),
    *COMMON_NAMES,
    (".o_proj.", ".out_proj."),
    ("no_memory_embedding", "no_mem_embed"),
)  # fmt: skip
_PARTS = re.compile(r"^(prompt_encoder|mask_decoder)\.")
_NECK = re.compile(r"(\.neck\.convs\.\d+)\.")
_POINTS = "sam_prompt_encoder.point_embed.weight"  # [4, C]; sam2 has four of [1, C]
_TRUNK = "vision_config.backbone_config"
# What sam2 has no argument for, and no tensor's shape tells.
_FIXED: dict[str, Any] = {
    f"{_TRUNK}.hidden_act": "gelu",
    f"{_TRUNK}.layer_norm_eps": 1e-6,
    f"{_TRUNK}.patch_stride": [4, 4],
    f"{_TRUNK}.patch_padding": [3, 3],
    "vision_config.fpn_stride": 1,
    "vision_config.fpn_padding": 0,
    "vision_config.num_feature_levels": 3,
    "mask_decoder_config.num_attention_heads": 8,
}


def is_transformers_model(model: Any) -> bool:
    """Whether an object has the parts of one of transformers' SAM 2s."""
    return hasattr(getattr(model, "vision_encoder", None), "backbone") and all(
        hasattr(model, part) for part in ("prompt_encoder", "mask_decoder", "no_memory_embedding", "config")
    )


def converted(model: Any) -> nn.Module:
    """sam2's SAM2Base, as far as images need it, with copies of the weights of a Sam2Model (or Sam2VideoModel).

    Raises:
        TypeError: one of its parts is changed, so that its weights do not tell all.
        ValueError: the weights do not fit what its config describes, or sam2 has no such model.
    """
    check_unchanged(model, "model must be transformers' Sam2Model")
    name = type(model).__name__
    state = official_state({name: value.detach().clone() for name, value in model.state_dict().items()}, name)
    try:
        sam2 = _build(model.config)
        expected = {name: value for name, value in sam2.state_dict().items() if name.startswith(IMAGE_PARTS)}
        if wrong := misfits(state, expected):
            raise ValueError(f"{len(wrong)} tensors do not fit, {wrong[0][:80]} for one")
        sam2.load_state_dict(state, strict=False, assign=True)
    except Exception as error:  # numbers that do not go together fail wherever they meet
        text = " ".join(str(error).split())[:200]
        raise ValueError(f"{name} is no SAM 2 that sam2 can run: {text}") from error
    return sam2.eval()


def official_state(state: Mapping[str, Tensor], where: object) -> dict[str, Tensor]:
    """The tensors of a Sam2Model by sam2's names, those that only video needs left out.

    Raises:
        WeightsError: the position encoding of images is not that of points, as in sam2 it always is; names `where`
            they are from.
    """
    named = {
        _NECK.sub(r"\1.conv.", _PARTS.sub(r"sam_\1.", name)): value
        for name, value in sam.official_state(state, where, _NAMES).items()
    }
    points = named.get(_POINTS)
    if points is not None and points.dim() == 2 and len(points) == 4:
        del named[_POINTS]
        named |= {f"sam_prompt_encoder.point_embeddings.{i}.weight": row[None] for i, row in enumerate(points)}
    return {name: value for name, value in named.items() if name.startswith(IMAGE_PARTS)}


def check_config(config: Mapping[str, Any], official: Any, where: object) -> None:
    """Refuse a Sam2Model's config.json, from `where`, of other values than an official model's that no shape tells.

    Raises:
        WeightsError: names the first.
    """
    trunk, neck = official.image_encoder.trunk, official.image_encoder.neck
    of_this_model = {
        "prompt_encoder_config.image_size": official.image_size,
        f"{_TRUNK}.window_size_per_stage": list(trunk.window_spec),
        f"{_TRUNK}.global_attention_blocks": list(trunk.global_att_blocks),
        f"{_TRUNK}.num_attention_heads_per_stage": [trunk.blocks[end].attn.num_heads for end in trunk.stage_ends],
        f"{_TRUNK}.query_stride": list(trunk.q_stride),
        f"{_TRUNK}.num_query_pool_stages": len(trunk.q_pool_blocks),
        "vision_config.fpn_top_down_levels": list(neck.fpn_top_down_levels),
    }
    if wrong := _other_value(config, of_this_model | _FIXED):
        raise weights.WeightsError(
            f"{where}: {wrong}, as the official model has it; other models serve as a Sam2Model object"
        )


def _other_value(config: Mapping[str, Any], expected: Mapping[str, Any]) -> str | None:
    """The first of a config's values, by their places, that is not the expected one, for a message; None: all are."""
    for place, only in expected.items():
        value: Any = config
        for name in place.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        value = list(value) if isinstance(value, tuple) else value
        if value not in (None, only, [only, only]) and [value, value] != only:  # one number may stand for two sides
            return f"{place}: expected {only!r}, got {str(value)[:80]}"
    return None


def _build(config: Any) -> nn.Module:
    """A SAM2Base without memory, with random weights, as a Sam2Config describes it."""
    vision, prompts = config.vision_config, config.prompt_encoder_config
    trunk = vision.backbone_config
    heads = [trunk.num_attention_heads_per_stage[0] * 2**stage for stage in range(len(trunk.blocks_per_stage))]
    if wrong := _other_value(config.to_dict(), {f"{_TRUNK}.num_attention_heads_per_stage": heads} | _FIXED):
        raise ValueError(wrong)
    hiera = Hiera(
        embed_dim=trunk.hidden_size,
        num_heads=heads[0],
        q_pool=trunk.num_query_pool_stages,
        q_stride=tuple(trunk.query_stride),
        stages=tuple(trunk.blocks_per_stage),
        window_pos_embed_bkg_spatial_size=tuple(trunk.window_positional_embedding_background_size),
        window_spec=tuple(trunk.window_size_per_stage),
        global_att_blocks=tuple(trunk.global_attention_blocks),
    )
    neck = FpnNeck(
        PositionEmbeddingSine(vision.fpn_hidden_size),
        vision.fpn_hidden_size,
        list(vision.backbone_channel_list),
        fpn_top_down_levels=list(vision.fpn_top_down_levels),
        fpn_interp_model="nearest",
    )
    scalp = len(vision.backbone_channel_list) - _FIXED["vision_config.num_feature_levels"]
    return SAM2Base(
        ImageEncoder(hiera, neck, scalp),
        None,
        None,
        image_size=prompts.image_size,
        backbone_stride=prompts.patch_size,
        directly_add_no_mem_embed=True,
        use_high_res_features_in_sam=True,
        iou_prediction_use_sigmoid=True,
        pred_obj_scores=True,
        pred_obj_scores_mlp=True,
    )
