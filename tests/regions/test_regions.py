import json
from importlib.resources import files

import numpy as np
import pytest
from scene import scene, scene_labels

from esam_fast import Esam, load_segmenter
from esam_fast.ops import region_tree
from esam_fast.segmenters.regions import NOTICE, RegionsSegmenter
from esam_fast.segmenters.regions.calibration import predict_iou, properties
from esam_fast.segmenters.regions.hierarchy import hierarchy
from esam_fast.segmenters.regions.levels import LEVEL, choose_levels, stability

HOME = files("esam_fast.segmenters.regions")

SHAPES = [(1, 1), (1, 5000), (700, 1), (2, 3), (90, 130), (300, 200), (600, 903)]


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def picture():
    return scene(300, 200)


@pytest.fixture(scope="module")
def segmenter():
    return load_segmenter("regions")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("make", [noise, lambda shape: np.full((*shape, 3), 90, np.uint8)])
def test_any_size(segmenter, shape, make):
    image = make(shape)
    image.flags.writeable = False
    before = image.copy()
    embedding = segmenter.embed(image)
    grid = embedding.grid
    assert (grid.content_height, grid.content_width) == grid.shape
    assert max(grid.shape) == 256
    assert grid.shape[np.argmin(shape)] == max(1, round(256 * min(shape) / max(shape)))
    assert embedding.features.dtype == np.float32
    assert np.isfinite(embedding.features).all()
    points = grid.point_grid(9)
    answer = segmenter.masks(embedding, points)
    masks = answer.masks.to_bool().reshape(-1, 3, grid.height * grid.width)
    assert masks[np.arange(len(points)), :, grid.pixels(points)].all()  # a point lies in all of its masks
    assert (masks[:, 0] <= masks[:, 1]).all()
    assert (masks[:, 1] <= masks[:, 2]).all()
    for values in (answer.scores, answer.stability):
        assert values.dtype == np.float32
        assert ((values >= 0) & (values <= 1)).all()
    np.testing.assert_array_equal(image, before)


def test_logits_have_the_sign_of_the_bits(segmenter, picture):
    embedding = segmenter.embed(picture)
    points = embedding.grid.point_grid(7)
    masks = segmenter.masks(embedding, points).masks.to_bool().reshape(len(points), 3, *embedding.grid.shape)
    for channel in range(3):
        logits = segmenter.logits(embedding, points, np.full(len(points), channel, np.int8))
        assert logits.dtype == np.float32
        np.testing.assert_array_equal(logits > 0, masks[:, channel])
        assert (logits != 0).all()


def test_an_answer_depends_on_its_point_only(segmenter, picture):
    embedding = segmenter.embed(picture)
    points = embedding.grid.point_grid(8)
    together = segmenter.masks(embedding, points)
    for i in (0, 19, 63):
        alone = segmenter.masks(embedding, points[i : i + 1])
        np.testing.assert_array_equal(alone.masks.words, together.masks.words[3 * i : 3 * i + 3])
        np.testing.assert_array_equal(alone.scores, together.scores[i : i + 1])


def test_no_points(segmenter, picture):
    embedding = segmenter.embed(picture)
    nothing = np.zeros((0, 2), np.float32)
    assert len(segmenter.masks(embedding, nothing)) == 0
    assert segmenter.logits(embedding, nothing, np.zeros(0, np.int8)).shape == (0, *embedding.grid.shape)


