"""SAM as a segmenter: one image embedded, thousands of points decoded to bits."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from esam_fast import _arrays, _backend, _check
from esam_fast._arrays import Array
from esam_fast.masks import Float, Int, MaskGrid, PackedMasks, PointMasks, words_per_mask
from esam_fast.ops import pack_logits
from esam_fast.records import Record
from esam_fast.segmenters.sam import devices, huggingface, official_amg
from esam_fast.segmenters.sam.decoder import DecoderImage, FoldedDecoder, Read
from esam_fast.segmenters.sam.encoder import ForeignEncoder, VitEncoder
from esam_fast.segmenters.sam.foreign import ForeignDecoder, ForeignImage
from esam_fast.segmenters.sam.frame import Frame
from esam_fast.segmenters.sam.official_amg import AmgSettings, Decode, Plane
from esam_fast.segmenters.sam.prompts import PromptEncoder
from esam_fast.segmenters.sam.recognise import check_parts, is_official_decoder, is_official_encoder

_LEVELS = 3
_PARTS = ("image_encoder", "prompt_encoder", "mask_decoder", "pixel_mean", "pixel_std")


@dataclass(frozen=True)
class SamEmbedding:
    """One image, ready to be prompted.

    Attributes:
        grid: the mask grid, a quarter of the model's square (256 x 256 for SAM).
        features: float32 [C, fh, fw], the embedding's cells that show image: its size on the embedding, rounded.
        frame: how the image lies in the model's square.
        decoder: the decoder's part.
    """

    grid: MaskGrid
    features: Float
    frame: Frame
    decoder: DecoderImage | ForeignImage


class SamSegmenter:
    """Answers point prompts with SAM.

    Official image encoders and mask decoders (copies of their classes included, such as MobileSAM's decoder) run
    through faster code with the same result; others through their own forward, in float32 where that is a decoder.

    Args:
        sam: any object with SAM's parts: image_encoder, prompt_encoder, mask_decoder, pixel_mean and pixel_std; or
            transformers' SamModel, whose weights then run in segment_anything's parts. It is copied as it is now:
            neither is it changed, nor does a change of it (training, `load_state_dict`) reach the segmenter. Make a
            new one then.
        device: "cpu", "cuda" (or another name that torch knows), or "auto": a GPU if there is one.
        dtype: "float32", "bfloat16", "float16" (a GPU only; large models overflow in it, which is an error and not a
            bad mask), or "auto": bfloat16 where the hardware multiplies in it, else float32.
        name: for people.
        compiled: whether torch.compile is to fuse the image encoder.
        owned: nobody else holds `sam`, which then is used up in place of a copy.
        backend: that packs the masks; None: the best one for where they are.

    Raises:
        TypeError: sam lacks a part. ValueError: unknown device, dtype or backend.
        BackendUnavailable: a backend asked for by name is not here.
    """

    score_threshold = 0.88
    stability_threshold = 0.95
    checkpoint: Path | None = None  # where the weights came from, if from a file
    _frame: Callable[[NDArray[np.uint8], int], Frame] = Frame.of
    _is_official_decoder = staticmethod(is_official_decoder)

    def __init__(
        self,
        sam: Any,
        device: str = "cpu",
        dtype: str = "float32",
        *,
        name: str = "sam",
        compiled: bool = False,
        owned: bool = False,
        backend: str | None = None,
    ) -> None:
        if huggingface.is_transformers_model(sam):
            sam, owned = huggingface.converted(sam), True
        check_parts(sam, _PARTS, "sam must be a SAM model")
        self.name = name
        self._backend = _backend.check(backend)
        self.device = devices.resolve_device(device)
        self.dtype = devices.resolve_dtype(dtype, self.device)
        self._on_host = not devices.works_on_masks(self.device)
        self.side: int = sam.image_encoder.img_size
        self.threshold = float(getattr(sam, "mask_threshold", 0.0))
        self._mean, self._std = (value.detach().float().to(self.device) for value in (sam.pixel_mean, sam.pixel_std))
        encoder, prompt_encoder, decoder = (
            (part if owned else copy.deepcopy(part)).requires_grad_(False).eval()
            for part in (sam.image_encoder, sam.prompt_encoder, sam.mask_decoder)
        )
        self._encoder: VitEncoder | ForeignEncoder
        if is_official_encoder(encoder):
            self._encoder = VitEncoder(encoder, self.device, self.dtype, compiled=compiled)
        else:
            self._encoder = ForeignEncoder(encoder.to(self.device, torch.float32), self.device, self.dtype)
        prompts = PromptEncoder(prompt_encoder.to(self.device, torch.float32), self.device)
        decoder = decoder.to(self.device, torch.float32)
        self._decoder: Any
        if self._is_official_decoder(decoder) and decoder.num_multimask_outputs == _LEVELS:
            self._decoder = FoldedDecoder(prompts, decoder, self.device, self.dtype)
        else:
            self._decoder = ForeignDecoder(prompts, decoder, self.device)

    def embed(self, image: NDArray[np.uint8]) -> SamEmbedding:
        """Prepare an image uint8 [H, W, 3] RGB.

        Raises:
            TypeError, ValueError: not such an image. FloatingPointError: the encoder overflows in this dtype.
        """
        image = _check.array("image", image, np.uint8, ("H", "W", 3))
        frame = self._frame(image, self.side)
        with self._no_gradients_nor_autocast():
            features, extras = self._encoder(self._square(image, frame))  # [1, C, h, w]
            self._check_finite("image embedding", features)
            decoder = self._decoder.prepare(features, extras)
        h, w = features.shape[2:]
        fh, fw = (max(1, round(side)) for side in frame.content((h, w)))
        return SamEmbedding(frame.grid((4 * h, 4 * w)), features[0, :, :fh, :fw].cpu().numpy().copy(), frame, decoder)

    def masks(self, embedding: SamEmbedding, points: Float, *, min_score: float | None = None) -> PointMasks:
        """Three masks, by area ascending, for each point float32 [N, 2] (x y in image pixels).

        Args:
            embedding: from `embed`.
            points: the prompts.
            min_score: a point none of whose scores reaches it is not decoded to the end: its masks come back empty,
                with their scores. No other point is changed by that.

        Returns:
            PointMasks, on the segmenter's CUDA device if it has one, else in NumPy. Of a decoder that answers with one
            mask only, all three levels are that mask.
        """
        points = _check.finite("points", points, ("N", 2))
        grid, n = embedding.grid, len(points)
        shape = n, _LEVELS, words_per_mask(grid.shape)
        words: Array = np.zeros(shape, np.uint64)
        if not self._on_host:
            words = torch.zeros(shape, dtype=torch.int64, device=self.device)
        area, box = np.zeros((n, _LEVELS), np.int64), np.zeros((n, _LEVELS, 4), np.int32)
        stability = np.zeros((n, _LEVELS), np.float32)
        order = np.tile(np.arange(_LEVELS), (n, 1))  # the model's output of each level

        def read(logits: Tensor, indices: Int) -> None:
            logits = _three(logits)
            planes = self._handed_out(logits.flatten(0, 1))
            packed, stable = pack_logits(planes, grid.rows, grid.cols, backend=self._backend)
            by_area = np.argsort(packed.area.reshape(-1, _LEVELS), axis=1, kind="stable")
            flat = by_area + np.arange(0, len(packed), _LEVELS)[:, None]  # [k, 3]
            ordered = _arrays.take(packed.words, flat.ravel()).reshape(len(flat), *shape[1:])
            words[_arrays.move(indices, _arrays.device_of(words))] = ordered
            area[indices], box[indices] = packed.area[flat], packed.box[flat]
            stability[indices], order[indices] = stable[flat], by_area

        rows = -(-grid.rows // 4)
        scores = self._run(embedding, points, read, min_score=min_score, rows=rows)  # [N, K]
        order %= scores.shape[1]
        masks = PackedMasks._unchecked(words.reshape(-1, shape[2]), area.ravel(), box.reshape(-1, 4), grid.shape)
        return PointMasks(masks, np.take_along_axis(scores, order, 1), stability, order.astype(np.int8))

    def logits(self, embedding: SamEmbedding, points: Float, channels: NDArray[np.int8]) -> Array:
        """Mask logits float32 [N, grid.height, grid.width] of one of the model's outputs for each point.

        NumPy, or a tensor on the segmenter's CUDA device if it has one.
        """
        points = _check.finite("points", points, ("N", 2))
        channels = _check.array("channels", channels, np.int8, (len(points),))
        planes = torch.empty(len(points), *embedding.grid.shape, device=self.device)

        def read(logits: Tensor, indices: Int) -> None:
            wanted = _arrays.move(channels[indices].astype(np.int64), self.device)
            rows = torch.arange(len(logits), device=self.device)
            planes[_arrays.move(indices, self.device)] = logits[rows, wanted]

        self._run(embedding, points, read)
        return self._handed_out(planes)

    def decode(self, embedding: SamEmbedding, points: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """All of the model's answers to a few points [N, 2] (x y in image pixels).

        Returns:
            Logits float32 [N, K, grid.height, grid.width] and scores float32 [N, K], in the model's own order, on
            the segmenter's device.
        """
        outputs = []

        def read(logits: Tensor, indices: Int) -> None:
            outputs.append((int(indices[0]), logits.clone()))

        scores = self._run(embedding, points, read)
        outputs.sort(key=lambda output: output[0])
        logits = [logits for _, logits in outputs] or [torch.empty(0, scores.shape[1], *embedding.grid.shape)]
        return torch.cat(logits).to(self.device), torch.from_numpy(scores).to(self.device)

    def official_records(self, image: NDArray[np.uint8], settings: AmgSettings) -> list[Record]:
        """The records of the model's own automatic mask generator; see `official_amg.generate`."""
        return official_amg.generate(image, self._decoding, Plane(self.side, self.threshold), settings)

    @staticmethod
    def official_predictor(sam: Any) -> Any:
        """segment_anything's SamPredictor around a model."""
        from segment_anything import SamPredictor

        return SamPredictor(sam)

    def _decoding(self, crop: NDArray[np.uint8]) -> Decode:
        embedding = self.embed(crop)

        def decode(points: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
            answer = self.decode(embedding, points)
            logits, scores = (each.cpu() for each in answer) if self._on_host else answer
            return logits, scores

        return decode

    def _handed_out(self, tensor: Tensor) -> Array:
        """What callers get: a tensor on a CUDA device, where it stays, and NumPy's array of any other."""
        return tensor.cpu().numpy() if self._on_host else tensor

    def _square(self, image: NDArray[np.uint8], frame: Frame) -> Tensor:
        """What the encoder sees of an image, normalised; zeros beside it: float32 [1, 3, side, side]."""
        resized = frame.resize(image)
        h, w, _ = resized.shape
        square = torch.zeros(1, 3, self.side, self.side, device=self.device)
        pixels = torch.tensor(resized, device=self.device).permute(2, 0, 1)  # [3, h, w]
        square[0, :, :h, :w] = (pixels - self._mean) / self._std
        return square

    def _run(self, embedding: SamEmbedding, points: NDArray[Any], read: Read, **options: Any) -> Float:
        def read_checked(logits: Tensor, indices: Int) -> None:
            self._check_finite("mask logits", logits[:, :, : embedding.grid.rows])
            read(logits, indices)

        reader = read_checked if self.dtype == torch.float16 else read
        with self._no_gradients_nor_autocast():
            scores: Float = self._decoder.run(embedding.decoder, embedding.frame.points(points), reader, **options)
        if not np.isfinite(scores).all():
            raise self._overflow("predicted IoU")
        return scores

    @contextmanager
    def _no_gradients_nor_autocast(self) -> Iterator[None]:
        """Whatever the caller has switched on: the dtypes are the segmenter's own."""
        with torch.inference_mode(), devices.autocast(self.device):
            yield

    def _check_finite(self, what: str, tensor: Tensor) -> None:
        if not torch.isfinite(tensor).all():
            raise self._overflow(what)

    def _overflow(self, what: str) -> FloatingPointError:
        dtype = str(self.dtype).removeprefix("torch.")
        return FloatingPointError(f"segmenter {self.name!r}: the {what} is not finite in {dtype}; try another dtype")


def _three(logits: Tensor) -> Tensor:
    """Logits [k, K, h, w] as three masks a prompt."""
    k = logits.shape[1]
    if k not in (1, _LEVELS):
        raise ValueError(f"sam.mask_decoder must answer with {_LEVELS} masks, or with 1, got {k}")
    return logits.expand(-1, _LEVELS, -1, -1)
