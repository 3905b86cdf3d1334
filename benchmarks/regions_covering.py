"""Covering of the segmenter "regions" on photographs with human segmentations: one level, AMG-style, and E-SAM.

    python benchmarks/regions_covering.py --data FOLDER [--ids ID,ID | --every N]

FOLDER is laid out as training/fit_regions.py wants it; without --ids the photographs held out there are measured.
Covering: mean over a person's regions, weighted by area, of the best IoU with a predicted region; then the mean over
people, and over photographs.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from esam_fast import Esam, EsamConfig, MaskGrid
from esam_fast.evaluate.covering import covering
from esam_fast.ops import nms
from esam_fast.segmenters.regions import RegionsSegmenter, hierarchy

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from fit_regions import HELD_OUT

LEVELS = np.geomspace(2, 40, 40)  # merge heights, free of the image's size


def resized(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """By nearest sampling."""
    return cv2.resize(labels.astype(np.int32), shape[::-1], interpolation=cv2.INTER_NEAREST)


def at_levels(image: np.ndarray, truths: list[np.ndarray]) -> np.ndarray:
    """Covering by the cut of the tree at each of LEVELS."""
    h = hierarchy(image)
    height = h.tree.height / h.leaf.size**0.25
    scores = []
    for level in LEVELS:
        own = np.arange(len(height))
        for node in range(len(height) - 2, -1, -1):
            over = h.tree.parent[node]
            own[node] = own[over] if height[over] <= level else node
        scores.append(covering(resized(own[h.leaf] + 1, image.shape[:2]), truths))
    return np.array(scores)


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
    return resized(labels, image.shape[:2])


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ids", type=lambda text: text.split(","), help="instead of those held out")
    parser.add_argument("--every", type=int, help="every Nth photograph that was fitted on, instead")
    args = parser.parse_args()
    fitted = sorted({path.stem for path in (args.data / "images").glob("*.jpg")} - set(HELD_OUT))
    ids = args.ids or (fitted[:: args.every] if args.every else HELD_OUT)
    segmenter = RegionsSegmenter()
    esam = Esam(segmenter, EsamConfig())
    levels, amg, entities, count, seconds = [], [], [], [], []
    for name in ids:
        image = cv2.cvtColor(cv2.imread(str(args.data / "images" / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
        paths = sorted((args.data / "labels").glob(f"{name}_*.png"))
        truths = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.int64) for path in paths]
        levels.append(at_levels(image, truths))
        amg.append(covering(amg_style(image, segmenter), truths))
        start = time.perf_counter()
        result = esam.segment(image)
        seconds.append(time.perf_counter() - start)
        entities.append(covering(result.labels, truths))
        count.append(len(result))
    mean = np.mean(levels, axis=0)
    error = np.std(entities) / len(ids) ** 0.5
    print(f"{len(ids)} photographs, covering x 100 (standard error of E-SAM's {error * 100:.1f})")
    print(f"  tree, best single level for all ({LEVELS[mean.argmax()]:.1f})   {mean.max() * 100:.1f}")
    print(f"  tree, best level for each (oracle)         {np.max(levels, axis=1).mean() * 100:.1f}")
    print(f"  AMG-style, best masks                      {np.mean(amg) * 100:.1f}")
    print(f"  E-SAM, final map                           {np.mean(entities) * 100:.1f}")
    print(f"  E-SAM entities a photograph {np.mean(count):.1f}, median {np.median(seconds):.2f} s")


if __name__ == "__main__":
    main()
