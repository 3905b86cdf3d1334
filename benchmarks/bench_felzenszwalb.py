"""Superpixels, against scikit-image's and OpenCV contrib's; and against pixels.

pytest benchmarks/bench_felzenszwalb.py
"""

from __future__ import annotations

import numpy as np
import oracle_ops
import pytest
from peers import Environment
from pytest_benchmark.fixture import BenchmarkFixture
from race import Peer, race
from scene import scene
from skimage.segmentation import felzenszwalb as scikit_image

from esam_fast.ops import felzenszwalb

GROUP = "Felzenszwalb superpixels (scale 100, sigma 0.8, least size 50)"


@pytest.mark.parametrize("side", [256, 512, 1024, 2048])
def test_felzenszwalb(benchmark: BenchmarkFixture, environment: Environment | str, side: int) -> None:
    image = scene(side, side)
    peers: dict[str, Peer | str] = {}
    if side == 1024:
        peers["scikit-image"] = Peer(lambda: scikit_image(image, 100, 0.8, 50), rounds=3)
        peers["OpenCV contrib"] = environment
        if isinstance(environment, Environment):
            ask = environment.task("felzenszwalb", image=image, sigma=0.8, scale=100, min_size=50)
            peers["OpenCV contrib"] = Peer(ask, rounds=7, elsewhere=True)
    labels = race(
        benchmark, lambda: felzenszwalb(image), peers, group=GROUP, work=f"{side} x {side}", size=side * side,
        rounds=11, amount=(side * side, "pixels"),
    )  # fmt: skip
    np.testing.assert_array_equal(labels, felzenszwalb(image, backend="numba"))
    part = image[:120, :150]
    np.testing.assert_array_equal(felzenszwalb(part), oracle_ops.felzenszwalb(part))
