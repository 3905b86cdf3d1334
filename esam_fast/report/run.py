"""The page of a run: images are added one by one, in any order and by any number of processes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any

from esam_fast import _check
from esam_fast._files import Pathish, make_folder, open_regular, parse_json, write_all, write_bytes
from esam_fast.entities import EntityMap
from esam_fast.images import of_size
from esam_fast.render import entity_colours, shrunk
from esam_fast.render.large import reduced
from esam_fast.report import data

_PAGE = ("index.html", "style.css", "shared.js", "gallery.js", "viewer.js", "entities.js")
_MAX_HEAD = 1 << 16  # bytes of a script's first line
_INDEX = {"title": str, "about": dict}
_IMAGE = {"key": str, "name": str, "count": int, "thumb": list}

Timings = Mapping[str, float]


class Writer:
    """Writes a report into a folder.

    Args:
        folder: of the run; made if missing. The page is folder/index.html, its files lie in folder/report.
        title: of the page.
        about: what the page tells of the run, such as its settings: names and values that JSON can hold.

    Raises:
        TypeError: title is no text, or about holds what JSON cannot. ValueError: about holds NaN or infinity.
        OSError: a file cannot be written.
    """

    def __init__(self, folder: Pathish, title: str, about: Mapping[str, Any] | None = None) -> None:
        self._folder = Path(folder)
        self._times: dict[str, Timings] = {}
        make_folder(self._folder, "report/images")
        build(folder, title, about or {})  # a run that is broken off leaves a page too

    def add(self, name: str, image: Any, entities: EntityMap) -> None:
        """Write the files of one image; one of the same name that is there already is replaced.

        Args:
            name: of the image, as the page is to show it; its path below the run's input tells images apart.
            image: what `Esam.segment` takes, or a file read by windows.
            entities: the result on it; its stages are shown if it holds them.

        Raises:
            TypeError, ValueError: not such an image. OSError: a file cannot be written.
        """
        add(self._folder, name, image, entities)
        self._times[name] = entities.timings

    def close(self) -> None:
        """Write the list of all images that are there, those of earlier runs too, and the times of what was added."""
        build(self._folder, times=self._times)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def add(folder: Pathish, name: str, image: Any, entities: EntityMap) -> list[str]:
    """Write the files of one image into the folder of a run, as `Writer.add` does; `build` then takes it up.

    Returns:
        Their paths, relative to the folder.
    """
    name, entities = _check.instance("name", name, str), _check.instance("entities", entities, EntityMap)
    image, labels = reduced(of_size(image, *entities.labels.shape), entities.labels)
    key = key_of(name)
    colours = entity_colours(image, labels, count=len(entities))
    thumbnail = data.thumbnail(image, labels, colours)
    head = {"key": key, "name": name, "count": len(entities), "thumb": thumbnail.shape[1::-1]}
    contents = {
        f"report/images/{key}.jpg": data.jpeg(shrunk(image, data.SIDE), 88),
        f"report/images/{key}_thumb.jpg": data.jpeg(thumbnail, 78),
        f"report/images/{key}.js": data.script("image", head, head | data.of_image(image, entities, colours)),
    }
    make_folder(folder, "report/images")
    write_all({Path(folder) / path: content for path, content in contents.items()})
    return list(contents)


def build(
    folder: Pathish,
    title: str | None = None,
    about: Mapping[str, Any] | None = None,
    times: Mapping[str, Timings] | None = None,
) -> None:
    """Write the page of a run, its list of images from the images' files that are there, and their times.

    Args:
        folder: of the run, in which a `Writer` has worked.
        title, about: of the page, as `Writer` takes them; those that are there already if None.
        times: seconds of each stage by the images' names; None: none are known.

    Raises:
        ValueError: a file in folder/report was not written by a `Writer`; names it. OSError: there is no such folder,
            or a file cannot be written.
    """
    folder = Path(folder)
    index = folder / "report" / "index.js"
    old = _head(index, _INDEX) if index.exists() else {"title": "esam_fast report", "about": {}}
    head = {
        "title": old["title"] if title is None else _check.instance("title", title, str),
        "about": old["about"] if about is None else dict(about),
    }
    heads = [_head(path, _IMAGE) for path in (folder / "report" / "images").glob("*.js")]
    heads.sort(key=lambda image: _natural(image["name"]))
    copy_page(folder, _PAGE)
    write_bytes(index, data.script("index", head, head | {"images": heads}))
    shown = {key_of(name): _rounded(seconds) for name, seconds in (times or {}).items()}
    write_bytes(folder / "report" / "times.js", data.script("times", {}, shown))


def copy_page(folder: Path, names: tuple[str, ...]) -> None:
    """Copy files of the page: HTML into the folder, what it loads into folder/report."""
    make_folder(folder, "report")
    page = resources.files("esam_fast.report") / "page"
    for name in names:
        target = folder / name if name.endswith(".html") else folder / "report" / name
        write_bytes(target, (page / name).read_bytes())


def key_of(name: str) -> str:
    """A file name for an image of this name: letters and digits of it to be recognised by, and a hash to be its own."""
    word = re.sub(r"[^A-Za-z0-9]+", "-", Path(name).stem).strip("-")[:40]
    return f"{word}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}".lstrip("-")


def _head(path: Path, fields: Mapping[str, type]) -> dict[str, Any]:
    """What the first line of a script, a comment, says of it, with these fields."""
    with open_regular(path) as file:
        line = file.readline(_MAX_HEAD)
    try:
        head = parse_json(line.removeprefix(b"//"), own=True)
    except ValueError:
        head = None
    if not isinstance(head, dict) or any(not isinstance(head.get(field), kind) for field, kind in fields.items()):
        raise ValueError(f"{path}: expected a script that a report's Writer wrote, got {line[:60]!r}")
    return head


def _rounded(seconds: Timings) -> dict[str, float]:
    return {stage: round(float(spent), 4) for stage, spent in seconds.items()}


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts numbers in names by their value."""
    parts = re.split(r"0*([0-9]+)", name.casefold())  # text and numbers in turn
    return [(len(part) if k % 2 else 0, part) for k, part in enumerate(parts)]
