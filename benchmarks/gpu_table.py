"""The CUDA kernels timed beside the native ones, each result checked first; writes tables in Markdown.

    python benchmarks/gpu_table.py OUT.md [--backend cuda] [--small]

On the GPU a time is that of a call with masks that live there, its small results brought to the host, as the stages
make it; the medians of several calls. `--backend torch --small` rehearses it on a machine without a GPU.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import workloads
from clock import median_ms, seconds

from esam_fast import Esam, EsamConfig, MaskGrid, PackedMasks, _arrays, ops
from esam_fast.evaluate.caching import CachingSegmenter
from esam_fast.masks import by_score

ROUNDS = 7


def on_host(result: Any) -> list[np.ndarray]:
    """Every array of an op's result, in NumPy."""
    if isinstance(result, PackedMasks):
        return [result.to(None).words, result.area, result.box]
    if isinstance(result, tuple):
        return [array for part in result for array in on_host(part)]
    return [_arrays.host(result)]


def operations(n: int, device: Any, backend: str) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """Of n masks, by name: the call on the device, and the same call on the host."""
    masks, scores = workloads.realistic(n)
    dense = workloads.dense(min(n, 1024))
    planes = workloads.logits(n)
    words, planes_there = _arrays.move(masks.words, device), _arrays.move(planes, device)
    rng = np.random.default_rng(4)
    density = rng.random(masks.shape)
    few = np.arange(min(n, 300))
    guides, pixels = workloads.gallery(), workloads.segmenter().grid
    points = pixels.pixels(pixels.point_grid(64))
    votes = rng.integers(-1, len(guides), len(points))
    features = rng.integers(-127, 128, (min(n, 2000), 256)).astype(np.int16)
    none = PackedMasks.from_bool(np.zeros((1, *masks.shape), np.bool_))

    def pair(op: Callable[..., Any], *arguments: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
        there = [a.to(device) if isinstance(a, PackedMasks) else a for a in arguments]
        return lambda: op(*there, backend=backend), lambda: op(*arguments)

    split = (masks.take(few), scores[few], points, votes, guides.masks, guides.scores, 0.05)
    return {
        "mask_iou, dense": pair(ops.mask_iou, dense, dense),
        "max_iou": pair(ops.max_iou, masks, masks.take(few)),
        "nms": pair(ops.nms, masks, scores, 0.8),
        "cluster_masks": pair(ops.cluster_masks, masks, scores, 0.8),
        "mask_mean": pair(ops.mask_mean, masks, density),
        "measure": (
            lambda: ops.measure(words, masks.shape, backend=backend),
            lambda: ops.measure(masks.words, masks.shape),
        ),
        "pack_logits": (lambda: ops.pack_logits(planes_there, backend=backend), lambda: ops.pack_logits(planes)),
        "split_overlaps, 300": pair(ops.split_overlaps, *split),
        "greedy_cover, 300": pair(ops.greedy_cover, masks.take(few), scores[few], none, 20.0),
        "top_k_similarity, 2000": pair(ops.top_k_similarity, features, 10),
    }


def op_rows(sizes: tuple[int, ...], device: Any, backend: str) -> list[str]:
    """One line an op and size."""
    lines = ["| op | masks | GPU ms | native ms | ratio |", "|---|---|---|---|---|"]
    for n in sizes:
        for name, (there, here) in operations(n, device, backend).items():
            for got, expected in zip(on_host(there()), on_host(here()), strict=True):
                np.testing.assert_array_equal(got, expected, err_msg=f"{name}, {n} masks")
            gpu = median_ms(there)
            native = seconds(here) * 1e3
            lines.append(f"| {name} | {n} | {gpu:.3f} | {native:.2f} | {native / gpu:.1f} |")
    return lines


def drawing_row(device: Any, backend: str, small: bool) -> list[str]:
    """150 planes on 6 megapixels, without the copy of the labels to the host and with it."""
    height, width = (200, 300) if small else (2000, 3000)
    planes = workloads.logits(150)[by_score(np.arange(150, dtype=np.float32))]
    grid = MaskGrid(256, 256, 256 * 2 / 3, 256.0, height, width)
    there = _arrays.move(planes, device)
    drawn = _arrays.host(ops.draw_labels(there, grid, backend=backend))
    different = float((drawn != ops.draw_labels(planes, grid)).mean())
    assert different == 0, f"{different:.2%} of the pixels differ"
    alone = median_ms(lambda: ops.draw_labels(there, grid, backend=backend))
    copied = median_ms(lambda: _arrays.host(ops.draw_labels(there, grid, backend=backend)))
    return [
        "",
        f"Drawing 150 planes on {height * width / 1e6:g} megapixels: {alone:.3f} ms (target on an H200: 2 ms), "
        f"{copied:.3f} ms with the labels brought to the host.",
    ]


def stage_rows(device: Any, small: bool) -> list[str]:
    """The stages on the device and on the host, and the same label map from both."""
    image = np.random.default_rng(5).integers(0, 256, (1024, 1024, 3), np.uint8)
    image = np.kron(image[::32, ::32], np.ones((32, 32, 1), np.uint8))
    config = EsamConfig()
    if small:
        mmg, emr = replace(config.mmg, points_per_side=8), replace(config.emr, points_per_side=12)
        config = replace(config, mmg=mmg, emr=emr)
    maps, rows = [], ["", "| stages, ms | mmg | emr | usr | sum | draw |", "|---|---|---|---|---|---|"]
    for place in (device, None):
        esam = Esam(CachingSegmenter(workloads.segmenter(), place), config)
        maps.append(esam.segment(image))
        timings = [esam.segment(image).timings for _ in range(ROUNDS)]
        spent = [statistics.median(t[stage] * 1e3 for t in timings) for stage in ("mmg", "emr", "usr", "draw")]
        columns = " | ".join(f"{ms:.2f}" for ms in [*spent[:3], sum(spent[:3]), spent[3]])
        rows.append(f"| {'host' if place is None else place} | {columns} |")
    assert np.array_equal(maps[0].labels, maps[1].labels), "the label maps differ"
    assert np.array_equal(maps[0].scores, maps[1].scores), "the scores differ"
    return [*rows, "", f"Target on an H200: 15 ms for the sum. {len(maps[0])} entities, the same map from both."]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--backend", choices=["cuda", "torch"], default="cuda")
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    assert device.type == "cuda" or arguments.backend == "torch", "no GPU"
    name = torch.cuda.get_device_name() if device.type == "cuda" else "a CPU"
    lines = [f"## {arguments.backend} on {name}, torch {torch.__version__}", ""]
    lines += op_rows(workloads.SIZES[:1] if arguments.small else workloads.SIZES[:3], device, arguments.backend)
    lines += drawing_row(device, arguments.backend, arguments.small)
    lines += stage_rows(device, arguments.small)
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} lines in {arguments.out}; every result was the native one")


if __name__ == "__main__":
    main()
