"""What the masks of a nano SAM and of the simulated SAM are like, on the photographs that are held out.

    python training/mask_statistics.py --weights nano.safetensors --data FOLDER [--images 40] [--threads 2]

FOLDER is laid out as bsds.py says. Prompts are the 32 x 32 points of MMG's grid; the true region of a prompt is the one
under it in the map that the simulation is made from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import bsds
import numpy as np
import torch
from nano_tables import NanoSegmenter, held_out

from esam_fast.config import MmgConfig
from esam_fast.evaluate.simulated import REGIMES, SimulatedSegmenter
from esam_fast.evaluate.table import markdown
from esam_fast.masks import PackedMasks
from esam_fast.ops import intersections, mask_iou
from esam_fast.segmenters.protocol import Segmenter, thresholds
from esam_fast.stages import mmg
from esam_fast.stages.handover import OBJECT, best_levels

SAME = 0.8  # IoU from which two masks agree
NESTED = 0.95  # share of the smaller mask that lies in the larger


def of_image(segmenter: Segmenter, image: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Samples of every statistic of one photograph; `labels` [H, W] are its true regions, 0 for none."""
    embedding, config = segmenter.embed(image), MmgConfig()
    grid, side = embedding.grid, config.points_per_side
    points = grid.point_grid(side)
    answer = segmenter.masks(embedding, points)
    required = thresholds(segmenter, config)
    pixels = np.arange(grid.height * grid.width)
    content = (pixels // grid.width < grid.rows) & (pixels % grid.width < grid.cols)
    on_grid = np.where(content, _at(labels, grid.points(pixels)), 0).reshape(grid.shape).astype(np.int32)
    truth, own = PackedMasks.from_labels(on_grid - 1, int(labels.max())), _at(labels, points)
    annotated = own > 0
    mine = np.repeat(np.maximum(own, 1) - 1, 3)  # the true region of each mask's prompt
    iou = mask_iou(answer.masks, truth)[np.arange(len(mine)), mine].reshape(-1, 3)

    objects = answer.masks.take(np.arange(OBJECT, len(mine), 3))
    place = np.arange(len(points)).reshape(side, side)
    right, below = ((place[:, :-1], place[:, 1:]), (place[:-1], place[1:]))
    one, other = (np.concatenate([a.ravel(), b.ravel()]) for a, b in zip(right, below, strict=True))
    alike = annotated[one] & (own[one] == own[other])
    agreement = mask_iou(objects, objects)[one[alike], other[alike]]

    area = answer.masks.area.reshape(-1, 3)
    bits = answer.masks.to_bool().reshape(len(points), 3, -1)
    nested = (bits[:, :2] & bits[:, 1:]).sum(axis=2) >= NESTED * area[:, :2]
    passing = (answer.scores >= required.score) & (answer.stability >= required.stability) & (area > 0)
    listed = mmg.object_masks(answer, points, MmgConfig(enabled=False), required)
    whole = mmg.object_level(answer, points, config, required)
    found = {
        "scores": answer.scores[annotated], "iou": iou[annotated],
        "area": (area / (grid.rows * grid.cols))[annotated],
        "passing": passing.ravel(), "disagree": agreement < SAME, "nested": nested.all(axis=1),
        "preferred": best_levels(answer.scores),
    }  # fmt: skip
    for name, masks in (("list", listed.masks), ("objects", whole.masks)):
        cover = masks.to_bool()[:, : grid.rows, : grid.cols].sum(axis=0)
        found[f"{name} length"] = np.array([len(masks)])
        found[f"{name} covered"], found[f"{name} twice"] = (cover >= 1).ravel(), (cover >= 2).ravel()
        i, j = np.triu_indices(len(masks), 1)
        common = intersections(masks, masks)[i, j]
        inside = common >= NESTED * np.minimum(masks.area[i], masks.area[j])
        found[f"{name} pairs"] = np.stack([common == 0, inside, (common > 0) & ~inside], axis=1)
    found["list scores"] = listed.scores
    return found


def _at(labels: np.ndarray, points: np.ndarray) -> np.ndarray:
    col, row = points.astype(np.int64).T
    return labels[row.clip(0, labels.shape[0] - 1), col.clip(0, labels.shape[1] - 1)]


def summary(samples: list[dict[str, np.ndarray]]) -> dict[str, str]:
    """The table's column of one segmenter, over all photographs."""
    every = {name: np.concatenate([one[name] for one in samples]) for name in samples[0]}
    scores, iou, area = every["scores"], every["iou"], every["area"]

    def percent(name: str, axis: int | None = None) -> str:
        return " / ".join(f"{100 * value:.0f}" for value in np.atleast_1d(every[name].mean(axis=axis)))

    def correlation(a: np.ndarray, b: np.ndarray) -> str:
        vary = np.ptp(a) > 0 and np.ptp(b) > 0
        return f"{np.corrcoef(a.ravel(), b.ravel())[0, 1]:.2f}" if vary else "-"

    rows = {
        "masks that pass the filter, %": percent("passing"),
        "object masks of neighbouring prompts in one true region with IoU < 0.8, %": percent("disagree"),
        "prompts whose three masks nest, %": percent("nested"),
        "preferred: subpart / part / object, %": " / ".join(
            f"{100 * (every['preferred'] == k).mean():.0f}" for k in range(3)
        ),
        "mean score: subpart / part / object": " / ".join(f"{value:.2f}" for value in scores.mean(axis=0)),
        "mean true IoU: subpart / part / object": " / ".join(f"{value:.2f}" for value in iou.mean(axis=0)),
        "correlation of score and true IoU, all masks": correlation(scores, iou),
        "the same within subpart / part / object": " / ".join(
            correlation(scores[:, k], iou[:, k]) for k in range(3)
        ),
        "correlation of score and log area, all masks": correlation(scores, np.log(area + 1e-4)),
    }  # fmt: skip
    for name, words in (("list", "AMG's list"), ("objects", "MMG's object masks")):
        covered, twice = f"{name} covered", f"{name} twice"
        rows |= {
            f"{words}: masks a photograph": f"{every[f'{name} length'].mean():.0f}",
            f"{words}: pixels covered / at least twice, %": f"{percent(covered)} / {percent(twice)}",
            f"{words}: pairs disjoint / nested / otherwise touching, %": percent(f"{name} pairs", 0),
        }
    low, middle = every["list scores"].min(), np.median(every["list scores"])
    rows["AMG's list: scores, median / least / above 1"] = (
        f"{middle:.3f} / {low:.3f} / {100 * (every['list scores'] > 1).mean():.0f} %"
    )
    return rows


def main() -> None:
    """Ask nano and the simulated SAM, and print their statistics."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, help="the first ones only")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    nano = NanoSegmenter(args.weights)
    found: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in ("nano", *REGIMES)}
    for truth in held_out(args.data, args.images):
        image, _ = bsds.read(args.data, str(truth.image_id))
        labels = truth.label_map()
        found["nano"].append(of_image(nano, image, labels))
        for name, faults in REGIMES.items():
            simulated = SimulatedSegmenter(labels, str(truth.image_id), faults)
            found[name].append(of_image(simulated, image, labels))
    columns = [summary(samples) for samples in found.values()]
    head = ["", "nano", *(f"simulated, {name!r}" for name in REGIMES)]
    print(markdown(head, [[row, *(column[row] for column in columns)] for row in columns[0]]))


if __name__ == "__main__":
    main()
