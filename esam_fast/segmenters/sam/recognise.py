"""Is a module the official one, and do tensors fit it?

Its classes may come from a copy of the package, but must compile to the same code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import CodeType, FunctionType
from typing import Any

import torch
from segment_anything.modeling import common, image_encoder, mask_decoder, transformer
from torch import Tensor, nn

# Parts that hold no decisions of their own: exactly these classes, no subclasses.
_PLAIN = (
    nn.Conv2d, nn.ConvTranspose2d, nn.Embedding, nn.GELU, nn.LayerNorm, nn.Linear, nn.ModuleList, nn.ReLU, nn.Sequential
)  # fmt: skip
_ENCODER = {
    "": image_encoder.ImageEncoderViT,
    "blocks.0": image_encoder.Block,
    "blocks.0.attn": image_encoder.Attention,
    "patch_embed": image_encoder.PatchEmbed,
}
_DECODER = {
    "": mask_decoder.MaskDecoder,
    "transformer": transformer.TwoWayTransformer,
    "transformer.layers.0": transformer.TwoWayAttentionBlock,
    "transformer.layers.0.self_attn": transformer.Attention,
    "iou_prediction_head": mask_decoder.MLP,
}


def is_official_encoder(module: nn.Module) -> bool:
    """Whether `module` computes what segment_anything's ImageEncoderViT computes."""
    return follows(module, _ENCODER)


def is_official_decoder(module: nn.Module) -> bool:
    """Whether `module` computes what segment_anything's MaskDecoder computes, with GELU in its upscaling."""
    return follows(module, _DECODER) and has_gelu(module)


def has_gelu(decoder: nn.Module) -> bool:
    """Whether a decoder's upscaling has exact GELU for activations."""
    return all(
        type(part) is not nn.ReLU and getattr(part, "approximate", "none") == "none"
        for part in decoder.output_upscaling
    )


def follows(module: nn.Module, expected: dict[str, type]) -> bool:
    """Whether every part is plain or has the code of an official class, and the named ones of the class named."""
    parts = dict(module.named_modules())
    official = {kind.__name__: kind for kind in (*expected.values(), common.MLPBlock, common.LayerNorm2d)}
    return all(
        name in parts and type(parts[name]).__name__ == kind.__name__ for name, kind in expected.items()
    ) and all(
        untouched(part) and (type(part) in _PLAIN or _same_code(type(part), official.get(type(part).__name__)))
        for part in parts.values()
    )


def untouched(part: nn.Module) -> bool:
    """No hooks, and no method replaced on the instance."""
    methods = {name for name, value in vars(type(part)).items() if callable(value)}
    return not (part._forward_hooks or part._forward_pre_hooks or vars(part).keys() & methods)


def check_parts(model: Any, parts: Iterable[str], expected: str) -> None:
    """Refuse a model without these parts.

    Args:
        model: any object.
        parts: names of attributes.
        expected: what it must be, for the message.

    Raises:
        TypeError: names the first part that is missing.
    """
    for part in parts:
        if not hasattr(model, part):
            raise TypeError(f"{expected}, but {type(model).__name__} has no {part}")


def check_unchanged(model: nn.Module, expected: str) -> None:
    """Refuse one of transformers' models whose weights do not tell all that it computes.

    Args:
        model: the model.
        expected: what it must be, for the message.

    Raises:
        TypeError: a part of it has hooks, a replaced method or another class; names the part.
    """
    for place, part in model.named_modules():
        if type(part).__module__.partition(".")[0] not in ("torch", "transformers") or not untouched(part):
            raise TypeError(f"{expected} as it is, but {place or type(model).__name__} is changed")


def _same_code(kind: type, official: type | None) -> bool:
    """Whether a class derives from nn.Module alone and its methods do what those of `official` do."""
    return official is not None and (
        kind is official or (kind.__bases__ == (nn.Module,) and _methods(kind) == _methods(official))
    )


def _methods(kind: type) -> dict[str, Any]:
    return {
        name: _essence(value.__code__, value.__doc__)
        for name, value in vars(kind).items()
        if isinstance(value, FunctionType) and name != "__init__"
    }


def _essence(code: CodeType, doc: str | None = None) -> tuple[Any, ...]:
    """What a function does: its instructions, names and constants, less its docstring and line numbers."""
    constants = tuple(
        _essence(value) if isinstance(value, CodeType) else value
        for value in code.co_consts
        if value != doc or doc is None
    )
    return code.co_code, code.co_names, code.co_varnames, constants


def misfits(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Names of tensors that are missing, too many, of another shape, or not plain floating-point numbers in memory."""
    wrong = [name for name, value in expected.items() if name not in state or not _fits(state[name], value.shape)]
    return wrong + [name for name in state if name not in expected]


def _fits(tensor: Tensor, shape: torch.Size) -> bool:
    plain = tensor.layout == torch.strided and tensor.device.type != "meta" and not tensor.is_quantized
    return tensor.shape == shape and plain and tensor.is_floating_point()
