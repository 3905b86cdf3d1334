"""How well segmenters answer points in photographs that people have segmented.

    python training/point_ious.py --data FOLDER [--points 64] SEGMENTER ...

FOLDER is laid out as bsds.py says; the photographs held out there are asked. At random points: the best IoU of the
three masks with any person's region there, on the segmenter's grid; the IoU of the mask that its scores prefer; the
correlation of scores and true IoUs, over all masks; and the share of points whose three masks nest.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import bsds
import numpy as np

from esam_fast import load_segmenter

SEED = 0


def answers(segmenter: Any, image: np.ndarray, maps: list[np.ndarray], n: int) -> tuple[np.ndarray, ...]:
    """Of n random points: IoU of each mask with the region that fits it best [n, 3], scores [n, 3], nested [n]."""
    height, width = image.shape[:2]
    points = (np.random.default_rng(SEED).random((n, 2)) * (width, height)).astype(np.float32)
    embedding = segmenter.embed(image)
    grid = embedding.grid
    answer = segmenter.masks(embedding, points)
    masks = answer.masks.to_bool()[:, : grid.rows, : grid.cols].reshape(n, 3, -1)
    pixels = (np.arange(grid.rows)[:, None] * grid.width + np.arange(grid.cols)).ravel()
    centres = grid.points(pixels)
    ious = np.zeros((n, 3))
    for labels in maps:
        on_grid = _at(labels, centres)
        truths = on_grid == _at(labels, points)[:, None]  # [n, pixels]
        inter = (masks & truths[:, None]).sum(axis=2)
        union = masks.sum(axis=2) + truths.sum(axis=1)[:, None] - inter
        ious = np.maximum(ious, inter / np.maximum(union, 1))
    inside = (masks[:, :2] & masks[:, 1:]).sum(axis=2) >= 0.95 * masks[:, :2].sum(axis=2)
    return ious, answer.scores, inside.all(axis=1)


def _at(labels: np.ndarray, points: np.ndarray) -> np.ndarray:
    col, row = points.astype(np.int64).T
    return labels[row.clip(0, labels.shape[0] - 1), col.clip(0, labels.shape[1] - 1)]


def summary(segmenter: Any, data: Path, names: list[str], n: int) -> str:
    """The numbers of a segmenter on these photographs, in words."""
    parts = [answers(segmenter, *bsds.read(data, name), n) for name in names]
    ious, scores, nested = (np.concatenate(part) for part in zip(*parts, strict=True))
    preferred = ious[np.arange(len(ious)), scores.argmax(axis=1)]
    return (
        f"IoU of the best of three {ious.max(axis=1).mean():.4f}, of the preferred {preferred.mean():.4f}, "
        f"by output {' '.join(f'{value:.4f}' for value in ious.mean(axis=0))}, "
        f"correlation of scores {np.corrcoef(scores.ravel(), ious.ravel())[0, 1]:.3f}, nested {nested.mean():.3f}"
    )


def main() -> None:
    """Ask segmenters and print their numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--points", type=int, default=64, help="a photograph")
    parser.add_argument("segmenters", nargs="+", metavar="SEGMENTER")
    args = parser.parse_args()
    names = bsds.names(args.data, held_out=True)
    for name in args.segmenters:
        print(f"{name}: {summary(load_segmenter(name, device='cpu'), args.data, names, args.points)}", flush=True)


if __name__ == "__main__":
    main()
