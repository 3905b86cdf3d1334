"""The one place that prompts: what it checks, and when it asks nobody."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import SyntheticSegmenter

from esam_fast.masks import PackedMasks, PointMasks, ScoredMasks
from esam_fast.session import Session


class Strict(SyntheticSegmenter):
    """Refuses to be asked."""

    def masks(self, embedding, points, *, min_score=None):
        raise AssertionError("asked for masks")

    def logits(self, embedding, points, channels):
        raise AssertionError("asked for logits")


def open_session(kind=SyntheticSegmenter, **changes):
    segmenter = kind(seed=3)
    for name, value in changes.items():
        setattr(segmenter, name, value)
    return Session(segmenter, segmenter.image()), segmenter


def test_no_points_ask_nobody():
    session, _ = open_session(Strict)
    answer = session.ask(np.zeros((0, 2), np.float32))
    assert (len(answer), answer.masks.shape) == (0, session.grid.shape)
    assert session.logits(ScoredMasks.empty(session.grid.shape)).shape == (0, *session.grid.shape)
    assert list(session.planes(ScoredMasks.empty(session.grid.shape))) == []


def test_planes_are_the_logits_one_by_one():
    session, segmenter = open_session()
    points = session.grid.point_grid(9)
    objects = ScoredMasks.of_levels(session.ask(points), points, np.full(81, 2))
    every = session.logits(objects)
    alone = list(session.planes(objects))
    assert len(alone) == 81  # more than are held at a time
    for i, (one, plane) in enumerate(alone):
        np.testing.assert_array_equal(one.points, points[i : i + 1])
        np.testing.assert_array_equal(plane, every[i : i + 1])
    np.testing.assert_array_equal(every, segmenter.logits(segmenter.embed(segmenter.image()), points, objects.channels))


@pytest.mark.parametrize(
    ("name", "answer", "message"),
    [
        ("masks", lambda *a, **k: None, r"segmenter 'simulated': masks\(\) must return PointMasks, got NoneType"),
        ("masks", lambda *a, **k: PointMasks.empty((37, 45)), r"masks\(\) must answer 4 points, got 0"),
        ("logits", lambda *a: np.zeros((4, 3, 3), np.float32), r"logits\(\) must have shape \[4, 37, 45\]"),
        ("logits", lambda *a: np.full((4, 37, 45), np.nan, np.float32), r"logits\(\) must be finite"),
    ],
)
def test_a_wrong_answer_is_named(name, answer, message):
    session, _ = open_session(**{name: answer})
    points = session.grid.point_grid(2)
    masks = PackedMasks.from_bool(np.ones((4, 37, 45), bool))
    objects = ScoredMasks(masks, *np.ones((2, 4), np.float32), points, np.zeros(4, np.int8))
    with pytest.raises((TypeError, ValueError), match=message):
        session.ask(points) if name == "masks" else session.logits(objects)


def test_an_embedding_of_another_image_is_named():
    segmenter = SyntheticSegmenter(seed=3)
    embedding = segmenter.embed(segmenter.image())
    segmenter.embed = lambda image: embedding
    with pytest.raises(ValueError, match=r"segmenter 'simulated': embedding\.grid must be for an image of 5 x 6"):
        Session(segmenter, np.zeros((5, 6, 3), np.uint8))
