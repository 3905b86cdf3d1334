"""What the benchmarks share: the environment of peers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from peers import Environment, open_environment


@pytest.fixture(scope="session")
def environment() -> Iterator[Environment | str]:
    found = open_environment()
    yield found
    if isinstance(found, Environment):
        found.close()
