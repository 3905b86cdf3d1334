"""Logits to bits with area, box and stability, against the memory's own pace and NumPy.

pytest benchmarks/bench_packing.py
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import oracle_ops
import pytest
import workloads
from pytest_benchmark.fixture import BenchmarkFixture
from race import Peer, race

from esam_fast import get_num_threads
from esam_fast.ops import pack_logits

GROUP = "Packing logit planes of 256 x 256 with area, box and stability"


@pytest.mark.parametrize("n", workloads.SIZES)
def test_packing(benchmark: BenchmarkFixture, n: int) -> None:
    logits = workloads.logits(n)
    parts = np.array_split(logits, get_num_threads())
    with ThreadPoolExecutor(len(parts)) as pool:
        peers: dict[str, Peer | str] = {
            "reading the planes (maximum, all threads)": Peer(lambda: list(pool.map(np.max, parts)), rounds=15)
        }
        if n <= 1000:
            peers["NumPy: compare, packbits, count"] = Peer(lambda: with_numpy(logits), rounds=2)
        masks, stability = race(
            benchmark, lambda: pack_logits(logits), peers, group=GROUP, work=f"{n:,} planes", size=n,
            rounds=15 if n < 4000 else 5, amount=(logits.nbytes, "B read"),
        )  # fmt: skip
    bits, expected = oracle_ops.pack_logits(logits[:64])
    np.testing.assert_array_equal(masks.take(np.arange(len(bits))).to_bool(), bits)
    np.testing.assert_array_equal(stability[:64], expected)


def with_numpy(logits: np.ndarray) -> None:
    bits = logits > 0
    np.packbits(bits.reshape(len(bits), -1), axis=1, bitorder="little")
    bits.sum(axis=(1, 2))
    (logits > 1).sum(axis=(1, 2)) / np.maximum((logits > -1).sum(axis=(1, 2)), 1)
    bits.any(axis=1), bits.any(axis=2)
