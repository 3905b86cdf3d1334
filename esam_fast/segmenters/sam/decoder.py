"""SAM's official mask decoder: its function exactly, with all that the prompts of one image share done once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from esam_fast.masks import Float, Int
from esam_fast.segmenters.sam.chunks import Chunks, filled
from esam_fast.segmenters.sam.folding import ImageSide, Keys, Norm, Scores, Values
from esam_fast.segmenters.sam.prompts import PromptEncoder
from esam_fast.segmenters.sam.upscaling import UpscaledImage, Upscaling

Read = Callable[[Tensor, Int], None]  # takes logits float32 [k, K, 4h, 4w], valid during the call, of prompts int64 [k]


_REMEMBERED = 3  # sets of points: MMG's, and what an image adds


@dataclass(frozen=True)
class _Layer:
    """One image's part in one layer of the transformer."""

    token_to_image: Scores
    values: Values
    image_to_token: Scores
    norm: Norm


@dataclass(frozen=True)
class DecoderImage:
    """All that the decoder keeps of an image."""

    layers: list[_Layer]
    token_to_image: Scores
    values: Values
    upscaled: UpscaledImage


@dataclass(frozen=True)
class _Tokens:
    """Point prompts in the transformer, up to the first attention to the image: the same for every image."""

    tokens: Tensor  # [N, T, C]
    queries: Tensor  # [N, T, C], after the first self-attention
    vectors: Tensor  # [N, H, T, d], their projection for the first attention to the image


@dataclass(frozen=True)
class _Space:
    """A thread's buffers."""

    keys: Keys
    logits: Tensor  # [B, K, 4h, 4w]


