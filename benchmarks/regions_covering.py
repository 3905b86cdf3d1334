"""Covering of the segmenter "regions" on photographs with human segmentations: its tree, AMG-style, and E-SAM.

    python benchmarks/regions_covering.py --data FOLDER [--ids ID,ID | --every N]

FOLDER is laid out as training/bsds.py says; without --ids the photographs held out there are measured.
Covering: mean over a person's regions, weighted by area, of the best IoU with a predicted region; then the mean over
people, and over photographs.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from esam_fast import Esam, EsamConfig, MaskGrid
from esam_fast.evaluate.covering import covering
from esam_fast.ops import nms
from esam_fast.segmenters.regions import RegionsSegmenter
from esam_fast.segmenters.regions.hierarchy import hierarchy

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import bsds
from tree_covering import LEVELS, at_levels, overlaps

CONFIGS = {
    "E-SAM": EsamConfig(),
    "E-SAM without EMR": replace(EsamConfig(), emr=replace(EsamConfig().emr, enabled=False)),
    "E-SAM without USR": replace(EsamConfig(), usr=replace(EsamConfig().usr, enabled=False)),
}


def amg_style(image: np.ndarray, segmenter: RegionsSegmenter) -> np.ndarray:
    """The best mask of each of 32 x 32 points, filtered, NMS at 0.7, painted by score."""
    embedding = segmenter.embed(image)
    grid: MaskGrid = embedding.grid
    answer = segmenter.masks(embedding, grid.point_grid(32))
    best = np.arange(len(answer)) * 3 + answer.scores.argmax(axis=1)
    scores = answer.scores.ravel()[best]
    keep = (scores >= segmenter.score_threshold) & (answer.stability.ravel()[best] >= segmenter.stability_threshold)
    masks, scores = answer.masks.take(best[keep]), scores[keep]
    labels = np.zeros(grid.shape, np.int32)
    for i, mask in reversed(list(enumerate(masks.take(nms(masks, scores, 0.7)).to_bool()))):
        labels[mask] = i + 1
    return cv2.resize(labels, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ids", type=lambda text: text.split(","), help="instead of those held out")
    parser.add_argument("--every", type=int, help="every Nth photograph that was trained on, instead")
    args = parser.parse_args()
    ids = args.ids or bsds.names(args.data, held_out=not args.every)[:: args.every]
    segmenter = RegionsSegmenter()
    levels, count, seconds = [], [], []
    rows: dict[str, list[float]] = {"best masks, AMG-style": [], **{row: [] for row in CONFIGS}}
    for name in ids:
        image, truths = bsds.read(args.data, name)
        truths = [truth.astype(np.int64) for truth in truths]
        h = hierarchy(image)
        levels.append(at_levels(h, overlaps(h, truths)))
        rows["best masks, AMG-style"].append(covering(amg_style(image, segmenter), truths))
        for row, config in CONFIGS.items():
            start = time.perf_counter()
            result = Esam(segmenter, config).segment(image)
            if config == EsamConfig():
                seconds.append(time.perf_counter() - start)
                count.append(len(result))
            rows[row].append(covering(result.labels, truths))
    mean = np.mean(levels, axis=0)
    rows = {
        f"tree, one level, the best for these ({LEVELS[mean.argmax()]:.1f})": np.array(levels)[:, mean.argmax()],
        "tree, the best level of each": np.max(levels, axis=1),
        **rows,
    }
    print(f"{len(ids)} photographs, covering x 100")
    for row, values in rows.items():
        print(f"  {row:50}{np.mean(values) * 100:6.1f} (standard error {np.std(values) / len(ids) ** 0.5 * 100:.1f})")
    print(f"  entities a photograph {np.mean(count):.1f}, median {np.median(seconds):.2f} s")


if __name__ == "__main__":
    main()
