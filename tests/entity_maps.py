"""Results made by hand, and a disk that is full, for the tests of what is written and drawn."""

from __future__ import annotations

import errno
import io
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from scene import scene

from esam_fast import EntityMap, MaskGrid, PackedMasks
from esam_fast.masks import ScoredMasks

IMAGE = scene(180, 120)


def entity_map(labels: np.ndarray) -> EntityMap:
    """An EntityMap of a label map whose labels 1..K all occur."""
    labels = np.asarray(labels, np.int32)
    count = int(labels.max())
    order = np.argsort(labels, axis=None, kind="stable")  # pixels by label, in raster order
    starts = np.searchsorted(labels.ravel()[order], np.arange(1, count + 2))
    where = [np.stack(np.divmod(order[first:last], labels.shape[1]), axis=1) for first, last in pairwise(starts)]
    boxes = [[*w.min(0)[::-1], *(w.max(0)[::-1] + 1)] for w in where]
    return EntityMap(
        labels=labels,
        scores=np.linspace(0.9, 0.5, count, dtype=np.float32),
        areas=np.array([len(w) for w in where], np.int64),
        boxes=np.array(boxes, np.int32).reshape(-1, 4),
        points=np.array([w[0][::-1] + 0.5 for w in where], np.float32).reshape(-1, 2),
        stability=np.linspace(0.8, 0.7, count, dtype=np.float32),
        timings={"total": 0.5},
        grid=MaskGrid(8, 8, 8.0, 8.0, *labels.shape),
    )


def blobs(height: int, width: int, count: int, seed: int = 0) -> np.ndarray:
    """A Voronoi map with holes; int32 [height, width], every label of 1..count there."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    sites = rng.uniform(0, 1, (count, 2)) * (height, width)
    labels = ((y[..., None] - sites[:, 0]) ** 2 + (x[..., None] - sites[:, 1]) ** 2).argmin(-1) + 1
    labels[rng.random((height, width)) < 0.05] = 0
    return (np.unique(labels, return_inverse=True)[1].reshape(height, width)).astype(np.int32)


def stages(mmg=None, emr=None, usr=None):
    """Stages of these masks; or of two that overlap, on the grid of `entity_map`."""
    two = PackedMasks.from_bool(np.stack([np.eye(8, dtype=np.bool_), np.ones((8, 8), np.bool_)]))

    def scored(masks):
        n = len(masks)
        return ScoredMasks(masks, *np.ones((2, n), np.float32), np.zeros((n, 2), np.float32), np.zeros(n, np.int8))

    first, refined, completed = (scored(masks or two) for masks in (mmg, emr, usr))
    return {"mmg": first, "part": first, "subpart": first, "emr": refined, "usr": completed}


def staged(labels, mmg, emr, usr):
    h, w = mmg.shape
    entities = replace(entity_map(labels), grid=MaskGrid(h, w, h, w, *labels.shape))
    return replace(entities, stages=stages(mmg, emr, usr))


def three_steps():
    """Two masks overlap, and the lower one is split; two fragments merge; one entity is added."""
    mmg, emr, usr = np.zeros((4, 20, 30), np.bool_), np.zeros((4, 20, 30), np.bool_), np.zeros((5, 20, 30), np.bool_)
    mmg[0, :, :10] = mmg[1, :8, 12:20] = mmg[2, 8:16, 12:20] = mmg[3, :10, :12] = True
    emr[0, :10, :10] = emr[1, 10:, :10] = emr[2, :16, 12:20] = emr[3, :10, 10:12] = True
    usr[:4] = emr
    usr[4, :, 24:] = True
    labels = np.kron(np.argmax([np.zeros((20, 30)), *usr], axis=0), np.ones((6, 6))).astype(np.int32)
    return staged(labels, *(PackedMasks.from_bool(masks) for masks in (mmg, emr, usr)))


class FullDisk(io.BufferedRandom):
    """A new file that takes no more than its buffer holds."""

    def __init__(self, path: Path) -> None:
        path.touch()
        super().__init__(io.FileIO(path, "r+"))

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
