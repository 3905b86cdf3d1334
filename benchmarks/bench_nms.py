"""Greedy mask NMS and the clustering of the gallery on the realistic load, against the oracle and supervision.

pytest benchmarks/bench_nms.py
"""

from __future__ import annotations

import numpy as np
import oracle_ops
import pytest
import torch
import torchvision
import workloads
from peers import Environment
from pytest_benchmark.fixture import BenchmarkFixture
from race import Peer, race

from esam_fast.ops import cluster_masks, nms

NMS = "Mask NMS at 0.8, realistic load on 256 x 256"
CLUSTERS = "Clustering the gallery at 0.8"


def boxes_alone(masks: workloads.PackedMasks, scores: np.ndarray) -> Peer:
    """torchvision's NMS on boxes: a lower bound on work, not the same result."""
    boxes, values = torch.from_numpy(masks.box).float(), torch.from_numpy(scores)
    return Peer(lambda: torchvision.ops.nms(boxes, values, 0.8))


@pytest.mark.parametrize("n", workloads.SIZES)
def test_nms(benchmark: BenchmarkFixture, environment: Environment | str, n: int) -> None:
    masks, scores = workloads.realistic(n)
    peers: dict[str, Peer | str] = {"torchvision box NMS (boxes only)": boxes_alone(masks, scores)}
    expected: list[np.ndarray] = []
    if n <= 3072:
        bits = masks.to_bool()
        peers["NumPy oracle"] = Peer(lambda: expected.append(oracle_ops.nms(bits, scores, 0.8)), rounds=1)
    if n <= 1000:
        peers["supervision mask NMS"] = environment
        if isinstance(environment, Environment):
            ask = environment.task(
                "mask_nms", masks=bits, predictions=np.column_stack([masks.box, scores]), threshold=0.8
            )
            peers["supervision mask NMS"] = Peer(ask, rounds=2, elsewhere=True)
    kept = race(benchmark, lambda: nms(masks, scores, 0.8), peers, group=NMS, work=f"{n:,} masks", size=n, rounds=15)
    np.testing.assert_array_equal(kept, expected[0] if expected else nms(masks, scores, 0.8, backend="numba"))


@pytest.mark.parametrize("side", [10, 32, 64, 111])
def test_cluster(benchmark: BenchmarkFixture, side: int) -> None:
    gallery = workloads.gallery(side)
    peers: dict[str, Peer | str] = {}
    expected: list[np.ndarray] = []
    if side <= 32:
        bits = gallery.masks.to_bool()
        peers["NumPy oracle"] = Peer(
            lambda: expected.append(oracle_ops.cluster_masks(bits, gallery.scores, 0.8)), rounds=1
        )
    representative = race(
        benchmark, lambda: cluster_masks(gallery.masks, gallery.scores, 0.8), peers,
        group=CLUSTERS, work=f"{side**2:,} masks", size=side**2, rounds=15,
    )  # fmt: skip
    if not expected:
        expected.append(cluster_masks(gallery.masks, gallery.scores, 0.8, backend="numba"))
    np.testing.assert_array_equal(representative, expected[0])
