"""The backends under test. A backend named in ESAM_EXPECT_BACKENDS must be here: its absence is a failure."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import settings

from esam_fast._backend import available

settings.register_profile("tests", deadline=None, derandomize=True, max_examples=40, print_blob=True)
settings.load_profile("tests")

EXPECTED = [name for name in os.environ.get("ESAM_EXPECT_BACKENDS", "").split(",") if name]
HERE = [name for name in available() if name != "cuda"]


@pytest.fixture(scope="session", params=list(dict.fromkeys(EXPECTED + HERE)) or ["none"])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param not in HERE:
        pytest.fail(f"backend {request.param!r} is expected and not available; available: {', '.join(HERE)}")
    return request.param


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)
