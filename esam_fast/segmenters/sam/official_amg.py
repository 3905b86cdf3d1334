"""AMG itself: the records of segment_anything's SamAutomaticMaskGenerator, from any decoder's low-resolution logits.

The same decisions with the same arithmetic, so that equal logits give equal records. But a mask is drawn only once
its score has passed, only a few are drawn at a time, and what stays of them is run lengths.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise, product

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torchvision.ops import batched_nms, box_area

from esam_fast import rle
from esam_fast.records import Record

Box = tuple[int, int, int, int]  # x0 y0 x1 y1, half-open
Decode = Callable[[NDArray[np.float64]], tuple[Tensor, Tensor]]
Embed = Callable[[NDArray[np.uint8]], Decode]

_NEAR = 20.0  # pixels; a box this close to the edge of its crop is taken for cut off
_DRAWN = 1 << 24  # pixels of logits at a time


@dataclass(frozen=True)
class AmgSettings:
    """SamAutomaticMaskGenerator's arguments; `point_grids` holds the points [N, 2] of each crop layer, in 0..1."""

    point_grids: tuple[NDArray[np.float64], ...]
    crop_n_layers: int
    points_per_batch: int
    pred_iou_thresh: float
    stability_score_thresh: float
    stability_score_offset: float
    box_nms_thresh: float
    crop_nms_thresh: float
    crop_overlap_ratio: float
    min_mask_region_area: int
    float32: bool = False  # whether prompts are held in float32, as sam2 does


@dataclass(frozen=True)
class Plane:
    """Where a decoder's logits lie.

    Attributes:
        side: of the square that the model sees, in pixels; the image, enlarged, fills it from the top left.
        threshold: the logit above which a pixel belongs to the mask.
    """

    side: int = 1024
    threshold: float = 0.0

    def draw(self, logits: Tensor, height: int, width: int) -> Tensor:
        """Logits [N, h, w] over the square as logits [N, height, width] over the image."""
        scale = self.side / max(height, width)
        square = F.interpolate(logits[None], (self.side, self.side), mode="bilinear", align_corners=False)
        content = square[..., : int(height * scale + 0.5), : int(width * scale + 0.5)]
        return F.interpolate(content, (height, width), mode="bilinear", align_corners=False)[0]


@dataclass(frozen=True)
class _Masks:
    """N masks, without their pixels, in the frame of the whole image.

    Attributes:
        boxes: [N, 4] x0 y0 x1 y1, the last row and column included. scores, stability: float32 [N].
        points: float64 [N, 2], the prompts. crops: [N, 4] x0 y0 x1 y1, half-open. codes: run lengths.
    """

    boxes: Tensor
    scores: Tensor
    stability: Tensor
    points: Tensor
    crops: Tensor
    codes: list[rle.Code]

    @classmethod
    def concatenate(cls, parts: list[_Masks]) -> _Masks:
        return cls(
            torch.cat([part.boxes for part in parts]),
            torch.cat([part.scores for part in parts]),
            torch.cat([part.stability for part in parts]),
            torch.cat([part.points for part in parts]),
            torch.cat([part.crops for part in parts]),
            [code for part in parts for code in part.codes],
        )

    def take(self, kept: Tensor) -> _Masks:
        """The masks at these indices."""
        here = kept.cpu()
        return _Masks(
            self.boxes[kept], self.scores[kept], self.stability[kept],
            self.points[here], self.crops[here], [self.codes[i] for i in here.tolist()],
        )  # fmt: skip


def point_grid(n: int) -> NDArray[np.float64]:
    """n x n points in 0..1, row by row: [n * n, 2] x y."""
    steps = np.linspace(1 / (2 * n), 1 - 1 / (2 * n), n)
    return np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)


