"""The page that compares two results on one image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from esam_fast import _check
from esam_fast._files import Pathish, make_folder, write_all
from esam_fast.changes import changes
from esam_fast.entities import EntityMap
from esam_fast.images import of_size
from esam_fast.render import entity_colours, shrunk
from esam_fast.report import data
from esam_fast.report.run import copy_page

_PAGE = ("compare.html", "style.css", "shared.js", "compare.js")


def compare(folder: Pathish, image: Any, a: EntityMap, b: EntityMap, names: tuple[str, str] = ("a", "b")) -> Path:
    """Write folder/compare.html: two results under a divider that is swiped, and what split, merged, came and went.

    Args:
        folder: made if missing; the page's files lie in folder/report.
        image: of both: what `Esam.segment` takes.
        a, b: the results on it. An entity of `b` that is mostly one of `a` has that one's colour.
        names: of the two, as the page is to show them.

    Returns:
        The page's path.

    Raises:
        TypeError, ValueError: not such an image, or a result of another one. OSError: a file cannot be written.
    """
    a, b = (_check.instance(name, value, EntityMap) for name, value in (("a", a), ("b", b)))
    folder = Path(folder)
    image = of_size(image, *a.labels.shape)[:]
    sides: list[dict[str, Any]] = []
    for name, given, result in zip("ab", names, (a, b), strict=True):
        labels = _check.array(f"{name}.labels", result.labels, np.int32, image.shape[:2])
        like = (a.labels, entity_colours(image, a.labels)) if sides else None
        side = data.layer(image, labels, entity_colours(image, labels, like=like, count=len(result)))
        sides.append(side | {"name": _check.instance("names", given, str), "areas": result.areas.tolist()})
    make_folder(folder, "report/compare")
    copy_page(folder, _PAGE)
    write_all(
        {
            folder / "report" / "compare" / "picture.jpg": data.jpeg(shrunk(image, data.SIDE), 88),
            folder / "report" / "compare" / "data.js": data.script(
                "compare", {"names": list(names)}, {"sides": sides, "changes": _listed(a, b)}
            ),
        }
    )
    return folder / "compare.html"


def _listed(a: EntityMap, b: EntityMap) -> dict[str, list[dict[str, Any]]]:
    """What became of entities, each with its labels in a and in b; the largest first, the kept by IoU."""
    found = changes(a.labels, b.labels)
    listed: dict[str, list[dict[str, Any]]] = {
        "split": [{"a": [one], "b": list(pieces)} for one, pieces in found.split.items()],
        "merged": [{"a": list(pieces), "b": [one]} for one, pieces in found.merged.items()],
        "came": [{"a": [], "b": [one]} for one in found.came],
        "went": [{"a": [one], "b": []} for one in found.went],
    }
    for entries in listed.values():
        entries.sort(
            key=lambda entry: -sum(a.areas[k - 1] for k in entry["a"]) - sum(b.areas[k - 1] for k in entry["b"])
        )
    for kind, pairs in (("resized", found.resized), ("kept", found.kept)):
        listed[kind] = [{"a": [pair.before], "b": [pair.after], "iou": round(pair.iou, 4)} for pair in pairs]
    return listed
