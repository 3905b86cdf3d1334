"""Ultralytics' YOLO segmentation format: a text file an image, a line an entity."""

from __future__ import annotations

import itertools

from esam_fast.export.entities import Entities, outlines
from esam_fast.polygons import keyhole

DATASET = b"# Ultralytics YOLO, segmentation\nnames:\n  0: entity\n"  # data.yaml


def text(entities: Entities, tolerance: float = 1.0) -> bytes:
    """The file of one image: "0 x y x y ...", the class and a polygon, its coordinates as shares of width and height.

    The format knows neither holes nor pieces: they are joined by slits of no width (see `polygons.keyhole`). An entity
    without pixels has no line.

    Args:
        entities: what to write.
        tolerance: of the outlines, pixels.
    """
    height, width = entities.labels.shape
    lines = []
    for pieces in filter(None, outlines(entities, tolerance)):
        ring = keyhole(list(itertools.chain.from_iterable([outer, *holes] for outer, holes in pieces)))
        lines.append("0 " + " ".join(f"{v:.6f}" for v in (ring / (width, height)).ravel()) + "\n")
    return "".join(lines).encode()
