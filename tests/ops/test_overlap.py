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

from esam_fast.ops import split_overlaps


def split(masks, scores, votes, guides, delta, backend, guide_scores=None, **options):
    """Split masks of one row; votes: {pixel: guide}. Returns the pictures."""
    masks, guides = rows(*masks), rows(*guides)
    result = split_overlaps(
        pack(masks),
        np.array(scores, np.float32),
        np.array(list(votes), np.int64),
        np.array(list(votes.values()), np.int64),
        pack(guides),
        np.ones(len(guides), np.float32) if guide_scores is None else np.array(guide_scores, np.float32),
        delta,
        backend=backend,
        **options,
    )
    return ["".join(".#"[int(bit)] for bit in mask[0]) for mask in result.to_bool()]


P, Q = "######....", "....######"  # overlap: pixels 4 and 5; 2 of 6
LEFT, RIGHT = "######....", "....######"


def test_guide_decides_by_hand(backend):
    # IoU with the guide LEFT: P 1, Q 2/10. The overlap goes to P, Q loses it; with RIGHT the other way round.
    assert split([P, Q], [2, 1], {4: 0}, [LEFT], 0.05, backend) == [P, "......####"]
    assert split([P, Q], [2, 1], {4: 0}, [RIGHT], 0.05, backend) == ["####......", Q]
    # Equal IoU with the guide (2/6 each): P, the first in score order; with the scores swapped, Q.
    assert split([P, Q], [2, 1], {5: 0}, ["....##...."], 0.05, backend) == [P, "......####"]
    assert split([P, Q], [1, 2], {5: 0}, ["....##...."], 0.05, backend) == ["####......", Q]
    # Tied scores: the lower index comes first.
    assert split([P, Q], [1, 1], {5: 0}, ["....##...."], 0.05, backend) == [P, "......####"]


def test_votes_by_hand(backend):
    guides = [LEFT, RIGHT]
    # One vote each: the higher guide score, then the lower index. -1 is no vote, a point outside does not count.
    assert split([P, Q], [2, 1], {4: 0, 5: 1}, guides, 0.05, backend, [1, 2]) == ["####......", Q]
    assert split([P, Q], [2, 1], {4: 1, 5: 0}, guides, 0.05, backend, [1, 1]) == [P, "......####"]
    assert split([P, Q], [2, 1], {4: -1, 5: 1, 0: 0, 9: 0}, guides, 0.05, backend, [9, 1]) == [
        "####......",
        Q,
    ]


def test_points_may_share_a_pixel(backend):
    result = split_overlaps(
        pack(rows(P, Q)),
        np.array([2, 1], np.float32),
        np.array([4, 5, 5], np.int64),
        np.array([0, 1, 1], np.int64),
        pack(rows(LEFT, RIGHT)),
        np.array([9, 1], np.float32),
        0.05,
        backend=backend,
    )
    np.testing.assert_array_equal(result.to_bool(), rows("####......", Q))  # two votes against one


def test_small_or_unseen_overlap_by_hand(backend):
    big, small = "########..", ".......###"  # overlap 1, larger 8: 0.125
    # No vote in the overlap: the larger mask loses it, wherever it stands in the order.
    assert split([big, small], [2, 1], {}, [LEFT], 0.05, backend) == ["#######...", small]
    assert split([small, big], [2, 1], {7: -1}, [LEFT], 0.05, backend) == [small, "#######..."]
    # Exactly delta is not less: the guide decides. Just above delta: cut from the larger.
    assert split([big, small], [2, 1], {7: 0}, [big], 0.125, backend) == [big, "........##"]
    assert split([big, small], [2, 1], {7: 0}, [big], np.nextafter(0.125, 1), backend) == [
        "#######...",
        small,
    ]
    # As large as each other: the second in the order loses.
    assert split([P, Q], [2, 1], {}, [LEFT], 0.05, backend) == [P, "......####"]
    assert split([P, Q], [1, 2], {}, [LEFT], 0.05, backend) == ["####......", Q]


def test_clear_lead_needs_no_vote_by_hand(backend):
    # The guide is for Q, and Q is the smaller; a lead above the margin still gives the overlap to P.
    p, q = "########..", "......####"
    for lead, left in ((0.25, [p, "........##"]), (0.125, ["######....", q])):
        for votes in ({6: 0}, {}):
            assert split([p, q], [0.5 + lead, 0.5], votes, [q], 0.05, backend, score_margin=0.125) == left
        assert split([q, p], [0.5, 0.5 + lead], {6: 0}, [q], 0.05, backend, score_margin=0.125) == left[::-1]
    # Equal scores are no lead even at a margin of 0.
    assert split([p, q], [1, 1], {6: 0}, [q], 0.05, backend, score_margin=0.0) == ["######....", q]


def test_current_state_counts_by_hand(backend):
    # a (6) and b (6) meet in 4, 5: b, the second, loses them and has 4 left. b (6-9) and c (8-12, 5 pixels)
    # meet in 8, 9: c is now the larger and loses them; by the masks as given, b would be.
    masks = ["######.......", "....######...", "........#####"]
    left = ["######.......", "......####...", "..........###"]
    assert split(masks, [3, 2, 1], {}, [masks[0]], 0.0, backend) == left


