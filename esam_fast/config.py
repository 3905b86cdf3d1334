"""Every threshold of the algorithm: the paper's value where it gives one, checked on creation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


def _unit(owner: object, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if value is not None and not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} must lie in [0, 1], got {value!r}")


def _at_least(owner: object, least: float, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if not (value >= least and math.isfinite(value)):
            raise ValueError(f"{name} must be at least {least}, got {value!r}")


@dataclass(frozen=True)
class SuperpixelConfig:
    """Superpixels for the density map (Eq. 3), the centroids of Eq. 7 and the uncovered regions (Sec. 3.4).

    Attributes:
        method: "felzenszwalb" (the paper's choice) or "slic" (scikit-image's, installed by the extra ``slic``).
        scale: Felzenszwalb's k: larger values prefer larger segments.
        sigma: standard deviation of the Gaussian smoothing before segmentation, in pixels.
        min_size: smaller segments are absorbed, in pixels of the segmented image.
        max_side: images whose longer side exceeds it are area-averaged down to it first, in pixels.
        slic_segments: number of segments asked of SLIC.
        slic_compactness: SLIC's balance between colour and space.
    """

    method: str = "felzenszwalb"
    scale: float = 100.0
    sigma: float = 0.8
    min_size: int = 50
    max_side: int = 1024
    slic_segments: int = 400
    slic_compactness: float = 10.0

    def __post_init__(self) -> None:
        if self.method not in ("felzenszwalb", "slic"):
            raise ValueError(f"method must be 'felzenszwalb' or 'slic', got {self.method!r}")
        _at_least(self, 0, "scale", "sigma", "min_size", "slic_compactness")
        _at_least(self, 1, "max_side", "slic_segments")


@dataclass(frozen=True)
class MmgConfig:
    """Multi-level mask generation (Sec. 3.2, Eqs. 1-4).

    Attributes:
        enabled: off, the stage hands over AMG's own list: all levels, filtered, NMS at ``amg_nms``.
        points_per_side: the point grid that masks come from.
        theta_o: IoU above which the object-level NMS removes a mask (theta_O).
        gamma_o: an object mask stays if its best IoU with the best-level map is at least this (gamma_O, Eq. 2).
        n_t: lower bound of the adaptive NMS threshold of the part levels (N_t, Eq. 4).
        amg_nms: NMS threshold of AMG's own list, used when the stage is off.
        score_threshold: masks with a lower predicted IoU are dropped; None: the segmenter's own.
        stability_threshold: masks with a lower stability are dropped; None: the segmenter's own.
    """

    enabled: bool = True
    points_per_side: int = 32
    theta_o: float = 0.8
    gamma_o: float = 0.6
    n_t: float = 0.5
    amg_nms: float = 0.7
    score_threshold: float | None = None
    stability_threshold: float | None = None

    def __post_init__(self) -> None:
        _at_least(self, 1, "points_per_side")
        _unit(self, "theta_o", "gamma_o", "n_t", "amg_nms", "stability_threshold")
        if self.score_threshold is not None and not math.isfinite(self.score_threshold):
            raise ValueError(f"score_threshold must be finite or None, got {self.score_threshold!r}")


@dataclass(frozen=True)
class EmrConfig:
    """Entity-level mask refinement (Sec. 3.3, Eqs. 5-8).

    Attributes:
        enabled: off, overlaps go to the higher score and nothing is merged.
        points_per_side: the point grid of the mask gallery.
        votes_per_cell: points asked of each cell, the points of that grid that lie in the same object masks; the
            others take over an answer of their cell. 0: every point of the grid (the paper's letter).
        tau: a point is guided by its object mask while its best score is ahead by less than this (Eq. 6).
        cluster_iou: gallery masks with at least this IoU count as the same mask when points vote.
        delta: overlaps smaller than this share of the larger mask are cut off without a vote (Eq. 5).
        score_margin: an overlap goes, without a vote, to the mask whose score exceeds the other's by more than this;
            None: never. For models whose scores favour whole entities (docs/ABLATION.md).
        top_k: neighbours of a centroid that count in Eq. 7.
        min_similarity: least similarity (Eq. 7) of a pair that may merge.
        cover: a guidance mask encompasses two masks if it covers at least this share of each ...
        concentration: ... and at least this share of it lies in the two together.
        merge_support: share of the points in two masks whose guidance mask must encompass both for them to
            merge; 0 is the paper's letter: one point suffices (Eq. 8).
    """

    enabled: bool = True
    points_per_side: int = 64
    votes_per_cell: int = 4
    tau: float = 0.1
    cluster_iou: float = 0.8
    delta: float = 0.05
    score_margin: float | None = None
    top_k: int = 10
    min_similarity: float = 0.1
    cover: float = 0.9
    concentration: float = 0.5
    merge_support: float = 0.5

    def __post_init__(self) -> None:
        _at_least(self, 1, "points_per_side", "top_k")
        _at_least(self, 0, "votes_per_cell", "tau")
        if self.score_margin is not None:
            _at_least(self, 0, "score_margin")
        _unit(self, "cluster_iou", "delta", "min_similarity", "cover", "concentration", "merge_support")


@dataclass(frozen=True)
class UsrConfig:
    """Under-segmentation refinement (Sec. 3.4, Eqs. 9-10).

    Attributes:
        enabled: off, uncovered pixels stay uncovered.
        rho: an additional mask joins the entity with which its IoU exceeds this (Eq. 10).
        min_gain: the cover stops when the next mask adds less than this share of the image.
    """

    enabled: bool = True
    rho: float = 0.1
    min_gain: float = 0.0005

    def __post_init__(self) -> None:
        _unit(self, "rho", "min_gain")


@dataclass(frozen=True)
class EsamConfig:
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
    min_area: int = 16
    min_region_area: int = 0

    def __post_init__(self) -> None:
        _at_least(self, 0, "min_area", "min_region_area")
