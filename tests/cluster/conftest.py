"""Ray on this machine, started for one file of tests and gone after it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = str(Path(__file__).parents[1])


@pytest.fixture(scope="module", autouse=True)
def _workers_find_the_tests_helpers() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", TESTS, prepend=os.pathsep)
        yield
