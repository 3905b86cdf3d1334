"""A mask decoder that is not the official one, run by its own forward: slower, but right."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from esam_fast.masks import Float, Int
from esam_fast.segmenters.sam.chunks import Chunks
from esam_fast.segmenters.sam.decoder import Read, passing
from esam_fast.segmenters.sam.prompts import PromptEncoder

_OFFICIAL = {
    "image_embeddings", "image_pe", "sparse_prompt_embeddings", "dense_prompt_embeddings", "multimask_output"
}  # fmt: skip
_EXTRAS = ("interm_embeddings", "high_res_features")  # HQ-SAM, SAM 2: the second thing that the encoder returns
_SWITCHES = {"hq_token_only": False, "repeat_image": True}
_PROMPT_BYTES = 64 << 20


@dataclass(frozen=True)
class ForeignImage:
    """One image's part in the arguments of the decoder."""

    arguments: dict[str, Any]
    dense: Tensor  # [1, C, h, w]


def _no_space(size: int) -> None:
    """No buffers."""


class ForeignDecoder:
    """Decodes point prompts by a decoder's own forward, in float32.

    Args:
        prompts: the prompt encoder.
        module: the decoder, float32. Its forward takes the official arguments, and HQ-SAM's or SAM 2's.
        device: where both are.

    Raises:
        TypeError: the decoder's forward needs other arguments.
    """

    def __init__(self, prompts: PromptEncoder, module: nn.Module, device: torch.device) -> None:
        self._prompts, self._module = prompts, module
        parameters = inspect.signature(module.forward).parameters
        self._wanted = frozenset(parameters)
        known = _OFFICIAL.union(_EXTRAS, _SWITCHES)
        optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        needed = [n for n, p in parameters.items() if p.default is p.empty and p.kind not in optional]
        unknown = [name for name in needed if name not in known]
        if unknown:
            raise TypeError(f"sam.mask_decoder needs arguments that are not known here: {', '.join(unknown)}")
        self._chunks: Chunks[None] = Chunks(device, _no_space, _PROMPT_BYTES, threads=False)

    def prepare(self, embedding: Tensor, extras: object = None) -> ForeignImage:
        """This decoder's part of an image embedding float32 [1, C, h, w], and of what else the encoder returned."""
        arguments = {"image_embeddings": embedding, "image_pe": self._prompts.position(), "multimask_output": True}
        offered = {**dict.fromkeys(_EXTRAS, extras), **_SWITCHES}
        arguments |= {name: value for name, value in offered.items() if name in self._wanted}
        return ForeignImage(arguments, self._prompts.dense())

    def run(
        self,
        image: ForeignImage,
        points: NDArray[np.float64],
        read: Read,
        *,
        min_score: float | None = None,
        rows: int | None = None,
    ) -> Float:
        """Decode one prompt a point, as `FoldedDecoder.run` does; `rows` makes no difference."""

        def work(indices: Int, count: int, _: None) -> Float:
            sparse = self._prompts.points(points[indices])
            dense = image.dense.expand(len(indices), -1, -1, -1)
            logits, scores, *_ = self._module(
                **image.arguments, sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense
            )
            scores = scores[:count].float().cpu().numpy()
            chosen = np.arange(count) if min_score is None else passing(scores, min_score)
            if len(chosen):
                read(logits[torch.from_numpy(chosen).to(logits.device)].float(), indices[chosen])
            return scores

        parts = self._chunks.map(work, len(points))
        return np.concatenate(parts) if parts else np.empty((0, 3), np.float32)
