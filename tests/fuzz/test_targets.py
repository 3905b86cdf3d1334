"""Every fuzz target takes its seeds, and a few hundred changes of them: run.py goes on from there."""

from __future__ import annotations

import numpy as np
import pytest
from calls import CALLS
from targets import TARGETS, mutate_bytes

from esam_fast import ops


@pytest.mark.filterwarnings("ignore::esam_fast.images.ImageWarning")
@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_what_is_near_them(name: str) -> None:
    target = TARGETS[name]
    seeds = list(target.seeds())
    assert seeds
    for data in seeds:
        target.run(data)
    rng = np.random.default_rng(0)
    for _ in range(300):
        data = seeds[rng.integers(len(seeds))]
        for _ in range(rng.integers(1, 4)):
            data = (target.mutate or mutate_bytes)(data, rng)
        target.run(data)


def test_every_op_is_called() -> None:
    assert set(ops.__all__) <= set(CALLS)
