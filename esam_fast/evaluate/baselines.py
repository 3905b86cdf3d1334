"""What E-SAM is compared with, from the same prompts: SAM's automatic masks, single levels, superpixels as prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast import rle, superpixels
from esam_fast._arrays import host
from esam_fast.evaluate.results import Predictions
from esam_fast.masks import ScoredMasks
from esam_fast.ops import draw_labels, nms
from esam_fast.pipeline import Esam
from esam_fast.segmenters.protocol import thresholds
from esam_fast.session import Session
from esam_fast.stages.handover import OBJECT, best_levels, sound

Method = Callable[[NDArray[np.uint8]], Predictions]


def method(name: str, esam: Esam) -> Method:
    """A method by its name: from an image uint8 [H, W, 3] to predictions, which overlap unless it is "esam".

    Args:
        name: one of METHODS.
        esam: the segmenter to prompt, and E-SAM's settings. The other methods use its point grid, filters and
            `mmg.amg_nms`; "esam" with `mmg.enabled`, `emr.enabled` or `usr.enabled` off is a row of Table 3.

    Raises:
        ValueError: an unknown name, or "amg-official" without a SAM model.
    """
    if name == "esam":
        return lambda image: _of_map(esam, image)
    if name == "amg-official":
        from esam_fast.amg import EsamMaskGenerator

        generator = EsamMaskGenerator(esam.segmenter, mode="amg", output_mode="coco_rle")
        return lambda image: _of_amg_records(generator.generate(image))
    if name not in _CANDIDATES:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {name!r}")
    return lambda image: _of_candidates(esam, image, _CANDIDATES[name])


def _of_map(esam: Esam, image: NDArray[np.uint8]) -> Predictions:
    found = esam.segment(image)
    codes = rle.compress(rle.of_labels(found.labels, len(found)))
    return Predictions(codes, found.scores.astype(np.float64), sum(found.prompts.values()))


def _of_amg_records(records: list[dict[str, Any]]) -> Predictions:
    scores = np.array([record["predicted_iou"] for record in records], np.float64)
    return Predictions([record["segmentation"] for record in records], scores)


def _of_candidates(
    esam: Esam, image: NDArray[np.uint8], choose: Callable[[Esam, Session, NDArray[np.uint8]], ScoredMasks]
) -> Predictions:
    session = Session(esam.segmenter, image, esam.backend)
    chosen = choose(esam, session, image)
    kept = nms(chosen.masks, chosen.scores, esam.config.mmg.amg_nms, backend=esam.backend)
    found = list(_drawn(esam, session, chosen.take(kept)))
    return Predictions(rle.compress([code for code, _ in found]), np.array([score for _, score in found], np.float64))


def _grid_answer(esam: Esam, session: Session, levels: Callable[[Any], NDArray[Any]]) -> ScoredMasks:
    """The masks of these levels at the points of MMG's grid, filtered as AMG filters."""
    points = session.grid.point_grid(esam.config.mmg.points_per_side)
    answer = session.ask(points)
    found = ScoredMasks.concatenate(
        [ScoredMasks.of_levels(answer, points, level) for level in np.atleast_2d(levels(answer.scores))]
    )
    return sound(found, thresholds(esam.segmenter, esam.config.mmg))


def _all_levels(scores: NDArray[Any]) -> NDArray[Any]:
    return np.repeat(np.arange(3)[:, None], len(scores), axis=1)


def _object_level(scores: NDArray[Any]) -> NDArray[Any]:
    return np.full(len(scores), OBJECT)


def _superpixel_prompts(esam: Esam, session: Session, image: NDArray[np.uint8]) -> ScoredMasks:
    """The best mask at the centre of each superpixel; nothing is filtered but empties."""
    labels = superpixels.segment(image, esam.config.superpixels, backend=esam.backend)
    points = session.grid.points(superpixels.on_grid(labels, session.grid).centres)
    answer = session.ask(points)
    found = ScoredMasks.of_levels(answer, points, best_levels(answer.scores))
    return found.take(found.masks.area > 0)


_CANDIDATES: dict[str, Callable[[Esam, Session, NDArray[np.uint8]], ScoredMasks]] = {
    "amg": lambda esam, session, _: _grid_answer(esam, session, _all_levels),
    "object": lambda esam, session, _: _grid_answer(esam, session, _object_level),
    "best": lambda esam, session, _: _grid_answer(esam, session, best_levels),
    "superpixels": _superpixel_prompts,
}

METHODS = {
    "esam": "E-SAM; switch modules off with --set mmg.enabled=false and so on",
    "amg": "SAM's automatic masks from the mask grid: all levels, filtered, mask NMS",
    "amg-official": "segment_anything's own generator, pixel for pixel (needs a SAM model)",
    "object": "the object level alone, filtered, mask NMS",
    "best": "each point's best level, filtered, mask NMS",
    "superpixels": "the best mask at each superpixel's centre, mask NMS",
}


def _drawn(esam: Esam, session: Session, masks: ScoredMasks) -> Iterator[tuple[rle.Code, float]]:
    """Each mask at the image's resolution, from its logits, with its score; those that end up empty are left out."""
    for one, plane in session.planes(masks):
        (code,) = rle.of_labels(host(draw_labels(plane, session.grid, backend=esam.backend)), 1)
        if len(code["counts"]) > 1:
            yield code, float(one.scores[0])
