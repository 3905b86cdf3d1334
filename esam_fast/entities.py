"""The result: every entity of one image, and what people ask of it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check, export, render
from esam_fast.export.entities import outline
from esam_fast.export.formats import save
from esam_fast.images import TiffWindows, of_size
from esam_fast.masks import Bool, Float, Int, Labels, MaskGrid, ScoredMasks
from esam_fast.polygons import Outline


class Entity(NamedTuple):
    """One entity of a map.

    Attributes:
        label: 1..K, its value in the label map.
        score: its score.
        area: image pixels.
        box: x0 y0 x1 y1, half-open, image pixels.
        point: the prompt of its highest-scored mask, x y in image pixels.
    """

    label: int
    score: float
    area: int
    box: tuple[int, int, int, int]
    point: tuple[float, float]


def _no_prompts() -> dict[str, int]:
    return dict.fromkeys(("mmg", "gallery", "usr"), 0)


@dataclass(frozen=True, repr=False)
class EntityMap:
    """Every entity of one image; no two overlap.

    Iterating gives each as an `Entity`, by label. `entities[k]` is the k-th of these, from 0, as `scores[k]` is its
    score: the first has the label 1, and the entity of a label is `entities[label - 1]`. A slice, or bool [K], gives an
    EntityMap of some, as `filter` does: `entities[:5]`, `entities[entities.areas > 500]`.

    What is given is checked by dtype, shape and range; that areas and boxes are those of the labels is not.

    Attributes:
        labels: int32 [H, W], 0 where nothing was found, 1..K by score descending.
        scores: float32 [K], score of entity k + 1.
        areas: int64 [K], image pixels.
        boxes: int32 [K, 4], x0 y0 x1 y1, half-open, image pixels.
        points: float32 [K, 2], the prompt of the entity's highest-scored mask, x y in image pixels.
        stability: float32 [K], that mask's stability score.
        timings: seconds for embed, superpixels (beside a GPU only what was waited for), decode, mmg, emr, usr, draw and
            total.
        prompts: points asked for the "mmg" grid, the "gallery" and "usr"; 0 for a stage that is off. Decoding what
            is drawn once more does not count.
        spans: (stage, begin, end) of each time a stage ran, in seconds since the start, in order.
        grid: the grid on which the masks in `stages` live; None where the image was segmented in several views.
        stages: intermediate masks, when asked for: "mmg" (object level, overlapping), "part", "subpart", "emr"
            and "usr" (disjoint; the entities as they are then).

    Raises:
        TypeError: wrong type or dtype. ValueError: wrong shape, no pixels, numbers that are not finite, a label that is
            not in 0..K, a negative area, or a box that does not lie in the image.
    """

    labels: Labels
    scores: Float
    areas: Int
    boxes: NDArray[np.int32]
    points: Float
    stability: Float
    timings: dict[str, float]
    grid: MaskGrid | None
    stages: dict[str, ScoredMasks] | None = None
    spans: tuple[tuple[str, float, float], ...] = ()
    prompts: dict[str, int] = field(default_factory=_no_prompts)

    def __post_init__(self) -> None:
        labels = _check.array("labels", self.labels, np.int32, ("H", "W"))
        if labels.size == 0:
            raise ValueError(f"labels must have pixels, got shape {list(labels.shape)}")
        scores = _check.finite("scores", self.scores, ("K",))
        n, (height, width) = len(scores), labels.shape
        if labels.min() < 0 or labels.max() > n:
            raise ValueError(f"labels must lie in 0..{n}, one for each score, got {labels.min()} to {labels.max()}")
        areas = _check.indices("areas", self.areas, 0, labels.size + 1, (n,))
        boxes = _check.array("boxes", self.boxes, np.int32, (n, 4))
        wrong = np.flatnonzero(
            ((boxes[:, :2] < 0) | (boxes[:, :2] > boxes[:, 2:]) | (boxes[:, 2:] > (width, height))).any(1)
        )
        if wrong.size:
            raise ValueError(
                f"boxes[{wrong[0]}] must lie in the image of {width} x {height} pixels, got {boxes[wrong[0]].tolist()}"
            )
        points = _check.finite("points", self.points, (n, 2))
        stability = _check.finite("stability", self.stability, (n,))
        for name, kind in (("grid", MaskGrid), ("stages", dict)):
            if getattr(self, name) is not None:
                _check.instance(name, getattr(self, name), kind)
        for name in ("timings", "prompts"):
            _check.instance(name, getattr(self, name), dict)
        self.__dict__.update(labels=labels, scores=scores, areas=areas, boxes=boxes, points=points, stability=stability)

    @classmethod
    def _unchecked(cls, **values: Any) -> EntityMap:
        """A map that was made here: nothing is checked."""
        made = object.__new__(cls)
        made.__dict__.update({"prompts": _no_prompts()} | values)
        return made

    def _with(self, **changes: Any) -> EntityMap:
        """The same map with other fields: nothing is checked."""
        return self._unchecked(**(self.__dict__ | changes))

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Entity]:
        return (self[place] for place in range(len(self)))

    @overload
    def __getitem__(self, which: int | np.integer[Any]) -> Entity: ...
    @overload
    def __getitem__(self, which: slice | Bool) -> EntityMap: ...
    def __getitem__(self, which: Any) -> Any:
        """The entity at a place, from 0, or a map of some of them; see the class.

        Raises:
            TypeError: no whole number, slice or bool [K]. IndexError: there is no such place. ValueError: not K bools.
        """
        if isinstance(which, slice):
            keep = np.zeros(len(self), np.bool_)
            keep[which] = True
            return self._only(keep)
        if isinstance(which, np.ndarray) and which.ndim:
            return self._only(_check.array("which", which, np.bool_, (len(self),)))
        place = _check.integer("which", which, -(2**63))
        if not -len(self) <= place < len(self):
            raise IndexError(f"there are {len(self)} entities, that of label k at place k - 1, got the place {place}")
        place %= len(self)
        (x0, y0, x1, y1), (x, y) = self.boxes[place].tolist(), self.points[place].tolist()
        return Entity(place + 1, float(self.scores[place]), int(self.areas[place]), (x0, y0, x1, y1), (x, y))

    def __repr__(self) -> str:
        height, width = self.labels.shape
        covered = self.areas.sum() / max(1, self.labels.size)
        noun = "entity" if len(self) == 1 else "entities"
        return f"EntityMap({len(self)} {noun}, {width} x {height} pixels, {covered:.1%} covered)"

    def _repr_png_(self) -> bytes:
        """The entities in colours, for notebooks."""
        return export.picture(".png", render.colour_map(self.labels))

    def mask(self, label: int) -> Bool:
        """Entity `label` (1..K) as bool [H, W].

        Raises:
            TypeError: label is not a whole number. IndexError: there is no such entity.
        """
        return self.labels == self._known(label)

    def at(self, x: float, y: float) -> int:
        """The label at an image point, 0 where there is no entity; pixel (x, y) covers [x, x + 1) x [y, y + 1).

        Raises:
            TypeError: x or y is no number. IndexError: the point lies outside the image.
        """
        height, width = self.labels.shape
        column, row = math.floor(_check.finite_real("x", x)), math.floor(_check.finite_real("y", y))
        if not (0 <= column < width and 0 <= row < height):
            raise IndexError(f"the point must lie in the image of {width} x {height} pixels, got x {x}, y {y}")
        return int(self.labels[row, column])

    def filter(self, min_area: float = 0, max_area: float | None = None, min_score: float | None = None) -> EntityMap:
        """The entities within these limits, both ends included, labelled anew 1..K in the same order.

        Args:
            min_area, max_area: in image pixels.
            min_score: of the entity's score.

        Returns:
            A map without `stages`, which hold masks of what was dropped too.
        """
        keep = self.areas >= _check.at_least("min_area", min_area, 0)
        if max_area is not None:
            keep &= self.areas <= _check.at_least("max_area", max_area, 0)
        if min_score is not None:
            keep &= self.scores.astype(np.float64) >= _check.finite_real("min_score", min_score)
        return self._only(keep)

    def polygons(self, label: int, tolerance: float = 1.0) -> Outline:
        """The outlines of entity `label`: for each piece its outer ring and the rings of its holes.

        Pixel (x, y) covers [x, x + 1) x [y, y + 1) and rings run along pixel edges; outer rings go clockwise as the
        image is seen, holes the other way.

        Args:
            label: 1..K.
            tolerance: how far a ring may lie from the edges, in pixels; 0: exact.

        Returns:
            Pairs (outer, holes); each ring float32 [N, 2], x y, its end not repeated.

        Raises:
            TypeError: label is not a whole number. IndexError: there is no such entity. ValueError: tolerance is
            negative or not finite.
        """
        box = self.boxes[self._known(label) - 1]
        return outline(self.labels, box, label, _check.at_least("tolerance", tolerance, 0))

    def cutout(self, image: Any, label: int) -> NDArray[np.uint8]:
        """Entity `label` alone, cropped to its box, transparent around it: uint8 [h, w, 4] RGBA.

        Args:
            image: the image of this map: what `segment` takes, or what `esam_fast.images.open_image` gives.
            label: 1..K.

        Raises:
            TypeError, ValueError: not such an image. IndexError: there is no such entity.
        """
        x0, y0, x1, y1 = self.boxes[self._known(label) - 1].tolist()
        seen = self._own(image)[y0:y1, x0:x1]
        return np.dstack([seen, (self.labels[y0:y1, x0:x1] == label).astype(np.uint8) * np.uint8(255)])

    def plot(self, image: Any, ids: bool = False) -> NDArray[np.uint8]:
        """The image with every entity tinted in its own colour: uint8 [H, W, 3] RGB.

        An image of more than 8192 pixels a side is reduced to at most 4096.

        Args:
            image: the image of this map: what `segment` takes, or what `esam_fast.images.open_image` gives.
            ids: write each label into its entity.

        Raises:
            TypeError, ValueError: not such an image.
        """
        return render.overlay(self._own(image), self.labels, ids=ids)

    def save(
        self,
        folder: str | os.PathLike[str],
        stem: str,
        formats: Iterable[str] = ("labels", "coco"),
        *,
        file_name: str | None = None,
    ) -> list[Path]:
        """Write the entities into a folder, which is made, all files or none.

        Args:
            folder: where to.
            stem: the files' name without a suffix.
            formats: "labels" (STEM.png, uint16; STEM.tif, uint32, above 65,535 entities), "coco" (STEM.json, results
                records), and, each in a folder of its own name, "panoptic", "yolo", "labelme", "geojson" and "cvat".
            file_name: of the image, for the formats that name it; left out, STEM.jpg.

        Returns:
            The files' paths.

        Raises:
            ValueError: an unknown format, or more entities than one can hold. OSError: a file cannot be written.
        """
        return save(self, folder, stem, formats, f"{stem}.jpg" if file_name is None else file_name)

    def to_coco_results(self, image_id: int | str) -> list[dict[str, Any]]:
        """COCO results records, one an entity: image_id, category_id 1, bbox XYWH, compressed RLE, score, area."""
        return export.coco_results(self, image_id)

    def to_amg_records(self) -> list[dict[str, Any]]:
        """The records of segment_anything's SamAutomaticMaskGenerator, one an entity, by score descending."""
        return export.amg_records(self)

    def to_dataframe(self) -> Any:
        """A pandas DataFrame, one row an entity, its index the label.

        Columns: score, area, x0, y0, x1, y1 (half-open box), point_x, point_y, stability. Needs pandas.
        """
        import pandas

        x0, y0, x1, y1 = self.boxes.T
        columns = {
            "score": self.scores, "area": self.areas, "x0": x0, "y0": y0, "x1": x1, "y1": y1,
            "point_x": self.points[:, 0], "point_y": self.points[:, 1], "stability": self.stability,
        }  # fmt: skip
        return pandas.DataFrame(columns, index=pandas.RangeIndex(1, len(self) + 1, name="label"))

    def to_supervision(self) -> Any:
        """supervision.Detections, one an entity: xyxy, mask, confidence, class_id 0, and `data["label"]`.

        Needs supervision.
        """
        import supervision

        masks = export.segmentations(self.labels, self.boxes, "binary_mask")
        return supervision.Detections(
            xyxy=self.boxes.astype(np.float32).reshape(-1, 4),
            mask=np.array(masks, np.bool_).reshape(-1, *self.labels.shape),
            confidence=self.scores.copy(),
            class_id=np.zeros(len(self), np.int64),
            data={"label": np.arange(1, len(self) + 1)},
        )

    def _only(self, keep: Bool) -> EntityMap:
        """The entities that bool [K] keeps, labelled anew."""
        number = np.concatenate([[0], np.cumsum(keep) * keep]).astype(np.int32)
        rows = {name: getattr(self, name)[keep] for name in ("scores", "areas", "boxes", "points", "stability")}
        return self._with(labels=number[self.labels], **rows, stages=None)

    def _known(self, label: int) -> int:
        number = _check.integer("label", label, -(2**63))
        if not 1 <= number <= len(self):
            raise IndexError(f"label must lie in 1..{len(self)}, got {_check.brief(number)}")
        return number

    def _own(self, image: Any) -> NDArray[np.uint8] | TiffWindows:
        return of_size(image, *self.labels.shape)
