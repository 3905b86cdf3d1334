"""The import order of the package: nothing imports upward, and torch stays where it belongs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import esam_fast

PACKAGE = Path(esam_fast.__file__).parent
SOURCES = Path(__file__).parents[1] / "csrc"
# The rooms, lowest first. A file imports from rooms before its own and from its own; those of one line may not import
# each other.
LAYERS = [
    "_version",
    "_arrays",
    "_files _limits _prefetch",
    "_check",
    "config grid",
    "_core",
    "_backend",
    "_errors",
    "masks changes",
    "_numba _torch _cuda",
    "ops",
    "superpixels images rle weights polygons records",
    "export",
    "render",
    "entities",
    "stages segmenters",
    "session",
    "views",
    "pipeline",
    "amg",
    "evaluate",
    "profiling",
    "report",
    "runs",
    "cluster",
    "esam_fast",  # the facade: its names, for users
    "cli",
    "__main__",
]
ROW = {room: row for row, rooms in enumerate(LAYERS) for room in rooms.split()}
FILES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """The module's absolute name; a package's is that of its folder."""
    parts = ("esam_fast", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES} | {"esam_fast._core": PACKAGE / "_core.pyi"}


def imports(path: Path, *, at_load: bool = False) -> set[str]:
    """Modules, and names of modules, that a file imports: anywhere in it, or only when it is loaded.

    What stands under TYPE_CHECKING counts as well, the facade's own list of its names apart.
    """
    package = name_of(path).split(".")
    package = package if path.name == "__init__.py" else package[:-1]
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if typing_only and (at_load or path == PACKAGE / "__init__.py"):
            return
        if at_load and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            found.update(f"{base}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def imported_modules(path: Path) -> set[str]:
    """The package's own modules that a file imports; a name of a module that is none stands for its module."""
    own = {name for name in imports(path) if name.split(".")[0] == "esam_fast"}
    return {name if name in MODULES else name.rpartition(".")[0] for name in own} - {name_of(path)}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else module


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_imports_upward(path: Path) -> None:
    own = room_of(name_of(path))
    assert own in ROW, f"{path} is in no layer"
    for module in imported_modules(path):
        room = room_of(module)
        assert room in ROW, f"{path.name} imports {module}, which is in no layer"
        assert room == own or ROW[room] < ROW[own], f"{path.name} ({own}) imports {module} ({room})"


def test_every_room_is_there() -> None:
    assert {room_of(name) for name in MODULES} == set(ROW)


def test_no_import_cycle() -> None:
    """Wherever an import stands, at load or in a function: no file needs a file that needs it."""
    needs = {name: imported_modules(path) for name, path in MODULES.items() if path.suffix == ".py"}
    while free := [n for n in needs if not needs[n] & needs.keys() or not any(n in more for more in needs.values())]:
        for name in free:  # nothing left that it needs, or that needs it: in no circle
            del needs[name]
    assert not needs, f"files that import each other in a circle: {sorted(needs)}"


def test_the_cuda_kernels_know_nothing_of_the_cpus() -> None:
    for path in SOURCES.glob("cuda/*"):
        assert '#include "cpu/' not in path.read_text(encoding="utf-8"), path.name


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_torch_is_imported_only_by_the_sam_segmenters_and_for_tensors(path: Path) -> None:
    heavy = {"torch", "torchvision", "segment_anything", "sam2"} & {
        n.split(".")[0] for n in imports(path, at_load=True)
    }
    parts = path.relative_to(PACKAGE).parts
    if heavy and parts[:2] not in (("segmenters", "sam"), ("segmenters", "sam2")):
        assert (room_of(name_of(path)), heavy) == ("_torch", {"torch"}), f"{path} imports {heavy}"


def test_only_arrays_and_the_gpu_backends_ask_for_torch() -> None:
    """What is handed a tensor may import torch when it is; who that is, is listed here."""
    asking = {
        str(path.relative_to(PACKAGE)) for path in FILES if any(name.split(".")[0] == "torch" for name in imports(path))
    }
    elsewhere = {name for name in asking if not name.startswith(("segmenters/sam/", "segmenters/sam2/", "_torch/"))}
    assert elsewhere == {"_arrays.py", "_cuda.py", "records.py", "profiling/hardware.py"}


@pytest.mark.parametrize("path", sorted((PACKAGE / "stages").glob("*.py")), ids=lambda p: p.name)
def test_stages_do_not_know_each_other_nor_a_segmenter(path: Path) -> None:
    allowed = {"handover", path.stem}
    for name in imports(path):
        assert not name.startswith("esam_fast.segmenters"), f"{path.name} imports {name}"
        if name.startswith("esam_fast.stages."):
            assert name.split(".")[2] in allowed, f"{path.name} imports {name}"


def test_host_and_device_kernels_share_only_what_is_common() -> None:
    sources = Path(__file__).parents[1] / "csrc"
    for folder, others in {"common": ("cpu/", "cuda/"), "cpu": ("cuda/",), "cuda": ("cpu/",)}.items():
        for path in (sources / folder).iterdir():
            included = re.findall(r'#include "([^"]+)"', path.read_text(encoding="utf-8"))
            assert not [name for name in included if name.startswith(others)], path


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


def test_no_two_test_files_have_one_name() -> None:
    """pytest imports them by their names, and ends where two are the same."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_a_wrong_public_name_says_so() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Esan'"):
        _ = esam_fast.Esan
