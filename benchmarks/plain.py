"""E-SAM's stages in plain NumPy, as a peer: tests/oracle.py, which has to be on the path."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import oracle

from esam_fast import EsamConfig, superpixels
from esam_fast.masks import Bool
from esam_fast.segmenters.protocol import Segmenter


def stages(segmenter: Segmenter, image: np.ndarray[Any, Any], config: EsamConfig) -> tuple[Bool, tuple[float, float]]:
    """MMG, EMR and USR of an image uint8 [H, W, 3] by a segmenter that remembers its answers, in NumPy.

    Returns:
        The entities' disjoint masks bool [K, h, w], and the seconds by the clock and of the processor, without
        prompting and superpixels.
    """
    embedding = segmenter.embed(image)
    labels = superpixels.on_grid(superpixels.segment(image, config.superpixels), embedding.grid).labels.astype(np.int64)
    for side in (config.mmg.points_per_side, config.emr.points_per_side):  # prompting is not what is timed
        oracle.prompt(segmenter, embedding, oracle.point_grid(side, embedding.grid))

    start, cpu = time.perf_counter(), time.process_time()
    objects, parts = oracle.mmg(segmenter, embedding, oracle.density_map(labels), config.mmg)
    refined = oracle.emr(segmenter, embedding, objects, labels, config)
    entities = oracle.usr(segmenter, embedding, refined, parts, labels, config).entities()
    return entities, (time.perf_counter() - start, time.process_time() - cpu)
