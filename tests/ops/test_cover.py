import numpy as np
import oracle_ops
import pytest
from cases import (
    SIZES,
    blobs,
    frozen,
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

from esam_fast.ops import greedy_cover


def cover(masks, scores, covered, min_gain, backend):
    picks, gains = greedy_cover(
        pack(rows(*masks)), np.array(scores, np.float32), pack(rows(covered)), min_gain, backend=backend
    )
    assert (picks.dtype, gains.dtype) == (np.int64, np.int64)
    return list(zip(picks.tolist(), gains.tolist(), strict=True))


A, B, C, NONE = "#####.....", "...#####..", "......####", ".........."


def test_by_hand(backend):
    # A covers 5, B 5, C 4. Ties: the higher score, then the lower index.
    # After A: B has 5-7 = 3 left, C 4 -> C. Then B has 5 alone: 1.
    assert cover([A, B, C], [1, 1, 1], NONE, 0, backend) == [(0, 5), (2, 4), (1, 1)]
    # B scores higher: after B (3-7), A has 0-2 = 3 left, C 8-9 = 2.
    assert cover([A, B, C], [1, 2, 3], NONE, 0, backend) == [(1, 5), (0, 3), (2, 2)]


def test_covered_from_the_start_by_hand(backend):
    # Pixels 0-4 are covered: A gains nothing and is never picked. C 4 beats B 3; then B has pixel 5.
    assert cover([A, B, C], [9, 1, 1], A, 0, backend) == [(2, 4), (1, 1)]
    assert cover([A, B, C], [1, 1, 1], "##########", 0, backend) == []


def test_least_gain_by_hand(backend):
    for least, picks in ((1, 3), (np.nextafter(1, 2), 2), (4, 2), (4.5, 1), (5, 1), (5.5, 0)):
        assert len(cover([A, B, C], [1, 1, 1], NONE, least, backend)) == picks  # a gain of exactly the least counts


def test_nothing_to_pick(backend):
    assert cover([NONE, NONE], [1, 1], NONE, 0, backend) == []
    picks, gains = greedy_cover(
        pack(np.zeros((0, 5, 5))), np.zeros(0, np.float32), pack(np.zeros((1, 5, 5))), 0.0, backend=backend
    )
    assert picks.shape == gains.shape == (0,)


def check(masks, scores, covered, min_gain, backend):
    packed, packed_covered = frozen(pack(masks)), frozen(pack(covered[None]))
    picks, gains = greedy_cover(packed, read_only(scores), packed_covered, min_gain, backend=backend)
    expected_picks, expected_gains = oracle_ops.greedy_cover(masks, scores, covered, min_gain)
    np.testing.assert_array_equal(picks, expected_picks)
    np.testing.assert_array_equal(gains, expected_gains)
    np.testing.assert_array_equal(packed.to_bool(), masks)
    np.testing.assert_array_equal(packed_covered.to_bool()[0], covered)
    return picks, gains


@pytest.mark.parametrize(("n", "shape"), SIZES)
def test_equals_oracle(backend, rng, n, shape):
    masks, scores = blobs(rng, n, shape), tied_scores(rng, n)
    covered = rng.random(shape) < 0.3
    for min_gain in (0.0, 2.5):
        check(masks, scores, covered, min_gain, backend)
    picks, _ = greedy_cover(pack(masks), strided(scores), pack(covered[None]), 0.0, backend=backend)
    np.testing.assert_array_equal(picks, oracle_ops.greedy_cover(masks, scores, covered, 0.0)[0])


@given(st.data())
def test_properties(backend, data):
    masks = data.draw(mask_stacks())
    scores = data.draw(scores_for(masks))
    covered = np.random.default_rng(7).random(masks.shape[1:]) < data.draw(st.sampled_from((0.0, 0.3, 1.0)))
    min_gain = data.draw(st.sampled_from((0.0, 1.0, 3.0)))
    picks, gains = check(masks, scores, covered, min_gain, backend)
    assert (np.diff(gains) <= 0).all()
    assert (gains >= max(1, min_gain)).all()
    assert len(set(picks.tolist())) == len(picks)
    assert gains.sum() == np.count_nonzero(masks[picks].any(axis=0) & ~covered)


def test_refusals(backend):
    good = {
        "masks": pack(np.ones((2, 4, 4))),
        "scores": np.ones(2, np.float32),
        "covered": pack(np.zeros((1, 4, 4))),
        "min_gain": 1.0,
    }

    def call(backend=backend, **changes):
        return greedy_cover(**{**good, **changes}, backend=backend)

    call()
    for name, value in (
        ("masks", np.ones((2, 4, 4), bool)),
        ("scores", np.ones(2)),
        ("covered", np.zeros((4, 4), bool)),
        ("min_gain", None),
    ):
        with pytest.raises(TypeError, match=f"^{name} must"):
            call(**{name: value})
    for name, value in (
        ("scores", np.ones(3, np.float32)),
        ("scores", np.array([np.nan, 1], np.float32)),
        ("covered", pack(np.zeros((2, 4, 4)))),
        ("covered", pack(np.zeros((1, 2, 8)))),
        ("min_gain", -1.0),
        ("min_gain", float("nan")),
        ("min_gain", float("inf")),
    ):
        with pytest.raises(ValueError, match=f"^{name} must"):
            call(**{name: value})
    refuses_unknown_backends(call)
