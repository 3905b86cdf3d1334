"""The ten most similar of n centroids with 256 features, against torch.topk of the similarity matrix.

pytest benchmarks/bench_topk.py
"""

from __future__ import annotations

import numpy as np
import oracle_ops
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from race import Peer, race

from esam_fast.ops import top_k_similarity
from esam_fast.ops.topk import unit_features


@pytest.mark.parametrize("n", [500, 1000, 2000, 4000])
def test_top_k(benchmark: BenchmarkFixture, n: int) -> None:
    features = np.random.default_rng(0).normal(size=(n, 256)).astype(np.float32)
    units, floats = unit_features(features), torch.from_numpy(features)
    peers: dict[str, Peer | str] = {"torch.topk(F @ F.T)": Peer(lambda: torch.topk(floats @ floats.T, 10))}
    index, value = race(
        benchmark, lambda: top_k_similarity(units, 10), peers,
        group="Top 10 of n centroids x 256", work=f"{n:,} centroids", size=n, rounds=25, amount=(n * n, "products"),
    )  # fmt: skip
    expected_index, expected_value = oracle_ops.top_k_similarity(units, 10)
    np.testing.assert_array_equal(index, expected_index)
    np.testing.assert_array_equal(value, expected_value)