class FoldedDecoder:
    """Decodes point prompts with an official MaskDecoder's weights: SAM's or SAM 2's.

    Tokens and scores are float32 always. On the CPU the keys are too (they cost the same there); `dtype` is that of
    the upscaling, and on a GPU (bfloat16 alone: float16 has too little range) of the keys.

    Args:
        prompts: the prompt encoder.
        official: the decoder, float32.
        device: where both are. dtype: of the large activations.
    """

    def __init__(self, prompts: PromptEncoder, official: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        self._prompts, self._official = prompts, official
        self._transformer = official.transformer
        self._heads = official.transformer.num_heads
        self._masks = official.num_multimask_outputs
        self._fine = getattr(official, "use_high_res_features", False)
        tokens = [official.obj_score_token] if getattr(official, "pred_obj_scores", False) else []  # SAM 2
        iou = len(tokens)
        tokens += [official.iou_token, official.mask_tokens]
        self._output_tokens = torch.cat([token.weight for token in tokens])  # [T - 2, C]
        # The tokens that are read at the end: IoU, and the masks without the single one.
        self._outputs = [iou, *range(iou + 2, iou + 2 + self._masks)]
        self._upscaling = Upscaling(official.output_upscaling, dtype)
        self._shape, self._device = prompts.shape, device
        self._at_once = device.type != "cpu"  # a chunk's prompts; else one after the other, each in the cache
        self._dtype = dtype if self._at_once and dtype == torch.bfloat16 else torch.float32
        self._chunks = Chunks(device, self._space, prompt_bytes=self._shape[0] * self._shape[1] * 16384)
        self._remembered: dict[bytes, _Tokens] = {}  # of the points asked last: the same grid comes with every image

    def prepare(self, embedding: Tensor, extras: Any = None) -> DecoderImage:
        """This decoder's part of an image embedding float32 [1, C, h, w], and of SAM 2's fine levels."""
        features = (embedding + self._prompts.dense())[0].flatten(1)
        image = ImageSide(features, self._prompts.position()[0].flatten(1), self._heads, self._dtype)
        layers = []
        for layer in self._transformer.layers:
            to_image, to_token = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
            scores, values = image.scores(to_image.k_proj), image.values(to_image.v_proj)
            back = image.scores(to_token.q_proj)
            layers.append(_Layer(scores, values, back, image.close_layer(to_token.out_proj, layer.norm4)))
        last = self._transformer.final_attn_token_to_image
        scores, values = image.scores(last.k_proj), image.values(last.v_proj)
        return DecoderImage(layers, scores, values, self._upscaling.image(image, *(extras if self._fine else ())))

    def run(
        self,
        image: DecoderImage,
        points: NDArray[np.float64],
        read: Read,
        *,
        min_score: float | None = None,
        rows: int | None = None,
    ) -> Float:
        """Decode one prompt a point.

        Args:
            image: from `prepare`. points: [N, 2], x y in the model's square.
            read: is given the logits, chunk by chunk, in any order and on any thread.
            min_score: prompts none of whose scores reach it are not upscaled, and not read.
            rows: of the embedding, from the top, whose logits are needed; None: all.

        Returns:
            Scores float32 [N, K].
        """
        if not len(points):
            return np.empty((0, self._masks), np.float32)
        tokens = self._tokens(points.tobytes())
        rows = self._shape[0] if rows is None else rows

        def work(indices: Int, count: int, space: _Space) -> Float:
            answers = self._transform(image, tokens, torch.from_numpy(indices), count, space.keys)
            scores = self._official.iou_prediction_head(answers[:, 0])[:count, 1:].cpu().numpy()
            chosen = np.arange(count) if min_score is None else passing(scores, min_score)
            if len(chosen):
                read(self._upscale(image, answers, chosen, space, rows), indices[chosen])
            return scores

        return np.concatenate(self._chunks.map(work, len(points)))

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_remembered": {}}

    def _tokens(self, points: bytes) -> _Tokens:
        tokens = self._remembered.get(points)
        if tokens is None:
            tokens = self._make_tokens(points)
            self._remembered = dict([*self._remembered.items(), (points, tokens)][-_REMEMBERED:])
        return tokens

    def _make_tokens(self, points: bytes) -> _Tokens:
        placed, size = np.frombuffer(points).reshape(-1, 2), self._chunks.size
        parts = []
        for i in range(0, len(placed), size):  # in one fixed shape, as everything that a prompt goes through
            sparse = self._prompts.points(placed[filled(i, size, len(placed))])  # [size, 2, C]
            tokens = torch.cat([self._output_tokens.expand(size, -1, -1), sparse], 1)
            parts.append((tokens, *self._self_attention(self._transformer.layers[0], tokens, tokens)))
        return _Tokens(*(torch.cat(each)[: len(placed)] for each in zip(*parts, strict=True)))

    def _transform(self, image: DecoderImage, prompts: _Tokens, indices: Tensor, count: int, keys: Keys) -> Tensor:
        """The transformer for the prompts at `indices` [B]: the output tokens that are read, [B, 1 + K, C]."""
        tokens, queries, vectors = prompts.tokens[indices], prompts.queries[indices], prompts.vectors[indices]
        keys.begin(count)
        for i, (part, layer) in enumerate(zip(image.layers, self._transformer.layers, strict=True)):
            if i:
                queries, vectors = self._self_attention(layer, queries, tokens)
            gathered = keys.token_to_image(part.token_to_image, part.values, vectors)
            queries = layer.norm2(queries + layer.cross_attn_token_to_image.out_proj(gathered))
            queries = layer.norm3(queries + layer.mlp(queries))
            to_token = layer.cross_attn_image_to_token
            vectors, values = self._scaled(to_token.k_proj(queries + tokens)), self._split(to_token.v_proj(queries))
            keys.image_to_token(part.image_to_token, part.norm, vectors, values)
        queries, tokens = queries[:, self._outputs], tokens[:, self._outputs]
        last = self._transformer.final_attn_token_to_image
        vectors = self._scaled(last.q_proj(queries + tokens))
        gathered = keys.token_to_image(image.token_to_image, image.values, vectors)
        return self._transformer.norm_final_attn(queries + last.out_proj(gathered))

    def _self_attention(self, layer: nn.Module, queries: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The queries [B, T, C] after a layer's self-attention, and their vectors [B, H, T, d] for token_to_image."""
        if layer.skip_first_layer_pe:
            queries = layer.self_attn(q=queries, k=queries, v=queries)
        else:
            placed = queries + tokens
            queries = queries + layer.self_attn(q=placed, k=placed, v=queries)
        queries = layer.norm1(queries)
        return queries, self._scaled(layer.cross_attn_token_to_image.q_proj(queries + tokens))

    def _upscale(self, image: DecoderImage, answers: Tensor, chosen: Int, space: _Space, rows: int) -> Tensor:
        """Mask logits [k, K, 4h, 4w] of the chosen prompts of a chunk."""
        logits = space.logits[: len(chosen)]
        hyper = torch.stack(
            [mlp(answers[:, i]) for i, mlp in enumerate(self._official.output_hypernetworks_mlps) if i], 1
        )  # [B, K, C2]
        if self._at_once:
            part = torch.from_numpy(chosen).to(logits.device)
            self._upscaling.logits(image.upscaled, space.keys, part, hyper[part], logits, rows)
        else:
            for out, i in zip(logits, chosen.tolist(), strict=True):
                one = slice(i, i + 1)
                self._upscaling.logits(image.upscaled, space.keys, one, hyper[one], out[None], rows)
        return logits

    def _split(self, x: Tensor) -> Tensor:
        """[B, T, H * d] as [B, H, T, d]."""
        return x.unflatten(-1, (self._heads, -1)).transpose(1, 2)

    def _scaled(self, x: Tensor) -> Tensor:
        """`_split`, divided by the square root of d, as attention logits are."""
        split = self._split(x)
        return split * split.shape[-1] ** -0.5

    def _space(self, size: int) -> _Space:
        h, w = self._shape
        m = self._heads * (len(self._output_tokens) + 2)
        step = size if self._at_once else 1
        keys = Keys(size, step, len(self._transformer.layers), m, h * w, self._device, self._dtype)
        return _Space(keys, torch.empty(size, self._masks, 4 * h, 4 * w, device=self._device))


def passing(scores: Float, min_score: float) -> Int:
    """Indices of the prompts of which at least one score [n, K] is at least `min_score`."""
    return np.flatnonzero((scores.astype(np.float64) >= min_score).any(1))