def test_result_is_measured(backend):
    result = split_overlaps(
        pack(rows(P, Q, P)),
        np.array([3, 2, 1], np.float32),
        np.array([0, 4], np.int64),
        np.array([0, 0], np.int64),
        pack(rows(LEFT)),
        np.ones(1, np.float32),
        0.0,
        backend=backend,
    )
    # The third, equal to the first, loses everything to it (tie: the first).
    assert result.area.tolist() == [6, 4, 0]
    assert result.box.tolist() == [[0, 0, 6, 1], [6, 0, 10, 1], [0, 0, 0, 0]]


def arguments(rng, masks):
    h, w = masks.shape[1:]
    guides = blobs(rng, 9, (h, w))
    points = 40
    return (
        tied_scores(rng, len(masks)),
        rng.integers(0, h * w, points),
        rng.integers(-1, len(guides), points),
        guides,
        tied_scores(rng, len(guides)),
    )


def check(masks, scores, pixels, votes, guides, guide_scores, delta, backend, **options):
    packed, packed_guides = frozen(pack(masks)), frozen(pack(guides))
    rest = [read_only(a) for a in (scores, pixels, votes)]
    result = split_overlaps(packed, *rest, packed_guides, read_only(guide_scores), delta, backend=backend, **options)
    expected = oracle_ops.split_overlaps(masks, scores, pixels, votes, guides, guide_scores, delta, **options)
    np.testing.assert_array_equal(result.to_bool(), expected)
    np.testing.assert_array_equal(result.area, expected.sum(axis=(1, 2)))
    np.testing.assert_array_equal(result.box, pack(expected).box)
    np.testing.assert_array_equal(packed.to_bool(), masks)
    np.testing.assert_array_equal(packed_guides.to_bool(), guides)
    return expected


@pytest.mark.parametrize(("n", "shape"), SIZES)
def test_equals_oracle(backend, rng, n, shape):
    masks = blobs(rng, n, shape)
    check(masks, *arguments(rng, masks), 0.05, backend)
    check(masks, *arguments(rng, masks), 0.05, backend, score_margin=0.25)


def test_no_points_no_guides(backend, rng):
    masks, none = blobs(rng, 20, (13, 21)), np.zeros(0, np.int64)
    check(masks, tied_scores(rng, 20), none, none, masks[:0], np.zeros(0, np.float32), 0.05, backend)


def test_strided_arguments(backend, rng):
    masks = blobs(rng, 20, (13, 21))
    scores, pixels, votes, guides, guide_scores = arguments(rng, masks)
    points = strided(pixels), strided(votes)
    result = split_overlaps(
        pack(masks), strided(scores), *points, pack(guides), strided(guide_scores), 0.05, backend=backend
    )
    expected = oracle_ops.split_overlaps(masks, scores, pixels, votes, guides, guide_scores, 0.05)
    np.testing.assert_array_equal(result.to_bool(), expected)


@given(st.data())
def test_properties(backend, data):
    masks = data.draw(mask_stacks())
    scores = data.draw(scores_for(masks))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    delta = data.draw(st.sampled_from((0.0, 0.05, 0.25, 1.0)))
    margin = data.draw(st.sampled_from((0.0, 0.25, None)))
    disjoint = check(masks, scores, *arguments(rng, masks)[1:], delta, backend, score_margin=margin)
    assert (disjoint.sum(axis=0) == masks.any(axis=0)).all()  # every pixel keeps exactly one owner
    assert not (disjoint & ~masks).any()


def test_refusals(backend):
    good = {
        "masks": pack(np.ones((2, 4, 4))),
        "scores": np.ones(2, np.float32),
        "point_pixels": np.zeros(3, np.int64),
        "point_guides": np.zeros(3, np.int64),
        "guides": pack(np.ones((1, 4, 4))),
        "guide_scores": np.ones(1, np.float32),
        "delta": 0.05,
    }

    def call(backend=backend, **changes):
        return split_overlaps(**{**good, **changes}, backend=backend)

    call()
    wrong_type = {
        "masks": np.ones((2, 4, 4), bool),
        "scores": np.ones(2),
        "point_pixels": np.zeros(3, np.int32),
        "point_guides": [0, 0, 0],
        "guides": None,
        "guide_scores": np.ones(1, int),
        "delta": "0.05",
        "score_margin": "0.05",
    }
    for name, value in wrong_type.items():
        with pytest.raises(TypeError, match=f"^{name} must"):
            call(**{name: value})
    wrong_value = [
        ("scores", np.ones(3, np.float32)),
        ("scores", np.array([1, np.nan], np.float32)),
        ("point_pixels", np.zeros((3, 1), np.int64)),
        ("point_pixels", np.array([0, -1, 2])),
        ("point_pixels", np.array([0, 16, 2])),
        ("point_guides", np.zeros(2, np.int64)),
        ("point_guides", np.array([0, 1, 0])),
        ("point_guides", np.array([0, -2, 0])),
        ("guides", pack(np.ones((1, 2, 8)))),
        ("guide_scores", np.ones(2, np.float32)),
        ("guide_scores", np.array([np.inf], np.float32)),
        ("delta", -0.01),
        ("delta", 1.01),
        ("delta", float("nan")),
        ("score_margin", -0.01),
        ("score_margin", float("nan")),
        ("score_margin", float("inf")),
    ]
    for name, value in wrong_value:
        with pytest.raises(ValueError, match=f"^{name} must"):
            call(**{name: value})
    refuses_unknown_backends(call)
