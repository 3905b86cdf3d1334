"""Every threshold of the algorithm: the paper's value where it gives one, checked on creation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, NamedTuple

from esam_fast import _check
from esam_fast._limits import MAX_FLOAT32, MAX_MASKS, MAX_NEIGHBOURS, MAX_PLANE_PIXELS, MAX_POINTS_PER_SIDE, MAX_SIGMA


def _checked(default: Any, check: Callable[..., Any], **limits: Any) -> Any:
    """A field with its default, and the check that a value must pass; a field whose default is None may be None."""
    return field(default=default, metadata={"check": partial(check, **limits)})


def _flag(default: bool) -> Any:
    return _checked(default, _check.flag)


def _whole(default: int, *, least: int, most: int) -> Any:
    return _checked(default, _check.integer, least=least, most=most)


def _number(default: float | None, *, least: float, most: float = math.inf) -> Any:
    return _checked(default, _check.at_least, least=least, most=most)


def _share(default: float | None) -> Any:
    return _checked(default, _check.unit_interval)


class _Checked:
    """Checks every field on creation, and keeps plain Python numbers; a section must be of its own class."""

    def __post_init__(self) -> None:
        for one in fields(self):  # type: ignore[arg-type]
            value = getattr(self, one.name)
            if value is not None or one.default is not None:
                section: Any = one.default_factory
                check = one.metadata.get("check") or partial(_check.instance, kind=section)
                object.__setattr__(self, one.name, check(one.name, value))


@dataclass(frozen=True)
class SuperpixelConfig(_Checked):
    """Superpixels for the density map (Eq. 3), the centroids of Eq. 7 and the uncovered regions (Sec. 3.4).

    Attributes:
        method: "felzenszwalb" (the paper's choice) or "slic" (scikit-image's, installed by the extra ``slic``).
        scale: Felzenszwalb's k: larger values prefer larger segments.
        sigma: standard deviation of the Gaussian smoothing before segmentation, in pixels; at most 100.
        min_size: smaller segments are absorbed, in pixels of the segmented image.
        max_side: images whose longer side exceeds it are area-averaged down to it first, in pixels.
        slic_segments: number of segments asked of SLIC.
        slic_compactness: SLIC's balance between colour and space.
    """

    method: str = _checked("felzenszwalb", _check.choice, allowed=("felzenszwalb", "slic"))
    scale: float = _number(100.0, least=0, most=MAX_FLOAT32)
    sigma: float = _number(0.8, least=0, most=MAX_SIGMA)
    min_size: int = _whole(50, least=0, most=MAX_PLANE_PIXELS)
    max_side: int = _whole(1024, least=1, most=MAX_PLANE_PIXELS)
    slic_segments: int = _whole(400, least=1, most=MAX_MASKS)
    slic_compactness: float = _number(10.0, least=0)


@dataclass(frozen=True)
class MmgConfig(_Checked):
    """Multi-level mask generation (Sec. 3.2, Eqs. 1-4).

    Attributes:
        enabled: off, the stage hands over AMG's own list: all levels, filtered, NMS at ``amg_nms``.
        points_per_side: the point grid that masks come from; at most 1024.
        theta_o: IoU above which the object-level NMS removes a mask (theta_O).
        gamma_o: an object mask stays if its best IoU with the best-level map is at least this (gamma_O, Eq. 2).
        n_t: lower bound of the adaptive NMS threshold of the part levels (N_t, Eq. 4).
        amg_nms: NMS threshold of AMG's own list, used when the stage is off.
        score_threshold: masks with a lower predicted IoU are dropped; None: the segmenter's own.
        stability_threshold: masks with a lower stability are dropped; None: the segmenter's own.
    """

    enabled: bool = _flag(True)
    points_per_side: int = _whole(32, least=1, most=MAX_POINTS_PER_SIDE)
    theta_o: float = _share(0.8)
    gamma_o: float = _share(0.6)
    n_t: float = _share(0.5)
    amg_nms: float = _share(0.7)
    score_threshold: float | None = _checked(None, _check.finite_real)
    stability_threshold: float | None = _share(None)


@dataclass(frozen=True)
class EmrConfig(_Checked):
    """Entity-level mask refinement (Sec. 3.3, Eqs. 5-8).

    Attributes:
        enabled: off, overlaps go to the higher score and nothing is merged.
        points_per_side: the point grid of the mask gallery; at most 1024.
        votes_per_cell: points asked of each cell, the points of that grid that lie in the same object masks; the
            others take over an answer of their cell. 0: every point of the grid (the paper's letter).
        tau: a point is guided by its object mask while its best score is ahead by less than this (Eq. 6).
        cluster_iou: gallery masks with at least this IoU count as the same mask when points vote.
        delta: overlaps smaller than this share of the larger mask are cut off without a vote (Eq. 5).
        score_margin: an overlap goes, without a vote, to the mask whose score exceeds the other's by more than this;
            None: never. For models whose scores favour whole entities (docs/EVIDENCE.md).
        top_k: neighbours of a centroid that count in Eq. 7; at most 1024.
        min_similarity: least similarity (Eq. 7) of a pair that may merge.
        cover: a guidance mask encompasses two masks if it covers at least this share of each ...
        concentration: ... and at least this share of it lies in the two together.
        merge_support: share of the points in two masks whose guidance mask must encompass both for them to
            merge; 0 is the paper's letter: one point suffices (Eq. 8).
    """

    enabled: bool = _flag(True)
    points_per_side: int = _whole(64, least=1, most=MAX_POINTS_PER_SIDE)
    votes_per_cell: int = _whole(4, least=0, most=MAX_MASKS)
    tau: float = _number(0.1, least=0)
    cluster_iou: float = _share(0.8)
    delta: float = _share(0.05)
    score_margin: float | None = _number(None, least=0)
    top_k: int = _whole(10, least=1, most=MAX_NEIGHBOURS)
    min_similarity: float = _share(0.1)
    cover: float = _share(0.9)
    concentration: float = _share(0.5)
    merge_support: float = _share(0.5)


@dataclass(frozen=True)
class UsrConfig(_Checked):
    """Under-segmentation refinement (Sec. 3.4, Eqs. 9-10).

    Attributes:
        enabled: off, uncovered pixels stay uncovered.
        rho: an additional mask joins the entity with which its IoU exceeds this (Eq. 10).
        min_gain: the cover stops when the next mask adds less than this share of the image.
        score_threshold: additional masks with a lower predicted IoU are dropped; None: none is.
        stability_threshold: additional masks with a lower stability are dropped; None: none is.
    """

    enabled: bool = _flag(True)
    rho: float = _share(0.1)
    min_gain: float = _share(0.0005)
    score_threshold: float | None = _checked(None, _check.finite_real)
    stability_threshold: float | None = _share(None)


@dataclass(frozen=True)
class EsamConfig(_Checked):
    """The whole of E-SAM.

    Attributes:
        mmg: multi-level mask generation.
        emr: entity-level mask refinement.
        usr: under-segmentation refinement.
        superpixels: the superpixel map that all three use.
        min_area: entities and uncovered regions under this many grid pixels are dropped.
        min_region_area: holes and islands under this many image pixels are cleaned; 0: off, as in AMG.
    """

    mmg: MmgConfig = field(default_factory=MmgConfig)
    emr: EmrConfig = field(default_factory=EmrConfig)
    usr: UsrConfig = field(default_factory=UsrConfig)
    superpixels: SuperpixelConfig = field(default_factory=SuperpixelConfig)
    min_area: int = _whole(16, least=0, most=MAX_PLANE_PIXELS)
    min_region_area: int = _whole(0, least=0, most=MAX_PLANE_PIXELS)


class Thresholds(NamedTuple):
    """What a mask must reach, or it is dropped; None: anything will do.

    Attributes:
        score: its predicted IoU.
        stability: its stability score.
    """

    score: float | None
    stability: float | None


def flat(value: object, name: str = "") -> dict[str, Any]:
    """A dict of dicts, as `dataclasses.asdict` gives a config, as one, with names such as "emr.delta"."""
    if isinstance(value, dict) and value:
        return {k: v for key, part in value.items() for k, v in flat(part, f"{name}.{key}".removeprefix(".")).items()}
    return {name: value}
