"""Every Python snippet of docs/RECIPES.md and of the README runs as it stands there, and the notebook's cells.

With ESAM_EXPECT_RECIPES=1, a library that a snippet needs must be here: its absence is a failure. FiftyOne, which
brings a database, is stood in for.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from libraries import library
from PIL import Image

import esam_fast
from esam_fast import EntityMap

ROOT = Path(__file__).parents[1]
PHOTO = Path(esam_fast.__file__).parent / "demo" / "coffee.jpg"
BLOCK = re.compile(r"^```python(?: needs=(\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def snippets(path: Path) -> dict[str, list[tuple[str, str]]]:
    """By heading, each snippet's need and its code."""
    title, *sections = re.split(r"^## (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = {"": title} | dict(zip(sections[::2], sections[1::2], strict=True))
    return {heading: found for heading, text in texts.items() if (found := BLOCK.findall(text))}


RECIPES, README = snippets(ROOT / "docs" / "RECIPES.md"), snippets(ROOT / "README.md")
NOTEBOOK = ROOT / "examples" / "esam_fast.ipynb"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that snippets name."""
    from scipy.io import savemat

    folder = tmp_path_factory.mktemp("recipes")
    photo = Image.open(PHOTO).resize((300, 200))
    (folder / "photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg", "photos/b.jpg"):
        photo.save(folder / name)
    twice = Image.new("RGB", (600, 200))
    for x, half in ((0, photo), (300, photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT))):
        twice.paste(half, (x, 0))
    twice.save(folder / "large.jpg")
    twice.save(folder / "panorama.jpg")
    person = np.zeros((1, 1), [("Segmentation", object)])
    person[0, 0]["Segmentation"] = np.array([[1, 1, 2], [1, 2, 2]], np.uint16)
    people = np.empty((1, 2), object)
    people[0, :] = [person, person]
    (folder / "groundTruth").mkdir()
    savemat(folder / "groundTruth" / "100.mat", {"groundTruth": people})
    return folder


@pytest.fixture(scope="module")
def start(folder: Path) -> dict[str, Any]:
    """What every recipe goes on from."""
    names: dict[str, Any] = {"__name__": "recipe"}  # in a module of its own, for dataclasses
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("esam_fast.weights.find", lambda name: None)
        for _, code in RECIPES[""]:
            exec(code, names)
    return names


def need(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "fiftyone":
        kinds = dict.fromkeys(("Detection", "Detections"), SimpleNamespace)
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(Sample=lambda filepath: {}, **kinds))
    elif name:
        library(name, "ESAM_EXPECT_RECIPES")
    if name == "segment_anything":
        from sam_models import segment_anything, small_sam

        small = lambda checkpoint: small_sam(side=128, depth=1, layers=1)  # noqa: E731
        monkeypatch.setitem(segment_anything.sam_model_registry, "vit_b", small)


def execute(found: list[tuple[str, str]], names: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run snippets one after another in a folder; the names there are then."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("esam_fast.weights.find", lambda name: None)
    names = dict(names)
    monkeypatch.setitem(sys.modules, "recipe", SimpleNamespace(**names))
    for needed, code in found:
        need(needed, monkeypatch)
        exec(code, names)
    return SimpleNamespace(**names)


def run(heading: str, start: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    return execute(RECIPES[heading], start, folder, monkeypatch)


@pytest.mark.parametrize("heading", [heading for heading in RECIPES if heading])
def test_recipe(heading: str, start: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(heading, start, folder, monkeypatch)


def test_every_wish_has_its_recipe() -> None:
    wishes = "thing under large cut-outs polygons yolo cvat supervision fiftyone model threads gpu panoramas folder"
    text = " ".join(RECIPES).lower()
    assert [wish for wish in wishes.split() if wish not in text] == []


def test_recipes_do_what_they_say(start: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entities: EntityMap = start["entities"]
    assert len(entities) > 3
    found = run("The thing under a point", start, folder, monkeypatch)
    assert found.mask[80, 120]
    run("Cut-outs", start, folder, monkeypatch)
    assert len(list((folder / "cutouts").iterdir())) == len(entities)
    run("YOLO, CVAT, labelme, GeoJSON, COCO", start, folder, monkeypatch)
    recipes = (ROOT / "docs" / "RECIPES.md").read_text(encoding="utf-8")
    for name in re.findall(r"^\| \w+ \| `([\w/.]+)`", recipes, re.MULTILINE):
        assert (folder / "export" / name).is_file(), name
    run("Look at NAME.png", start, folder, monkeypatch)
    with Image.open(folder / "export" / "photo_colours.png") as picture:
        assert np.asarray(picture).mean() > 60
    found = run("A folder, in Python", start, folder, monkeypatch)
    assert isinstance(found.result, EntityMap)
    assert (folder / "export" / "b.png").is_file()
    run("Images to measure on", start, folder, monkeypatch)
    assert sorted(path.name for path in (folder / "bsds").iterdir()) == ["100_1.png", "100_2.png"]
    with Image.open(folder / "bsds" / "100_1.png") as picture:
        assert np.asarray(picture).tolist() == [[1, 1, 2], [1, 2, 2]]


@pytest.mark.parametrize("heading", README)
def test_readme(heading: str, start: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(README[heading], start, folder, monkeypatch)


def test_notebook(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    execute([("", "".join(cell["source"])) for cell in cells], {"__name__": "notebook"}, folder, monkeypatch)
