import numpy as np
import oracle_ops
import pytest
from cases import (
    SIZES,
    blobs,
    frozen,
    is_emulated,
    mask_stacks,
    pack,
    read_only,
    refuses_unknown_backends,
    rows,
    scores_for,
    strided,
    tied_scores,
)
from hypothesis import given
from hypothesis import strategies as st

from esam_fast.ops import cluster_masks, mask_iou, nms


def scores_of(*values):
    return np.array(values, np.float32)


# IoU of neighbours: 3 common of 5 = 0.6; of first and last: 2 common of 6 = 1/3.
CHAIN = rows("####..", ".####.", "..####")


@pytest.mark.parametrize(
    ("threshold", "kept"),
    [
        (0.6, [0, 1, 2]),  # exactly at the threshold does not exceed it
        (np.nextafter(0.6, 0), [0, 2]),  # 0 removes 1; 2 meets 0 with 1/3 only, and 1 is gone
        (1 / 3, [0, 2]),
        (np.nextafter(1 / 3, 0), [0]),
        (0.0, [0]),
        (1.0, [0, 1, 2]),
    ],
)
def test_threshold_by_hand(backend, threshold, kept):
    assert nms(pack(CHAIN), scores_of(0.9, 0.8, 0.7), threshold, backend=backend).tolist() == kept


def test_visiting_order_and_ties_by_hand(backend):
    # Scores tie between 0 and 2: 0 is visited first and removes neither at 1/3; both remove 1 at 0.6 > 0.5.
    assert nms(pack(CHAIN), scores_of(0.7, 0.6, 0.7), 0.5, backend=backend).tolist() == [0, 2]
    # 1 leads and removes both.
    assert nms(pack(CHAIN), scores_of(0.5, 0.9, 0.5), 0.5, backend=backend).tolist() == [1]
    # Visiting order 2, 0: the result is in that order.
    assert nms(pack(CHAIN), scores_of(0.7, 0.6, 0.8), 0.5, backend=backend).tolist() == [2, 0]


def test_one_threshold_a_mask_by_hand(backend):
    # The threshold of the kept mask decides: 0's lets 1 live (0.6 > 0.6 is false), 1's removes 2 (0.6 > 0.5).
    limits = np.array([0.6, 0.5, 0.0])
    assert nms(pack(CHAIN), scores_of(3, 2, 1), limits, backend=backend).tolist() == [0, 1]


def test_empty_masks_never_meet(backend):
    masks = pack(np.zeros((3, 5, 5)))
    assert nms(masks, scores_of(1, 2, 3), 0.0, backend=backend).tolist() == [2, 1, 0]
    assert cluster_masks(masks, scores_of(1, 2, 3), 0.5, backend=backend).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("threshold", "representative"),
    [
        (0.6, [0, 0, 2]),  # exactly at the threshold joins
        (np.nextafter(0.6, 1), [0, 1, 2]),
        (1 / 3, [0, 0, 0]),
        (np.nextafter(1 / 3, 1), [0, 0, 2]),  # 2 is compared with representatives, not with member 1
    ],
)
def test_clusters_by_hand(backend, threshold, representative):
    assert cluster_masks(pack(CHAIN), scores_of(3, 2, 1), threshold, backend=backend).tolist() == representative


def test_cluster_joins_the_first_representative(backend):
    # 1 meets both 0 and 2 with 0.6. Scores 0.9, 0.1, 0.9: 0 comes first. Scores 0.8, 0.1, 0.9: 2 comes first.
    assert cluster_masks(pack(CHAIN), scores_of(0.9, 0.1, 0.9), 0.5, backend=backend).tolist() == [0, 0, 2]
    assert cluster_masks(pack(CHAIN), scores_of(0.8, 0.1, 0.9), 0.5, backend=backend).tolist() == [0, 2, 2]


def check(masks, scores, threshold, limits, backend):
    packed, scores, limits = frozen(pack(masks)), read_only(scores), read_only(limits)
    for wanted in (threshold, limits):
        kept = nms(packed, scores, wanted, backend=backend)
        assert kept.dtype == np.int64
        np.testing.assert_array_equal(kept, oracle_ops.nms(masks, scores, wanted))
    clusters = cluster_masks(packed, scores, threshold, backend=backend)
    assert clusters.dtype == np.int64
    np.testing.assert_array_equal(clusters, oracle_ops.cluster_masks(masks, scores, threshold))
    np.testing.assert_array_equal(packed.to_bool(), masks)