@torch.inference_mode()
def generate(image: NDArray[np.uint8], embed: Embed, plane: Plane, settings: AmgSettings) -> list[Record]:
    """The official generator's records, their segmentations as run lengths (see `esam_fast.rle`).

    Args:
        image: uint8 [H, W, 3].
        embed: takes the image or a crop of it; answers with a decoder: points float64 [B, 2] (x y in the crop's
            pixels) -> logits [B, C, h, w] over the plane's square, and predicted IoU float32 [B, C].
        plane: of those logits.
        settings: the generator's arguments.
    """
    height, width = image.shape[:2]
    crops = crop_boxes(height, width, settings.crop_n_layers, settings.crop_overlap_ratio)
    masks = _Masks.concatenate([_of_crop(image, box, layer, embed, plane, settings) for box, layer in crops])
    if not masks.codes:
        return []
    if len(crops) > 1:  # masks of smaller crops are preferred
        preference = 1 / box_area(masks.crops).to(masks.boxes.device)
        masks = masks.take(_nms(masks.boxes, preference, settings.crop_nms_thresh))
    if settings.min_mask_region_area > 0:
        threshold = max(settings.box_nms_thresh, settings.crop_nms_thresh)
        masks = _without_small_regions(masks, settings.min_mask_region_area, threshold)
    return [
        {
            "segmentation": code,
            "area": sum(code["counts"][1::2]),
            "bbox": _xywh(masks.boxes[i]),
            "predicted_iou": masks.scores[i].item(),
            "point_coords": [masks.points[i].tolist()],
            "stability_score": masks.stability[i].item(),
            "crop_box": _xywh(masks.crops[i]),
        }
        for i, code in enumerate(masks.codes)
    ]


def crop_boxes(height: int, width: int, layers: int, overlap_ratio: float) -> list[tuple[Box, int]]:
    """The whole image and, in each further layer, twice as many overlapping crops a side: (box, layer)."""
    boxes: list[tuple[Box, int]] = [((0, 0, width, height), 0)]
    for layer in range(1, layers + 1):
        n = 2**layer
        overlap = int(overlap_ratio * min(height, width) * (2 / n))
        w, h = (math.ceil((overlap * (n - 1) + side) / n) for side in (width, height))
        corners = product((i * (w - overlap) for i in range(n)), (i * (h - overlap) for i in range(n)))
        boxes += [((x, y, min(x + w, width), min(y + h, height)), layer) for x, y in corners]
    return boxes


def _of_crop(
    image: NDArray[np.uint8], box: Box, layer: int, embed: Embed, plane: Plane, settings: AmgSettings
) -> _Masks:
    """The distinct masks of one crop."""
    x0, y0, x1, y1 = box
    decode = embed(np.ascontiguousarray(image[y0:y1, x0:x1]))
    points = settings.point_grids[layer] * np.array([x1 - x0, y1 - y0])
    points = points.astype(np.float32) if settings.float32 else points
    batches = (points[i : i + settings.points_per_batch] for i in range(0, len(points), settings.points_per_batch))
    masks = _Masks.concatenate([_of_batch(decode, batch, box, image.shape[:2], plane, settings) for batch in batches])
    masks = masks.take(_nms(masks.boxes, masks.scores, settings.box_nms_thresh))
    return masks if masks.codes else replace(masks, crops=torch.zeros(0, 4))


