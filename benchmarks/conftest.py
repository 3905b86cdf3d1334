"""What the benchmarks share: the oracle of the tests on the path, and the environment of peers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers import Environment, open_environment

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


@pytest.fixture(scope="session")
def environment() -> Iterator[Environment | str]:
    found = open_environment()
    yield found
    if isinstance(found, Environment):
        found.close()
