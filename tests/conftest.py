"""The backends under test. A backend named in ESAM_EXPECT_BACKENDS must be here: its absence is a failure.

"emulated" is the CUDA backend with its kernels run on the CPU (tests/emulated_cuda.py); it is here, or fails loudly,
where the native module is. "cuda" is the same on a GPU.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pytest
from hypothesis import settings

from esam_fast import _backend, _cuda
from esam_fast._backend import available

if "ESAM_TEST_CORE" in os.environ:  # a native module built otherwise; see sanitize_native.py
    spec = spec_from_file_location("esam_fast._core", os.environ["ESAM_TEST_CORE"])
    assert spec is not None
    assert spec.loader is not None
    sys.modules["esam_fast._core"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["esam_fast._core"])

for own in ("HF_HUB_CACHE", "ESAM_WEIGHTS_DIR"):  # models that this user has are none of the tests'
    os.environ[own] = os.devnull
for name in ("no_proxy", "NO_PROXY"):  # the tests' own servers are on this machine
    os.environ[name] = "127.0.0.1,localhost"
SEED = os.environ.get("ESAM_TEST_SEED")  # fresh inputs; without it they are always the same
settings.register_profile("tests", deadline=None, derandomize=SEED is None, max_examples=40, print_blob=True)
settings.load_profile("tests")

EXPECTED = [name for name in os.environ.get("ESAM_EXPECT_BACKENDS", "").split(",") if name]
HERE = [*available(), *(["emulated"] if "native" in [*available(), *EXPECTED] else [])]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backend", metavar="NAME", help="Only the tests that run on this backend.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The slow backends run the tests of the ops, and torch some whole images; the others would take them minutes."""
    only = config.getoption("backend")

    def wanted(item: pytest.Item) -> bool:
        given = item.callspec.params.get("backend") if hasattr(item, "callspec") else None
        if only not in (None, given):
            return False
        if item.path.parent.name == "ops" or given not in ("emulated", "torch"):
            return True
        return given == "torch" and item.name.startswith("test_every_switch")

    items[:] = [item for item in items if wanted(item)]


@pytest.fixture(scope="module", params=list(dict.fromkeys(EXPECTED + HERE)) or ["none"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param not in HERE:
        pytest.fail(f"backend {request.param!r} is expected and not available; available: {', '.join(HERE)}")
    if request.param == "cuda":
        with pytest.MonkeyPatch.context() as patch:  # what a kernel does not write shows
            empty = _cuda.TorchMemory.empty
            patch.setattr(_cuda.TorchMemory, "empty", lambda self, size: empty(self, size).fill_(0xA5))
            yield request.param
        return
    if request.param != "emulated":
        yield request.param
        return
    import emulated_cuda

    kernels = emulated_cuda.kernels(request.config.cache.mkdir("emulated_cuda"))
    is_here = _backend._is_here
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_backend, "_is_here", lambda name: name == "cuda" or is_here(name))
        patch.setitem(_backend._RUN, "cuda", lambda file, name, *arguments: kernels.run(name, *arguments))
        patch.setitem(_backend._DEVICES, "cuda", None)
        yield "cuda"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(int(SEED or 20240229))
