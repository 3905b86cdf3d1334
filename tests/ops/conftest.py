"""The tests of the ops, a file each. Every backend gives the oracle's bytes, with one thread and with two.

They take the fixture `backend`; nothing else has to be said for an op to be tested on every backend, by threads, under
the sanitizers (tests/sanitize.py) and on a GPU (benchmarks/gpu_check.sh).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cases import COUNTS, SHAPES

from esam_fast import get_num_threads, set_num_threads

OTHER_SHAPES = [shape for shape in SHAPES if shape != (13, 21)]


@pytest.fixture(scope="module", autouse=True, params=[1, 2], ids=["one_thread", "two_threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = get_num_threads()
    set_num_threads(request.param)
    yield request.param
    set_num_threads(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One thread where it can differ from two: comparisons with the oracle, on the backends that have threads.

    The emulation runs a GPU's threads one by one: there, most masks on one grid, whose words end in pad bits.
    """

    def wanted(item: pytest.Item) -> bool:
        given = getattr(item, "callspec", None) and item.callspec.params  # type: ignore[attr-defined]
        if not given:
            return True
        if given.get("backend") == "emulated" and given.get("n") == max(COUNTS) and given.get("shape") in OTHER_SHAPES:
            return False
        if given.get("threads") != 1:
            return True
        return "oracle" in item.name and given.get("backend") in ("native", "numba")

    items[:] = [item for item in items if wanted(item)]
