"""labelme's JSON: a file an image, polygons; the pieces of an entity share their group_id, which is its label."""

from __future__ import annotations

from typing import Any

from esam_fast.export.entities import Entities, outlines
from esam_fast.polygons import keyhole

VERSION = "5.5.0"  # of labelme, whose format this is


def description(entities: Entities, image_path: str, tolerance: float = 1.0) -> dict[str, Any]:
    """What the file of one image holds. The format knows no holes: slits of no width lead to them.

    Args:
        entities: what to write.
        image_path: of the image, relative to the file.
        tolerance: of the outlines, pixels.
    """
    height, width = entities.labels.shape
    shapes = [
        {
            "label": "entity",
            "points": keyhole([outer, *holes]).tolist(),
            "group_id": label,
            "description": f"score {entities.scores[label - 1]:.4f}",
            "shape_type": "polygon",
            "flags": {},
            "mask": None,
        }
        for label, pieces in enumerate(outlines(entities, tolerance), start=1)
        for outer, holes in pieces
    ]
    return {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": image_path,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