def test_every_backend_gives_the_same_answer(backend, picture):
    one, other = RegionsSegmenter(backend).embed(picture), RegionsSegmenter().embed(picture)
    for name in ("rank_on_grid", "rank_at_work", "levels", "scores", "stability", "features"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_finds_the_things_of_the_scene(segmenter):
    image, truth = scene(480, 320), scene_labels(480, 320)
    labels = Esam(segmenter).segment(image).labels
    best = [
        max(((labels == k) & (truth == t)).sum() / ((labels == k) | (truth == t)).sum() for k in np.unique(labels))
        for t in np.unique(truth)
    ]
    assert np.mean(best) > 0.5


def test_nodes_are_ranges_of_ranks():
    h = hierarchy(scene(150, 100))
    ranks = h.rank[h.leaf]
    assert sorted(h.rank.tolist()) == list(range(h.tree.leaves))
    for node in range(len(h.tree.parent)):
        assert ((ranks >= h.first[node]) & (ranks < h.last[node])).sum() == h.tree.area[node]
        over = h.tree.parent[node]
        assert over < 0 or h.first[over] <= h.first[node] < h.last[node] <= h.last[over]


def chain(*features):
    """The tree over a row of regions of 1, 2, 3 ... pixels."""
    labels = np.repeat(np.arange(len(features), dtype=np.int32), np.arange(len(features)) + 1)[None]
    values = np.array(features, np.float32)[labels][..., None]
    return region_tree(labels, np.zeros(labels.shape, np.float32), values)


def test_levels_by_hand():
    tree = chain(0, 1, 8, 30)  # areas 1 2 3 4; nodes 4 = {0, 1} of 3, 5 = {0, 1, 2} of 6, 6 = all
    assert tree.parent.tolist() == [4, 4, 5, 6, 5, 6, -1]
    assert (tree.scaled_height <= LEVEL).tolist() == [True] * 7
    # All merges are low: everything's object. Half of it is 5: the best node below on each path.
    scores = np.array([0.1, 0.6, 0.2, 0.3, 0.5, 0.7, 3.0])
    assert choose_levels(tree, scores).tolist() == [[0, 4, 6], [1, 1, 6], [2, 2, 6], [3, 3, 6]]
    # The last merge is high: 5 and 3 are the objects; 4 has half of 5; 0 has at most half of 4; 1 has not.
    tree = chain(0, 1, 8, 60)
    assert (tree.scaled_height <= LEVEL).tolist() == [True] * 6 + [False]
    scores = np.array([0.1, 0.3, 0.2, 2.0, 0.5, 2.0, 9.0])
    assert choose_levels(tree, scores).tolist() == [[0, 4, 5], [4, 4, 5], [2, 2, 5], [3, 3, 3]]


def test_stability_is_the_share_of_the_parents_height():
    tree = chain(0, 1, 8, 30)
    lasting = stability(tree)
    assert lasting[:4].tolist() == [1, 1, 1, 1]
    assert lasting[4] == 1 - tree.height[4] / tree.height[5]
    assert lasting[6] == 1
    assert (stability(chain(2, 2, 2)) >= 0).all()


def test_calibration_is_small_readable_and_says_where_it_is_from():
    text = HOME.joinpath("calibration.json").read_text("utf-8")
    assert len(text) < 120_000
    assert max(map(len, text.splitlines())) < 1200
    data = json.loads(text)
    assert "BSDS500" in data["note"]
    assert "non-commercial research and education" in data["note"]


def test_calibration_reaches_its_target():
    held_out = json.loads(HOME.joinpath("calibration.json").read_text("utf-8"))["held out"]
    assert held_out["correlation, nodes weighted by area (as a point meets them)"] >= 0.85
    assert held_out["correlation, all nodes"] >= 0.85


def test_prediction_reads_the_trees_as_the_note_says():
    of_nodes = properties(hierarchy(scene(150, 100)))
    data = json.loads(HOME.joinpath("calibration.json").read_text("utf-8"))
    predicted = predict_iou(of_nodes)
    for node in (0, len(predicted) // 2, len(predicted) - 1):
        total = data["base"]
        for tree in data["trees"]:
            question = 0
            while question < len(tree["if"]):
                yes = of_nodes[data["properties"][tree["if"][question]]][node] > tree["above"][question]
                question = 2 * question + (2 if yes else 1)
            total += tree["add"][question - len(tree["if"])]
        assert predicted[node] == min(max(total, 0), 1)


def test_notice_is_one_honest_line():
    assert "\n" not in NOTICE
    assert "SAM segments far better" in NOTICE
