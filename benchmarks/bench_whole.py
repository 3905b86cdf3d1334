"""An image to entities with ViT-B on a CPU, beside segment_anything's SamAutomaticMaskGenerator; prints one table.

    python benchmarks/bench_whole.py [--runs 1] [--rows emr.votes_per_cell=0 emr.votes_per_cell=4] [--image FILE]

Weights are random, and the masks that come of them meaningless: both sides do the work of their encoder and decoder.
Our stages are given a simulated SAM's masks, as `esam-fast profile --load simulated` has it; what these cost is not
timed. The official generator sorts out its own masks. Its threshold of predicted IoU is set such that as many pass as
in the simulation at the usual thresholds, and its threshold of stability such that all do. All take turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segment_anything import SamAutomaticMaskGenerator, sam_model_registry

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from scene import scene

from esam_fast import Esam, EsamConfig
from esam_fast.cli.overrides import with_overrides
from esam_fast.evaluate.simulated_load import simulated_load, simulation
from esam_fast.evaluate.table import markdown
from esam_fast.images import load_image
from esam_fast.segmenters.sam import SamSegmenter


class Worker:
    """A segmenter whose answers nobody needs: counts its prompts, and decodes none while it rests."""

    def __init__(self, segmenter: SamSegmenter) -> None:
        self._segmenter = segmenter
        self.name, self.device = segmenter.name, segmenter.device
        self.score_threshold, self.stability_threshold = segmenter.score_threshold, segmenter.stability_threshold
        self.rests = False
        self.prompts = 0

    def embed(self, image: np.ndarray) -> Any:
        return self._segmenter.embed(image)

    def masks(self, embedding: Any, points: np.ndarray, *, min_score: float | None = None) -> Any:
        self.prompts += len(points)
        return None if self.rests else self._segmenter.masks(embedding, points, min_score=min_score)

    def logits(self, embedding: Any, points: np.ndarray, channels: np.ndarray) -> Any:
        return None if self.rests else self._segmenter.logits(embedding, points, channels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1, help="of each; the table has medians")
    parser.add_argument(
        "--rows", nargs="+", default=["emr.votes_per_cell=0", "emr.votes_per_cell=4"], metavar="NAME=VALUE,...",
        help="a row of ours each, by what differs from the usual config; '' for nothing",
    )  # fmt: skip
    parser.add_argument("--image", help="else a drawn scene of 1200 x 800 pixels")
    parser.add_argument("--points-per-side", type=int, default=32, help="of the official generator")
    arguments = parser.parse_args()
    image = load_image(arguments.image) if arguments.image else scene(1200, 800)

    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]().eval()
    worker = Worker(SamSegmenter(sam))
    load = simulated_load(worker, image)
    ours = {name: esam(load, name) for name in arguments.rows}
    side = arguments.points_per_side
    passing, masks = passing_in_simulation(worker, image, side)
    generator = official_generator(sam, worker, image, side, passing / masks)

    prompts, found = {"official": side**2}, {}
    worker.rests = True
    for name, each in ours.items():  # the simulation remembers its answers
        worker.prompts = 0
        each.segment(image)
        prompts[name] = worker.prompts
    worker.rests = False
    calls: dict[str, Callable[[], Any]] = {"official": lambda: generator.generate(image)}
    calls |= {name: lambda each=each: each.segment(image) for name, each in ours.items()}  # type: ignore[misc]
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(arguments.runs):
        for name, call in calls.items():
            start, cpu = time.perf_counter(), time.process_time()
            found[name] = len(call())
            spent[name].append((time.perf_counter() - start, time.process_time() - cpu))

    median = {name: [statistics.median(column) for column in zip(*runs, strict=True)] for name, runs in spent.items()}
    rows = [
        [
            "SamAutomaticMaskGenerator" if name == "official" else f"esam_fast {name}".strip(),
            f"{prompts[name]:,}", str(found[name]), f"{wall:.1f}", f"{cpu:.1f}", f"{median['official'][0] / wall:.1f}",
        ]
        for name, (wall, cpu) in median.items()
    ]  # fmt: skip
    print(
        f"{image.shape[1]} x {image.shape[0]} pixels, ViT-B with random weights, float32, {torch.get_num_threads()} "
        f"threads, torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()}), {arguments.runs} runs, load "
        f"average {os.getloadavg()[0]:.1f}. Masks: a simulated SAM's for esam_fast; random ones for the official "
        f"generator, whose threshold lets {passing:,} of {masks:,} pass, as many as the simulation's.\n"
    )
    print(markdown(["", "prompts", "records", "seconds", "CPU seconds", "times faster"], rows))


def esam(load: Any, settings: str) -> Esam:
    """The pipeline with settings NAME=VALUE,... ."""
    return Esam(load, with_overrides(EsamConfig(), [each for each in settings.split(",") if each]))


def passing_in_simulation(worker: Worker, image: np.ndarray, side: int) -> tuple[int, int]:
    """How many masks of the simulation, at side x side points, pass the usual thresholds; and of how many."""
    simulated, _ = simulation(image)
    embedding = simulated.embed(image)
    answer = simulated.masks(embedding, embedding.grid.point_grid(side))
    passes = (answer.scores >= worker.score_threshold) & (answer.stability >= worker.stability_threshold)
    return int(passes.sum()), passes.size


def official_generator(
    sam: Any, worker: Worker, image: np.ndarray, side: int, share: float
) -> SamAutomaticMaskGenerator:
    """The official generator with a threshold of predicted IoU that this share of its masks reaches."""
    embedding = worker.embed(image)
    scores = worker.masks(embedding, embedding.grid.point_grid(side)).scores
    threshold = float(np.quantile(scores, 1 - share))
    return SamAutomaticMaskGenerator(sam, points_per_side=side, pred_iou_thresh=threshold, stability_score_thresh=0.0)


if __name__ == "__main__":
    main()
