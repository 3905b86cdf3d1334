"""What exporters read of a result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check
from esam_fast.polygons import Outline, polygons


@runtime_checkable
class Entities(Protocol):
    """What is written of an image's K entities; `EntityMap` tells what each is."""

    @property
    def labels(self) -> NDArray[np.int32]: ...
    @property
    def scores(self) -> NDArray[np.float32]: ...
    @property
    def areas(self) -> NDArray[np.int64]: ...
    @property
    def boxes(self) -> NDArray[np.int32]: ...
    @property
    def points(self) -> NDArray[np.float32]: ...
    @property
    def stability(self) -> NDArray[np.float32]: ...
    def __len__(self) -> int: ...


def checked(entities: Any) -> Entities:
    """`entities`, if it is an EntityMap or has its arrays.

    Raises:
        TypeError, ValueError: it is not.
    """
    if not isinstance(entities, Entities):
        raise TypeError(f"entities must be an EntityMap, got {type(entities).__name__}")
    _check.array("labels", entities.labels, np.int32, ("H", "W"))
    return entities


def outline(labels: NDArray[np.int32], box: NDArray[np.int32], label: int, tolerance: float) -> Outline:
    """The pieces of one entity of a label map [H, W], in the image's frame: see `polygons.polygons`."""
    x0, y0, x1, y1 = box.tolist()
    shift = np.array([x0, y0], np.float32)
    found = polygons(labels[y0:y1, x0:x1] == label, tolerance)
    return [(outer + shift, [hole + shift for hole in holes]) for outer, holes in found]


def outlines(entities: Entities, tolerance: float) -> Iterator[Outline]:
    """The pieces of each entity, by label."""
    for label, box in enumerate(entities.boxes, start=1):
        yield outline(entities.labels, box, label, tolerance)
