"""The drop-in for segment_anything's SamAutomaticMaskGenerator."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check, export, rle
from esam_fast._limits import MAX_CROP_LAYERS, MAX_POINTS_PER_SIDE
from esam_fast.config import EsamConfig
from esam_fast.entities import EntityMap
from esam_fast.images import as_rgb
from esam_fast.pipeline import Esam
from esam_fast.records import Record
from esam_fast.records import to_transformers as to_transformers  # its place before
from esam_fast.segmenters.protocol import Segmenter, thresholds
from esam_fast.session import Session
from esam_fast.stages import draw, mmg

MODES = ("entities", "amg", "object")

# Arguments of the official generators that have no use in "entities" and "object", with their defaults.
_WITHOUT_USE = {
    "stability_score_offset": 1.0, "box_nms_thresh": 0.7, "crop_n_layers": 0, "crop_nms_thresh": 0.7,
    "crop_overlap_ratio": 512 / 1500, "crop_n_points_downscale_factor": 1, "point_grids": None,
    "use_m2m": False, "multimask_output": True, "mask_threshold": 0.0,
}  # fmt: skip


class _Count(int):
    """A default, told apart from the same number given by the caller."""


class _Number(float):
    """A default, told apart from the same number given by the caller."""


class EsamMaskGenerator:
    """Masks of everything in an image, with SamAutomaticMaskGenerator's arguments, defaults and records.

    Args:
        model: a SAM or SAM 2 (SAM2Base) model object, transformers' SamModel or Sam2Model, or anything with
            the `Segmenter` protocol.
        points_per_side: of the point grid; in "entities" mode the gallery has twice as many.
        points_per_batch: prompts decoded at a time. Mode "amg" only: otherwise the segmenter chooses.
        pred_iou_thresh, stability_score_thresh: masks that the model scores lower are dropped. Left out, those of
            `config`, or else the segmenter's own (SAM's 0.88 and 0.95, SAM 2's 0.8 and 0.95) for the masks of the grid
            and none for USR's. A record's predicted_iou may be lower all the same: an entity that
            lost pixels is rescored.
        stability_score_offset: of the logit, for the stability score; mode "amg" only, 1 in the others.
        box_nms_thresh, crop_nms_thresh, crop_overlap_ratio, crop_n_points_downscale_factor, crop_n_layers: mode "amg"
            only; the other modes have no crops, and NMS by masks (`config.mmg`).
        point_grids: in place of points_per_side. Mode "amg" only; the other modes use a grid of 32 points a side.
        min_mask_region_area: holes and islands under this many pixels are cleaned; in mode "amg" with SAM 2 as sam2
            does it, which warns and does not where its CUDA extension is missing.
        output_mode: "binary_mask", "uncompressed_rle" or "coco_rle".
        mode: "entities" (E-SAM: no two masks overlap), "amg" (SamAutomaticMaskGenerator itself, or for a model of SAM 2
            SAM2AutomaticMaskGenerator; needs SAM), or "object" (E-SAM's object-level masks before refinement, which may
            overlap).
        use_m2m, multimask_output, mask_threshold: SAM2AutomaticMaskGenerator's; in mode "amg" only False, True and 0.
        config: E-SAM's thresholds, over which arguments given here prevail.
        device, dtype: for a model object, which is copied as it is now; None: where and in what it is, or in
            float32 where that does not serve (float64, and float16 on a CPU).
        backend: of the operations; see `Esam`.

    Arguments that a mode has no use for may be given all the same, as public code does: a UserWarning names them.

    Raises:
        TypeError, ValueError: an argument that cannot be used; the message names it.
    """

    # Setting another attribute, as the official generators have, would change nothing: it is an error.
    __slots__ = ("__weakref__", "_esam", "_predictor", "_sam", "_settings", "mode", "output_mode", "segmenter")

    def __init__(
        self,
        model: Any,
        points_per_side: int | None = _Count(32),
        points_per_batch: int = 64,
        pred_iou_thresh: float = _Number(0.88),
        stability_score_thresh: float = _Number(0.95),
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[NDArray[Any]] | None = None,
        min_mask_region_area: int = _Count(0),
        output_mode: str = "binary_mask",
        *,
        mode: str = "entities",
        use_m2m: bool = False,
        multimask_output: bool = True,
        mask_threshold: float = 0.0,
        config: EsamConfig | None = None,
        device: str | None = None,
        dtype: str | None = None,
        backend: str | None = None,
    ) -> None:
        _check.choice("mode", mode, MODES)
        _check.choice("output_mode", output_mode, export.OUTPUT_MODES)
        _check.flag("use_m2m", use_m2m)
        _check.flag("multimask_output", multimask_output)
        mask_threshold = _real("mask_threshold", mask_threshold)
        layers = _whole("crop_n_layers", crop_n_layers, 0, MAX_CROP_LAYERS)
        downscale = _whole("crop_n_points_downscale_factor", crop_n_points_downscale_factor, 1)
        stability_score_offset = _real("stability_score_offset", stability_score_offset)
        box_nms_thresh = _real("box_nms_thresh", box_nms_thresh)
        crop_nms_thresh = _real("crop_nms_thresh", crop_nms_thresh)
        crop_overlap_ratio = _real("crop_overlap_ratio", crop_overlap_ratio)
        if (points_per_side is None) == (point_grids is None):
            raise ValueError("exactly one of points_per_side and point_grids must be given")
        self.mode = mode
        self.output_mode = output_mode
        self.segmenter = _segmenter(model, device, dtype, backend)
        self._sam = model if self.segmenter is not model and hasattr(model, "image_encoder") else None
        self._predictor: Any = None
        if mode == "amg":
            if config is not None:
                raise ValueError("config must be None in mode 'amg', which has no use for it")
            if not hasattr(self.segmenter, "official_records"):
                raise ValueError(f"mode 'amg' needs a SAM model, got the segmenter {self.segmenter.name!r}")
            if use_m2m:
                raise ValueError("use_m2m must be False: sam2's second pass, from mask to mask, is not offered")
            if not multimask_output:
                raise ValueError(
                    "multimask_output must be True: one mask a point, where sam2 gives three, is not offered"
                )
            if mask_threshold != 0.0:
                raise ValueError(f"mask_threshold must be 0.0, the logit at which masks end, got {mask_threshold!r}")
            from esam_fast.segmenters.sam.official_amg import AmgSettings

            self._settings = AmgSettings(
                point_grids=_point_grids(points_per_side, point_grids, layers, downscale),
                crop_n_layers=layers,
                points_per_batch=_whole("points_per_batch", points_per_batch, 1),
                pred_iou_thresh=_threshold("pred_iou_thresh", pred_iou_thresh, self.segmenter.score_threshold),
                stability_score_thresh=_threshold(
                    "stability_score_thresh", stability_score_thresh, self.segmenter.stability_threshold
                ),
                min_mask_region_area=_whole("min_mask_region_area", min_mask_region_area, 0),
                stability_score_offset=stability_score_offset,
                box_nms_thresh=box_nms_thresh,
                crop_nms_thresh=crop_nms_thresh,
                crop_overlap_ratio=crop_overlap_ratio,
            )
            return
        given = {
            "stability_score_offset": stability_score_offset, "box_nms_thresh": box_nms_thresh,
            "crop_n_layers": layers, "crop_nms_thresh": crop_nms_thresh, "crop_overlap_ratio": crop_overlap_ratio,
            "crop_n_points_downscale_factor": downscale, "point_grids": None if point_grids is None else "given",
            "use_m2m": use_m2m, "multimask_output": multimask_output, "mask_threshold": mask_threshold,
        }  # fmt: skip
        unused = [name for name, value in given.items() if value != _WITHOUT_USE[name]]
        if unused:
            warnings.warn(f"not used in mode {mode!r}: {', '.join(unused)}", stacklevel=2)
        config = _with_arguments(
            EsamConfig() if config is None else _check.instance("config", config, EsamConfig),
            None if points_per_side is None else _given(points_per_side, _whole, "points_per_side", 1),
            _given(pred_iou_thresh, _real, "pred_iou_thresh"),
            _given(stability_score_thresh, _real, "stability_score_thresh"),
            _given(min_mask_region_area, _whole, "min_mask_region_area", 0),
        )
        self._esam = Esam(self.segmenter, config, backend)

    def generate(self, image: Any) -> list[Record]:
        """Masks of an image, one record each, by score descending ("amg": in the official generator's order).

        Args:
            image: uint8 [H, W, 3] RGB, or what else `esam_fast.images.as_rgb` takes: a path, a PIL image, a torch
                tensor. It is never changed.

        Returns:
            Records with segmentation (bool [H, W], or a run-length code), area (pixels), bbox (x y width height in
            pixels; in mode "amg" the official generator's, one less each way), predicted_iou, point_coords [[x, y]],
            stability_score, crop_box (x y width height).
        """
        rgb = as_rgb(image)
        if self.mode == "amg":
            return self._amg(rgb)
        if self.mode == "object":
            maps = _object_maps(self._esam, rgb)
            return [record for one in maps for record in export.amg_records(one, self.output_mode)]
        return export.amg_records(self._esam.segment(rgb), self.output_mode)

    @property
    def predictor(self) -> Any:
        """SamPredictor or SAM2ImagePredictor around the model, always the same, as the official generators offer it.

        Raises:
            AttributeError: the segmenter is not around a model of segment_anything's or sam2's parts.
        """
        if self._sam is None:
            raise AttributeError(f"no predictor: {self.segmenter.name!r} was not given as a SAM model")
        if self._predictor is None:
            segmenter: Any = self.segmenter
            self._predictor = segmenter.official_predictor(self._sam)
        return self._predictor

    def _amg(self, image: NDArray[np.uint8]) -> list[Record]:
        segmenter: Any = self.segmenter
        records = segmenter.official_records(image, self._settings)
        codes = [record["segmentation"] for record in records]
        segmentations: list[Any] = codes
        if self.output_mode == "coco_rle":
            segmentations = rle.compress(codes)
        elif self.output_mode == "binary_mask":
            segmentations = [rle.decode(code) for code in codes]
        return [
            {**record, "segmentation": segmentation}
            for record, segmentation in zip(records, segmentations, strict=True)
        ]


def _object_maps(esam: Esam, image: NDArray[np.uint8]) -> Iterator[EntityMap]:
    """MMG's object masks (docs/ALGORITHM.md, MMG, step 3), each as a map of its own, since they may overlap."""
    config, backend = esam.config, esam.backend
    session = Session(esam.segmenter, image, backend)
    points = session.grid.point_grid(config.mmg.points_per_side)
    required = thresholds(esam.segmenter, config.mmg)
    answer = session.ask(points, min_score=required.score)
    objects = mmg.object_level(answer, points, config.mmg, required, backend=backend)
    for one, plane in session.planes(objects):
        labels, areas, boxes = draw.label_map(plane, session.grid, config.min_region_area, backend=backend)
        if areas[0]:
            yield EntityMap._unchecked(
                labels=labels, scores=one.scores, areas=areas, boxes=boxes, points=one.points,
                stability=one.stability, timings={}, grid=session.grid,
            )  # fmt: skip


def _segmenter(model: Any, device: str | None, dtype: str | None, backend: str | None) -> Segmenter:
    """The model itself, or SamSegmenter or Sam2Segmenter around a model object."""
    kind: Any = None
    encoded = hasattr(model, "image_encoder") or hasattr(model, "vision_encoder")  # segment_anything's, transformers'
    of_sam2 = hasattr(getattr(model, "vision_encoder", None), "backbone") or (  # transformers', sam2's
        encoded and all(hasattr(model, part) for part in ("sam_prompt_encoder", "sam_mask_decoder"))
    )
    if of_sam2:
        from esam_fast.segmenters.sam2 import Sam2Segmenter

        kind = Sam2Segmenter
    elif encoded and all(hasattr(model, part) for part in ("prompt_encoder", "mask_decoder")):
        from esam_fast.segmenters.sam import SamSegmenter

        kind = SamSegmenter
    if kind is not None:
        weight = next(model.parameters())
        device = str(weight.device) if device is None else device
        own = str(weight.dtype).removeprefix("torch.")
        serves = own in ("float32", "bfloat16") or (own == "float16" and not str(device).startswith("cpu"))
        dtype = (own if serves else "float32") if dtype is None else dtype
        return kind(model, device, dtype, backend=backend)
    if not all(hasattr(model, part) for part in ("embed", "masks", "logits")):
        raise TypeError(f"model must be a SAM model or a Segmenter, got {type(model).__name__}")
    if device is not None or dtype is not None:
        raise ValueError("device and dtype must be None for a segmenter, which has its own")
    return model


def _point_grids(
    per_side: int | None, given: Sequence[NDArray[Any]] | None, layers: int, downscale: int
) -> tuple[NDArray[np.float64], ...]:
    """The points [N, 2], in 0..1, of the image and each layer of crops."""
    from esam_fast.segmenters.sam.official_amg import point_grid

    if per_side is not None:
        per_side = _whole("points_per_side", per_side, 1, MAX_POINTS_PER_SIDE)
        counts = [int(per_side / downscale**layer) for layer in range(layers + 1)]
        if counts[-1] == 0:
            raise ValueError(f"points_per_side must leave a point in crop layer {layers}, got {per_side}")
        return tuple(point_grid(n) for n in counts)
    grids = tuple(np.asarray(grid, np.float64) for grid in given or ())
    if len(grids) <= layers:
        raise ValueError(f"point_grids must have {layers + 1} grids, one a crop layer, got {len(grids)}")
    for i, grid in enumerate(grids):
        if grid.ndim != 2 or grid.shape[1] != 2 or not np.isfinite(grid).all():
            raise ValueError(f"point_grids[{i}] must be finite, of shape [N, 2], got shape {list(grid.shape)}")
    return grids


def _whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """A whole number in any clothes that the official generator takes: 4, 4.0, an array or a tensor of one."""
    value = value.item() if getattr(value, "ndim", None) == 0 else value
    return _check.integer(name, int(value) if isinstance(value, float) and value.is_integer() else value, least, most)


def _real(name: str, value: Any) -> float:
    """A number, an array or a tensor of one."""
    return _check.real(name, value.item() if getattr(value, "ndim", None) == 0 else value)


def _given(value: object, check: Callable[..., Any], name: str, *limits: int) -> Any:
    """An argument, checked, or None where it was left out."""
    return None if isinstance(value, (_Count, _Number)) else check(name, value, *limits)


def _threshold(name: str, value: object, own: float) -> float:
    """A number, or the segmenter's own where it was left out."""
    return own if isinstance(value, _Number) else _real(name, value)


def _with_arguments(
    config: EsamConfig, points: int | None, score: float | None, stability: float | None, region_area: int | None
) -> EsamConfig:
    """The config with the generator's arguments laid over it."""
    changes: dict[str, Any] = {"points_per_side": points, "score_threshold": score, "stability_threshold": stability}
    given = {name: value for name, value in changes.items() if value is not None}
    config = replace(config, mmg=replace(config.mmg, **given))
    given.pop("points_per_side", None)
    config = replace(config, usr=replace(config.usr, **given))
    if points is not None:
        config = replace(config, emr=replace(config.emr, points_per_side=2 * points))
    return config if region_area is None else replace(config, min_region_area=region_area)