def _of_batch(
    decode: Decode, points: NDArray[np.float64], box: Box, size: tuple[int, ...], plane: Plane, settings: AmgSettings
) -> _Masks:
    """The sound masks of a few points in one crop of an image of this size.

    As in the official generator, boxes become float where a batch yields no mask, and crop boxes where a crop does.
    """
    logits, scores = decode(points)
    prompts = (torch.as_tensor(points) + torch.tensor(box[:2])).repeat_interleave(logits.shape[1], 0)
    logits, scores = logits.flatten(0, 1), scores.flatten(0, 1)
    sound = torch.arange(len(scores), device=scores.device)
    if settings.pred_iou_thresh > 0:
        sound = sound[scores > settings.pred_iou_thresh]
    shift = torch.tensor([*box[:2], *box[:2]], device=scores.device)
    height, width = box[3] - box[1], box[2] - box[0]
    parts = []
    for few in sound.split(max(1, _DRAWN // max(plane.side**2, height * width))) if len(sound) else ():
        drawn = plane.draw(logits[few], height, width)
        stability = _stability(drawn, plane.threshold, settings.stability_score_offset)
        if settings.stability_score_thresh > 0:
            stable = stability >= settings.stability_score_thresh
            few, drawn, stability = few[stable], drawn[stable], stability[stable]
        if len(few):
            bits = drawn > plane.threshold
            boxes = _boxes(bits) + shift
            whole = ~_cut_off(boxes, box, size)
            few, bits = few[whole], bits[whole]
            crops = torch.tensor(box).expand(len(few), 4)
            codes = _codes(bits, box, size)
            parts.append(_Masks(boxes[whole], scores[few], stability[whole], prompts[few.cpu()], crops, codes))
    none = sound[:0]
    empty = _Masks(
        torch.zeros(0, 4, device=scores.device), scores[none], scores[none],
        prompts[none.cpu()], torch.zeros(0, 4, dtype=torch.int64), [],
    )  # fmt: skip
    return _Masks.concatenate(parts) if parts else empty


def _stability(logits: Tensor, threshold: float, offset: float) -> Tensor:
    """IoU of the mask thresholded higher and lower by the offset: float32 [N]; NaN where both are empty."""
    high, low = (torch.count_nonzero(logits > threshold + by, dim=(1, 2)) for by in (offset, -offset))
    return high / low


def _boxes(bits: Tensor) -> Tensor:
    """x0 y0 x1 y1 of masks [N, H, W], the last row and column included; 0 0 0 0 for an empty one: int64 [N, 4]."""
    corners = []
    for hit in (bits.any(1).int(), bits.any(2).int()):
        corners += [hit.argmax(1), hit.shape[1] - 1 - hit.flip(1).argmax(1)]
    boxes = torch.stack([corners[0], corners[2], corners[1], corners[3]], 1)
    return boxes * bits.any(2).any(1)[:, None]


def _cut_off(boxes: Tensor, crop: Box, size: tuple[int, ...]) -> Tensor:
    """Whether a box ends near an edge of its crop that is not near that edge of the image: bool [N]."""

    def near(edges: Box) -> Tensor:
        return (boxes - torch.tensor(edges, device=boxes.device)).abs() <= _NEAR

    return (near(crop) & ~near((0, 0, size[1], size[0]))).any(1)


def _nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Indices of the boxes that box NMS keeps, by score descending."""
    return batched_nms(boxes.float(), scores, torch.zeros(len(boxes)), threshold)


def _codes(bits: Tensor, box: Box, size: tuple[int, ...]) -> list[rle.Code]:
    """Run lengths, in an image of this size, of masks [N, h, w] in one crop of it."""
    x0, y0, x1, y1 = box
    height, width = size
    flat = F.pad(bits, (x0, width - x1, y0, height - y1)).transpose(1, 2).flatten(1)
    before = F.pad(flat[:, :-1], (1, 0))
    mask, pixel = (flat != before).nonzero().cpu().numpy().T
    ends = np.searchsorted(mask, np.arange(len(bits) + 1))
    return [rle.from_changes(pixel[first:last], (height, width)) for first, last in pairwise(ends.tolist())]


def _without_small_regions(masks: _Masks, least: int, threshold: float) -> _Masks:
    """Fill holes and drop islands under `least` pixels, then NMS again: untouched masks are preferred."""
    codes, boxes, touched = [], [], []
    for code in masks.codes:
        filled, had_holes = _without_small(rle.decode(code), least, holes=True)
        mask, had_islands = _without_small(filled, least, holes=False)
        touched.append(had_holes or had_islands)
        codes.append(rle.encode(mask) if touched[-1] else code)
        boxes.append(_boxes(torch.from_numpy(mask)[None])[0])
    changed = torch.tensor(touched)
    renewed = masks.boxes.cpu().clone()
    renewed[changed] = torch.stack(boxes)[changed].to(renewed.dtype)
    kept = _nms(torch.stack(boxes), 1.0 - changed.float(), threshold)
    return replace(masks, boxes=renewed.to(masks.boxes.device), codes=codes).take(kept.to(masks.boxes.device))


def _without_small(mask: NDArray[np.bool_], least: int, *, holes: bool) -> tuple[NDArray[np.bool_], bool]:
    """The mask without its small holes or islands, the largest island excepted, and whether there were any."""
    _, regions, stats, _ = cv2.connectedComponentsWithStats((mask != holes).astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    small = areas < least
    small[0] = False  # not a region
    if not small.any():
        return mask, False
    if holes:
        return mask | small[regions], True
    small[0] = True
    if small.all():
        small[1 + np.argmax(areas[1:])] = False
    return ~small[regions], True


def _xywh(box: Tensor) -> list[float]:
    x0, y0, x1, y1 = box.tolist()
    return [x0, y0, x1 - x0, y1 - y0]
