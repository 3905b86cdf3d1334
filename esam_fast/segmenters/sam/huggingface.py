"""transformers' SamModel as segment_anything's Sam: the same parts under other names. Needs no transformers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn

from esam_fast import weights
from esam_fast.segmenters.sam.recognise import check_unchanged, misfits
from esam_fast.weights.huggingface import SAM_NAMES

_MOST = 65536  # of any number in a config
_MOST_LAYERS = 256
_EPS = 1e-6  # of the norms in the decoder's layers; segment_anything's have 1e-5


def is_transformers_model(model: Any) -> bool:
    """Whether an object has the parts of one of transformers' SAMs."""
    return all(hasattr(model, part) for part in ("vision_encoder", "prompt_encoder", "mask_decoder", "config"))


def converted(model: Any) -> nn.Module:
    """segment_anything's Sam with copies of the weights of a transformers' SamModel.

    Raises:
        TypeError: it is another model, or one of its parts is changed, so that its weights do not tell all.
        ValueError: its config or its weights are no SAM's; says what is wrong.
    """
    kind, name = getattr(model.config, "model_type", None), type(model).__name__
    if kind != "sam":
        raise TypeError(f"sam must be a SamModel where it is one of transformers' models, got {name} of type {kind!r}")
    check_unchanged(model, "sam must be transformers' SamModel")
    sam = build(model.config.to_dict(), f"{name}.config")
    state = official_state({name: value.detach().clone() for name, value in model.state_dict().items()}, name)
    if wrong := misfits(state, sam.state_dict()):
        raise ValueError(f"{name} is no SAM by its config: {len(wrong)} tensors do not fit, {wrong[0][:80]} for one")
    sam.load_state_dict(state, assign=True)
    return sam


def official_state(
    state: Mapping[str, Tensor], where: object, replaced: Iterable[tuple[str, str]] = SAM_NAMES
) -> dict[str, Tensor]:
    """The tensors of a SamModel by segment_anything's names; of another model, as `weights.official_names` has it.

    Raises:
        WeightsError: two tensors are to be one, but differ; names `where` they are from.
    """
    found: dict[str, Tensor] = {}
    for name, official in weights.official_names(state, replaced).items():
        if official in found and not _same(found[official], state[name]):
            raise weights.WeightsError(f"{where} has one position encoding for images and another for points")
        found[official] = state[name]
    return found


def _same(first: Tensor, second: Tensor) -> bool:
    try:
        return torch.equal(first, second)
    except RuntimeError:  # of two types, layouts or devices
        return False


def set_eps(sam: nn.Module, eps: float = _EPS) -> None:
    """Give the norms in the decoder's layers this eps."""
    for layer in sam.mask_decoder.transformer.layers:
        for norm in (layer.norm1, layer.norm2, layer.norm3, layer.norm4):
            norm.eps = eps


def build(config: Mapping[str, Any], where: object) -> nn.Module:
    """A Sam without weights (on torch's meta device).

    Args:
        config: a SamModel's, as config.json has it; what it leaves out is ViT-B's.
        where: it is from, for messages.

    Raises:
        WeightsError: it describes nothing that can be built; names what is wrong.
    """
    vision, prompts, decoder = (
        _Section(f"{where}: {name}", config.get(name) or {})
        for name in ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    )
    vision.expect("hidden_act", "gelu")
    decoder.expect("hidden_act", "relu")
    side, patch = vision.whole("image_size", 1024), vision.whole("patch_size", 16)
    prompts.expect("image_size", side)
    width, channels = vision.whole("hidden_size", 768), vision.whole("output_channels", 256)
    mlp = vision.whole("mlp_dim", int(width * vision.real("mlp_ratio", 4.0)))
    encoder = {
        "depth": vision.whole("num_hidden_layers", 12, most=_MOST_LAYERS),
        "num_heads": vision.whole("num_attention_heads", 12),
        "window_size": vision.whole("window_size", 14, least=0),
        "global_attn_indexes": vision.value("global_attn_indexes", (list, tuple), (2, 5, 8, 11)),
        "norm_layer": partial(nn.LayerNorm, eps=vision.real("layer_norm_eps", 1e-6)),
    } | {name: vision.value(name, bool, True) for name in ("qkv_bias", "use_abs_pos", "use_rel_pos")}
    transformer = {
        "depth": decoder.whole("num_hidden_layers", 2, most=_MOST_LAYERS),
        "num_heads": decoder.whole("num_attention_heads", 8),
        "mlp_dim": decoder.whole("mlp_dim", 2048),
        "attention_downsample_rate": decoder.whole("attention_downsample_rate", 2),
    }
    heads = {
        "num_multimask_outputs": decoder.whole("num_multimask_outputs", 3, most=_MOST_LAYERS),
        "iou_head_depth": decoder.whole("iou_head_depth", 3, most=_MOST_LAYERS),
        "iou_head_hidden_dim": decoder.whole("iou_head_hidden_dim", 256),
    }
    masks, eps, cells = prompts.whole("mask_input_channels", 16), decoder.real("layer_norm_eps", _EPS), side // patch
    try:
        with torch.device("meta"):
            sam = Sam(
                ImageEncoderViT(
                    side, patch, embed_dim=width, out_chans=channels, mlp_ratio=(mlp + 0.5) / width, **encoder
                ),
                PromptEncoder(channels, (cells, cells), (side, side), masks),
                MaskDecoder(
                    transformer_dim=channels,
                    transformer=TwoWayTransformer(embedding_dim=channels, **transformer),
                    **heads,
                ),
            )
    except Exception as error:  # numbers that do not go together fail wherever they meet
        raise weights.WeightsError(f"{where} describes no SAM: {str(error)[:120] or type(error).__name__}") from error
    set_eps(sam, eps)
    return sam.eval()


@dataclass(frozen=True)
class _Section:
    """One part's section of a config: its values, checked."""

    where: str
    values: Mapping[str, Any]

    def value(self, name: str, kind: Any, default: Any) -> Any:
        found = self.values.get(name) if isinstance(self.values, Mapping) else None
        if found is None:
            return default
        if not isinstance(found, kind):
            raise self._wrong(name, "another type", found)
        return found

    def whole(self, name: str, default: int, *, least: int = 1, most: int = _MOST) -> int:
        value = self.value(name, int, default)
        if not least <= value <= most:
            raise self._wrong(name, f"a whole number from {least} to {most}", value)
        return int(value)

    def real(self, name: str, default: float) -> float:
        value = self.value(name, (int, float), default)
        if not 0 < value < _MOST:  # before it becomes a float, which holds no number of 400 digits
            raise self._wrong(name, "a positive number", value)
        return float(value)

    def expect(self, name: str, only: str | int) -> None:
        value = self.value(name, type(only), only)
        if value != only:
            raise self._wrong(name, repr(only), value)

    def _wrong(self, name: str, expected: str, value: Any) -> weights.WeightsError:
        return weights.WeightsError(f"{self.where}: {name}: expected {expected}, got {str(value)[:80]!r}")