@pytest.mark.parametrize(("n", "shape"), SIZES)
def test_equals_oracle(backend, rng, n, shape):
    masks = blobs(rng, n, shape)
    check(masks, tied_scores(rng, n), 0.5, rng.integers(0, 11, n) / 10, backend)


def test_more_masks_than_are_settled_at_once(backend, rng):
    n = 130 if is_emulated(backend) or backend == "torch" else 1100
    masks, scores = blobs(rng, n, (13, 21)), tied_scores(rng, n)
    check(masks, scores, 0.7, rng.integers(5, 11, n) / 10, backend)


@pytest.mark.long
def test_thousands_of_equal_masks(backend):
    n = 500 if is_emulated(backend) else 3000
    masks = pack(np.repeat(blobs(np.random.default_rng(1), 9, (13, 21))[8:], n, axis=0) | np.eye(13, 21, dtype=bool))
    scores = np.full(n, 0.5, np.float32)
    assert nms(masks, scores, 0.8, backend=backend).tolist() == [0]
    assert not cluster_masks(masks, scores, 0.8, backend=backend).any()


def test_strided_arguments(backend, rng):
    masks, scores, limits = blobs(rng, 65, (13, 21)), tied_scores(rng, 65), rng.random(65)
    expected = oracle_ops.nms(masks, scores, limits)
    np.testing.assert_array_equal(nms(pack(masks), strided(scores), strided(limits), backend=backend), expected)


@given(st.data())
def test_properties(backend, data):
    masks = data.draw(mask_stacks())
    scores = data.draw(scores_for(masks))
    limits = np.array(
        data.draw(st.lists(st.sampled_from((0.0, 1 / 3, 0.5, 1.0)), min_size=len(masks), max_size=len(masks)))
    )
    threshold = data.draw(st.sampled_from((0.0, 0.2, 1 / 3, 0.5, 1.0)))
    check(masks, scores, threshold, limits.astype(np.float64), backend)
    packed = pack(masks)
    kept = nms(packed, scores, threshold, backend=backend)
    iou = mask_iou(packed.take(kept), packed.take(kept), backend=backend)
    assert (iou[~np.eye(len(kept), dtype=bool)] <= threshold).all()
    assert (np.diff(scores[kept]) <= 0).all()
    representative = cluster_masks(packed, scores, threshold, backend=backend)
    np.testing.assert_array_equal(representative[representative], representative)


def test_refusals(backend):
    masks, scores = pack(np.ones((2, 4, 4))), np.ones(2, np.float32)
    for op, name in ((nms, "thresholds"), (cluster_masks, "threshold")):
        with pytest.raises(TypeError, match=r"^masks must"):
            op(masks.words, scores, 0.5, backend=backend)
        with pytest.raises(TypeError, match=r"^scores must"):
            op(masks, scores.astype(np.float64), 0.5, backend=backend)
        with pytest.raises(TypeError, match=r"^scores must"):
            op(masks, [1.0, 1.0], 0.5, backend=backend)
        for bad in (
            np.ones(3, np.float32),
            np.ones((2, 1), np.float32),
            np.float32([1, np.nan]),
            np.float32([np.inf, 0]),
        ):
            with pytest.raises(ValueError, match=r"^scores must"):
                op(masks, bad, 0.5, backend=backend)
        with pytest.raises(TypeError, match=f"^{name} must"):
            op(masks, scores, "0.5", backend=backend)
        for limit in (-0.1, 1.1, float("nan")):
            with pytest.raises(ValueError, match=f"^{name} must"):
                op(masks, scores, limit, backend=backend)
        refuses_unknown_backends(lambda backend, op=op: op(masks, scores, 0.5, backend=backend))
    with pytest.raises(TypeError, match=r"^thresholds must"):
        nms(masks, scores, np.ones(2, np.float32), backend=backend)
    for limits in (np.ones(3), np.array([0.5, 1.5]), np.array([0.5, np.nan])):
        with pytest.raises(ValueError, match=r"^thresholds must"):
            nms(masks, scores, limits, backend=backend)
