"""GeoJSON (RFC 7946) in image pixels, x to the right and y down: a feature an entity."""

from __future__ import annotations

from typing import Any

import numpy as np

from esam_fast.export.entities import Entities, outlines
from esam_fast.polygons import Ring


def features(entities: Entities, tolerance: float = 1.0) -> dict[str, Any]:
    """A FeatureCollection; each feature a Polygon or MultiPolygon with the properties label, score and area.

    Args:
        entities: what to write.
        tolerance: of the outlines, pixels.
    """
    found = []
    for label, pieces in enumerate(outlines(entities, tolerance), start=1):
        rings = [[_closed(ring) for ring in (outer, *holes)] for outer, holes in pieces]
        geometry = (
            {"type": "Polygon", "coordinates": rings[0]}
            if len(rings) == 1
            else {"type": "MultiPolygon", "coordinates": rings}
        )
        properties = {
            "label": label,
            "score": float(entities.scores[label - 1]),
            "area": int(entities.areas[label - 1]),
        }
        found.append({"type": "Feature", "id": label, "geometry": geometry, "properties": properties})
    return {"type": "FeatureCollection", "features": found}


def _closed(ring: Ring) -> list[list[float]]:
    return np.concatenate([ring, ring[:1]]).tolist()
