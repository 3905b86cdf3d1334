"""CVAT for images 1.1: one XML file for a run, polygons; the pieces of an entity share their group_id."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from esam_fast._files import printable
from esam_fast.export.entities import Entities, outlines
from esam_fast.polygons import keyhole

START = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><labels><label><name>entity</name><attributes><attribute><name>score</name><mutable>False</mutable>\
<input_type>text</input_type><default_value></default_value><values></values></attribute></attributes></label></labels>\
</task></meta>
"""
END = "</annotations>\n"


def image(entities: Entities, number: int, file_name: str, tolerance: float = 1.0) -> str:
    """The element of one image. The format knows no holes: slits of no width lead to them.

    Args:
        entities: what to write.
        number: the image's id, from 0.
        file_name: of the image; what XML cannot hold is written as escapes.
        tolerance: of the outlines, pixels.
    """
    height, width = entities.labels.shape
    lines = [f'  <image id="{number}" name={quoteattr(printable(file_name))} width="{width}" height="{height}">\n']
    for label, pieces in enumerate(outlines(entities, tolerance), start=1):
        for outer, holes in pieces:
            points = ";".join(f"{x:.2f},{y:.2f}" for x, y in keyhole([outer, *holes]))
            lines.append(
                f'    <polygon label="entity" source="auto" occluded="0" points="{points}" z_order="0" '
                f'group_id="{label}"><attribute name="score">{entities.scores[label - 1]:.4f}</attribute></polygon>\n'
            )
    return "".join([*lines, "  </image>\n"])
