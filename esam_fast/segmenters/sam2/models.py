"""Official SAM 2.1 models from their checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sam2
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

from esam_fast import _check, weights
from esam_fast.segmenters.sam.models import WIDTH, WIDTH_OF_2, load_weights, read_checkpoint
from esam_fast.segmenters.sam2 import huggingface
from esam_fast.segmenters.sam2.huggingface import IMAGE_PARTS
from esam_fast.segmenters.sam2.segmenter import Sam2Segmenter

_BLOCK = "image_encoder.trunk.blocks.{}.norm1.weight"
_NEW_IN_2_1 = "no_obj_embed_spatial"
# The model's configuration in the package sam2, and how many blocks its encoder has.
_MODELS = {
    "sam2.1_hiera_large": ("sam2.1_hiera_l.yaml", 48),
    "sam2.1_hiera_base_plus": ("sam2.1_hiera_b+.yaml", 24),
    "sam2.1_hiera_small": ("sam2.1_hiera_s.yaml", 16),
    "sam2.1_hiera_tiny": ("sam2.1_hiera_t.yaml", 12),
}
# What build_sam2 adds to every configuration; the masks of a single point do not depend on it.
_ADDED: dict[str, Any] = {
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    }
}


def load_sam2(
    model: str | None,
    checkpoint: str | Path,
    device: str = "auto",
    dtype: str = "auto",
    *,
    backend: str | None = None,
) -> Sam2Segmenter:
    """The segmenter for an official model.

    Args:
        model: "sam2.1_hiera_tiny", "sam2.1_hiera_small", "sam2.1_hiera_base_plus" or "sam2.1_hiera_large"; None: the
            checkpoint's own, told by the width and depth of its encoder.
        checkpoint: its file, .pt or .safetensors, by sam2's names or by transformers', or a folder that transformers
            saved a Sam2Model in; a config.json there must be an official model's. Nothing that a .pt may hold is run.
        device, dtype, backend: see `SamSegmenter`.

    Raises:
        ValueError: unknown model, device or dtype; or (WeightsError) the file is not a whole checkpoint of the model.
    """
    if model is not None:
        _check.choice("model", model, _MODELS)
    checkpoint = weights.file_of(checkpoint)
    state = read_checkpoint(checkpoint)
    theirs = weights.TRANSFORMERS_MARK_OF_2 in state
    if theirs:
        state = huggingface.official_state(state, checkpoint)
    elif WIDTH_OF_2 in state and _NEW_IN_2_1 not in state:
        raise weights.WeightsError(f"{checkpoint} is not a checkpoint of SAM 2.1: it is one of SAM 2.0")
    found = _model_of(state)
    if found is None:
        kind = ": it is one of SAM" if state.keys() & {WIDTH, weights.TRANSFORMERS_MARK} else ""
        raise weights.WeightsError(f"{checkpoint} is not a checkpoint of {model or ', '.join(_MODELS)}{kind}")
    if model not in (None, found):
        raise weights.WeightsError(f"{checkpoint} is not a checkpoint of {model}: it is one of {found}")
    official = build(found)
    if theirs:  # what only video needs is not there, or not asked for
        unused = {name: value for name, value in official.state_dict().items() if not name.startswith(IMAGE_PARTS)}
        state = unused | state
        config = weights.config_of(checkpoint, "sam2", "sam2_video")
        huggingface.check_config(config or {}, official, checkpoint.with_name("config.json"))
    load_weights(official, state, found, checkpoint)
    segmenter = Sam2Segmenter(official, device, dtype, name=f"sam2:{found}", owned=True, backend=backend)
    segmenter.checkpoint = checkpoint
    return segmenter


def build(model: str) -> nn.Module:
    """An official model with random weights, as build_sam2 makes it, without hydra's search path."""
    file, _ = _MODELS[model]
    config = OmegaConf.load(Path(sam2.__file__).parent / "configs" / "sam2.1" / file)
    return instantiate(OmegaConf.merge(config.model, _ADDED)).eval()


def _model_of(state: dict[str, Tensor]) -> str | None:
    """The official model with an encoder of this width and depth; None: there is none."""
    width = state[WIDTH_OF_2].shape[0] if WIDTH_OF_2 in state and state[WIDTH_OF_2].dim() else 0
    depth = 0
    while _BLOCK.format(depth) in state:
        depth += 1
    told = {(weights.MODELS[name].width, blocks): name for name, (_, blocks) in _MODELS.items()}
    return told.get((width, depth))
