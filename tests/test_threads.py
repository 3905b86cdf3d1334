"""The same bytes from one thread and from two, and run after run."""

from __future__ import annotations

import numpy as np
import pytest
from cases import blobs, pack, tied_scores
from simulated import GRIDS, SimulatedSegmenter

import esam_fast
from esam_fast import Esam, EsamConfig, MaskGrid, ops

SHAPE = (61, 83)


@pytest.fixture(autouse=True)
def _restore_threads():
    before = esam_fast.get_num_threads()
    yield
    esam_fast.set_num_threads(before)


def bytes_of(result):
    parts = result if isinstance(result, tuple) else (result,)
    arrays = [a for p in parts for a in ((p.words, p.area, p.box) if isinstance(p, esam_fast.PackedMasks) else (p,))]
    return [a.tobytes() for a in arrays]


def calls():
    rng = np.random.default_rng(31)
    masks, others = pack(blobs(rng, 400, SHAPE)), pack(blobs(rng, 150, SHAPE))
    scores, other_scores = tied_scores(rng, 400), tied_scores(rng, 150)
    pixels, votes = rng.integers(0, SHAPE[0] * SHAPE[1], 900), rng.integers(-1, 150, 900)
    features = rng.integers(-5, 6, (700, 40)).astype(np.int16)
    neighbours, membership = rng.integers(-1, 700, (700, 10)), rng.integers(-1, 90, 700)
    neighbours, membership = neighbours.astype(np.int32), membership.astype(np.int32)
    logits = rng.normal(0, 2, (300, *SHAPE)).astype(np.float32)
    image = np.clip(rng.normal(128, 30, (1, 40, 60, 3)).repeat(4, 1).repeat(4, 2)[0], 0, 255).astype(np.uint8)
    tree_labels = (np.arange(SHAPE[0])[:, None] // 4 * 21 + np.arange(SHAPE[1]) // 4).astype(np.int32)
    tree_features = rng.normal(0, 1, (*SHAPE, 5)).astype(np.float32)
    grid = MaskGrid(*SHAPE, 50.5, 83.0, 203, 333)
    return {
        "intersections": lambda b: ops.intersections(masks, others, backend=b),
        "mask_iou": lambda b: ops.mask_iou(masks, others, backend=b),
        "max_iou": lambda b: ops.max_iou(masks, others, backend=b),
        "nms": lambda b: ops.nms(masks, scores, 0.7, backend=b),
        "cluster_masks": lambda b: ops.cluster_masks(masks, scores, 0.7, backend=b),
        "split_overlaps": lambda b: ops.split_overlaps(
            masks, scores, pixels, votes, others, other_scores, 0.05, backend=b
        ),
        "top_k_similarity": lambda b: ops.top_k_similarity(features, 10, backend=b),
        "mask_similarity": lambda b: ops.mask_similarity(neighbours, membership, 90, backend=b),
        "greedy_cover": lambda b: ops.greedy_cover(masks, scores, others.take(np.array([3])), 1.0, backend=b),
        "pack_logits": lambda b: ops.pack_logits(logits, 50, 80, backend=b),
        "measure_labels": lambda b: ops.measure_labels(image[..., 0].astype(np.int32), 200, backend=b),
        "mask_mean": lambda b: ops.mask_mean(masks, logits[0].astype(np.float64), backend=b),
        "region_tree": lambda b: tuple(
            vars(ops.region_tree(tree_labels, logits[1] ** 2, tree_features, backend=b)).values()
        ),
        "measure": lambda b: ops.measure(masks.words, SHAPE, backend=b),
        "draw_labels": lambda b: ops.draw_labels(logits, grid, backend=b),
        "felzenszwalb": lambda b: ops.felzenszwalb(image, backend=b),
        "watershed": lambda b: ops.watershed(image[..., 0], backend=b),
    }


CALLS = calls()


def test_every_op_is_here():
    assert sorted([*CALLS, "entity_planes"]) == sorted(ops.__all__)  # entity_planes has no threads


@pytest.mark.parametrize("name", CALLS)
def test_ops(backend, name):
    esam_fast.set_num_threads(1)
    expected = bytes_of(CALLS[name](backend))
    for threads in (2, 1, 2, 2, 2):
        esam_fast.set_num_threads(threads)
        assert bytes_of(CALLS[name](backend)) == expected


def test_pipeline(backend):
    segmenter = SimulatedSegmenter(GRIDS["odd"], 3)
    image, model = segmenter.image(), Esam(segmenter, EsamConfig(), backend=backend)
    seen = set()
    for threads in (1, 2, 2, 1, 2):
        esam_fast.set_num_threads(threads)
        result = model.segment(image)
        seen.add((result.labels.tobytes(), result.scores.tobytes(), result.areas.tobytes(), result.boxes.tobytes()))
    assert len(seen) == 1


def test_setting():
    esam_fast.set_num_threads(2)
    assert esam_fast.get_num_threads() == 2
    with pytest.raises(ValueError, match=r"^n must"):
        esam_fast.set_num_threads(0)
    with pytest.raises(TypeError, match=r"^n must"):
        esam_fast.set_num_threads(1.5)
    assert esam_fast.get_num_threads() == 2
