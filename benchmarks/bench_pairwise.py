"""Mask IoU of all pairs, where nothing can be pruned and on the realistic load, against RLE and a matrix product.

pytest benchmarks/bench_pairwise.py
"""

from __future__ import annotations

import faster_coco_eval.core.mask as faster
import numpy as np
import oracle_ops
import pycocotools.mask
import pytest
import torch
import workloads
from pytest_benchmark.fixture import BenchmarkFixture
from race import Peer, race

from esam_fast.ops import intersections, mask_iou, max_iou

DENSE = "Pairwise IoU, dense: masks over all of 256 x 256, every pair counted"
REALISTIC = "Best match (Eqs. 2 and 10), realistic load"


@pytest.mark.parametrize("load", ["dense", "realistic"])
def test_peers(benchmark: BenchmarkFixture, load: str) -> None:
    n, some = 1024, 128
    masks = workloads.dense(n) if load == "dense" else workloads.realistic(n)[0]
    bits = masks.to_bool()
    flat = torch.from_numpy(bits.reshape(n, -1)).float()
    columns = np.asfortranarray(bits.transpose(1, 2, 0).astype(np.uint8))
    ours_rle, fast_rle = pycocotools.mask.encode(columns), faster.encode(columns)
    crowd = np.zeros(n, np.uint8)

    def product() -> np.ndarray:
        common = flat @ flat.T
        area = flat.sum(1)
        return (common / (area[:, None] + area[None] - common)).numpy()

    peers: dict[str, Peer | str] = {
        "torch float32 matmul": Peer(product, rounds=5),
        "pycocotools RLE": Peer(lambda: pycocotools.mask.iou(ours_rle[:some], ours_rle, crowd), some / n, 3),
        "faster-coco-eval RLE": Peer(lambda: faster.iou(fast_rle[:some], fast_rle, crowd), some / n, 3),
    }
    iou = race(
        benchmark, lambda: mask_iou(masks, masks), peers,
        group="Pairwise IoU, 1,024 x 1,024 masks on 256 x 256", work=load, rounds=15, amount=(n * n, "pairs"),
    )  # fmt: skip
    np.testing.assert_array_equal(iou[:some], pycocotools.mask.iou(ours_rle[:some], ours_rle, crowd))
    np.testing.assert_allclose(iou, product(), rtol=1e-6)


@pytest.mark.parametrize("n", workloads.SIZES)
def test_dense(benchmark: BenchmarkFixture, n: int) -> None:
    masks = workloads.dense(n)
    common = race(
        benchmark, lambda: intersections(masks, masks), group=DENSE, work=f"{n:,} x {n:,}",
        size=n, rounds=9 if n < 4000 else 2, amount=(n * n, "pairs"),
    )  # fmt: skip
    some = np.random.default_rng(0).integers(0, n, 40)
    bits = masks.take(some).to_bool()
    np.testing.assert_array_equal(common[np.ix_(some, some)], oracle_ops.intersections(bits, bits))


@pytest.mark.parametrize("side", [64, 128, 256, 512])
def test_pixels(benchmark: BenchmarkFixture, side: int) -> None:
    masks = workloads.dense(512, side)
    common = race(
        benchmark, lambda: intersections(masks, masks), group="Pairwise intersections, 512 x 512: pixels",
        work=f"{side} x {side} pixels", size=side * side, amount=(512 * 512, "pairs"),
    )  # fmt: skip
    bits = masks.take(np.arange(8)).to_bool()
    np.testing.assert_array_equal(common[:8, :8], oracle_ops.intersections(bits, bits))


@pytest.mark.parametrize("n", workloads.SIZES)
def test_best_match(benchmark: BenchmarkFixture, n: int) -> None:
    masks, _ = workloads.realistic(n)
    others = workloads.gallery(32).masks
    best, index = race(
        benchmark, lambda: max_iou(masks, others), group=REALISTIC, work=f"{n:,} masks with 1,024", size=n
    )
    some = slice(0, 60)
    expected, at = oracle_ops.max_iou(masks.take(np.arange(60)).to_bool(), others.to_bool())
    np.testing.assert_array_equal(best[some], expected)
    np.testing.assert_array_equal(index[some], at)
