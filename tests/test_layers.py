"""The import order of the package: nothing imports upward, and torch stays where it belongs."""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import esam_fast

PACKAGE = Path(esam_fast.__file__).parent
# A module may import from its own row and the rows above it.
LAYERS = [
    {"config", "masks", "_arrays", "_check", "_backend", "_core", "_files", ""},
    {"_numba", "_torch", "_cuda"},
    {"ops"},
    {"superpixels", "images", "rle", "export", "weights"},
    {"stages", "segmenters"},
    {"pipeline", "render", "scene"},
    {"amg", "evaluate", "profiling", "batch"},
    {"cli"},
]
ROW = {room: row for row, rooms in enumerate(LAYERS) for room in rooms}


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imports(path: Path, *, at_load: bool) -> list[str]:
    """Absolute names of the modules a file imports: all of them, or those imported when it is loaded."""
    here = ["esam_fast", *path.relative_to(PACKAGE).with_suffix("").parts]
    found: list[str] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if at_load and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join([*here[: len(here) - node.level], node.module or ""]).rstrip(".")
                if node.level
                else node.module
            )
            found.extend(f"{base}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_imports_upward(path: Path) -> None:
    own = room_of(path)
    assert own in ROW, f"{path} is in no layer"
    for name in imports(path, at_load=True):
        parts = name.split(".")
        if parts[0] != "esam_fast":
            continue
        room = parts[1] if len(parts) > 1 and parts[1] in ROW else ""
        assert ROW[room] <= ROW[own], f"{path.name} ({own}) imports {name} ({room})"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_torch_is_imported_only_by_the_sam_segmenter_and_for_tensors(path: Path) -> None:
    heavy = {"torch", "torchvision", "segment_anything"} & {n.split(".")[0] for n in imports(path, at_load=True)}
    parts = path.relative_to(PACKAGE).parts
    if heavy and parts[:2] != ("segmenters", "sam"):
        assert (room_of(path), heavy) == ("_torch", {"torch"}), f"{path} imports {heavy}"


def test_only_arrays_and_the_gpu_backends_ask_for_torch() -> None:
    """What is handed a tensor may import torch when it is; who that is, is listed here."""
    asking = {
        str(path.relative_to(PACKAGE))
        for path in FILES
        if any(name.split(".")[0] == "torch" for name in imports(path, at_load=False))
    }
    elsewhere = {name for name in asking if not name.startswith(("segmenters/sam/", "_torch/"))}
    assert elsewhere == {"_arrays.py", "_cuda.py", "amg.py", "profiling.py"}


@pytest.mark.parametrize("path", sorted((PACKAGE / "stages").glob("*.py")), ids=lambda p: p.name)
def test_stages_do_not_know_each_other_nor_a_segmenter(path: Path) -> None:
    allowed = {"handover", path.stem}
    for name in imports(path, at_load=False):
        assert not name.startswith("esam_fast.segmenters"), f"{path.name} imports {name}"
        if name.startswith("esam_fast.stages."):
            assert name.split(".")[2] in allowed, f"{path.name} imports {name}"


def run(code: str) -> str:
    """What the code prints, run where no source tree is on the path."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tempfile.gettempdir()).stdout


def test_importing_the_package_loads_no_torch_numba_or_cv2() -> None:
    loaded = run("import sys, esam_fast; print(*sys.modules)").split()
    assert not {"torch", "numba", "cv2", "PIL", "click"} & set(loaded)


def test_a_native_op_loads_no_numba() -> None:
    if "native" not in esam_fast.build_info()["backends"]:
        pytest.skip("no native module: numba serves")
    code = (
        "import sys, numpy as np; from esam_fast import PackedMasks; from esam_fast.ops import mask_iou;"
        "m = PackedMasks.from_bool(np.ones((2, 3, 4), bool)); mask_iou(m, m); print(*sys.modules)"
    )
    assert "numba" not in run(code).split()


def test_every_public_name_resolves() -> None:
    for name in esam_fast.__all__:
        assert getattr(esam_fast, name) is not None


def test_a_wrong_public_name_says_so() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Esan'"):
        _ = esam_fast.Esan
