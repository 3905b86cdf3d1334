"""What the pages load: scripts with an image's labels and numbers, and pictures."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast import export
from esam_fast.entities import EntityMap
from esam_fast.render import ALPHA, PANEL, shrunk
from esam_fast.render.drawing import tinted
from esam_fast.render.panels import MARKS
from esam_fast.render.stages import Stage, stages_of
from esam_fast.report.packing import packed

SIDE = 1600  # longer side of a picture and its labels, pixels
THUMBNAIL = 320  # longer side, pixels

Image = NDArray[np.uint8]


def script(function: str, head: dict[str, Any], value: dict[str, Any]) -> bytes:
    """A script that calls a function of page/shared.js; its first line is a comment with what is needed of it later."""
    return b"//%s\nesam.%s(%s);\n" % (export.as_json(head), function.encode(), export.as_json(value))


def jpeg(image: Image, quality: int) -> bytes:
    """A JPEG of an image uint8 [H, W, 3] RGB, marked as a result, so that no later run takes it for a photograph."""
    _, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return export.marked(content.tobytes())


def thumbnail(image: Image, labels: NDArray[np.int32], colours: Image) -> Image:
    """The overlay of an image, small: uint8 [h, w, 3]."""
    small = shrunk(image, THUMBNAIL)
    size = (small.shape[1], small.shape[0])
    return tinted(small, cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST), colours, ALPHA)


def of_image(image: Image, entities: EntityMap, colours: Image) -> dict[str, Any]:
    """What the viewer shows of one image, with these colours of its labels 0..K."""
    height, width = entities.labels.shape
    found = {
        "width": width,
        "height": height,
        "map": layer(image, entities.labels, colours),
        "scores": _rounded(entities.scores, 4),
        "stability": _rounded(entities.stability, 4),
        "areas": entities.areas.tolist(),
        "boxes": entities.boxes.tolist(),
        "prompts": {name: int(count) for name, count in entities.prompts.items()},
        "stages": [],
    }
    if entities.stages is not None:
        found["marks"] = {word: list(colour) for word, colour in MARKS.items()}
        found["stages"] = [_of_stage(stage) for stage in stages_of(entities, colours, shrunk(image, PANEL))]
    return found


def layer(image: Image, labels: NDArray[np.int32], colours: Image) -> dict[str, Any]:
    """A label map [H, W] in the size of the picture, packed, with the colours of its labels 0..K."""
    height, width = shrunk(image, SIDE).shape[:2]
    small = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
    return {"width": width, "height": height, "labels": packed(small), "colours": colours.tolist()}


def _of_stage(stage: Stage) -> dict[str, Any]:
    height, width = stage.labels.shape
    return {
        "title": stage.title,
        "counts": stage.counts,
        "changed": {word: [int(label) for label in labels] for word, labels in stage.changed.items()},
        "width": width,
        "height": height,
        "labels": packed(stage.labels),
        "under": packed(stage.under),
        "colours": stage.colours.tolist(),
    }


def _rounded(values: NDArray[np.float32], digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]
