"""The nano SAM: what it is trained on and for, and that `SamSegmenter` runs it at its sizes as it runs SAM."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from sam_models import SamSegmenter, official, photo, spread, torch

sys.path.insert(0, str(Path(__file__).parents[2] / "training"))
from nano_data import Photograph, _distinct, crop
from nano_loss import FOCAL, affinity, assign, losses, mask_costs, true_ious
from nano_network import SIDE, WIDTH, nano_sam

from esam_fast.segmenters.sam.decoder import FoldedDecoder


def halves() -> Photograph:
    """60 x 120 pixels, red on the left, blue on the right; two people: both halves, and the left one in quarters."""
    image = np.zeros((60, 120, 3), np.uint8)
    image[:, :60, 0] = image[:, 60:, 2] = 200
    one = np.ones((60, 120), np.uint16)
    one[:, 60:] = 2
    other = one.copy()
    other[30:, :60] = 3
    return Photograph(image, np.stack([one, other]), whole=True)


@pytest.mark.parametrize("seed", range(5))
def test_targets_of_a_crop_hold_its_points_and_nest(seed: int) -> None:
    made = crop(halves(), 128, 24, np.random.default_rng(seed))
    assert made.picture.shape == (3, 128, 128)
    assert made.content.shape == (32, 32)
    col, row = (made.points // 4).astype(int).T
    assert made.content[row, col].all()
    red = made.picture[0] > made.picture[2]
    for i in range(24):
        targets = made.targets[i, : made.counts[i]].astype(bool)
        assert targets[:, row[i], col[i]].all()
        assert not (targets & ~made.content).any()
        assert (targets[:-1] <= targets[1:]).all()
        same = red[2::4, 2::4] == red[2::4, 2::4][row[i], col[i]]
        assert ((targets[-1] != same) & made.content).sum() <= 40  # the colours' border, a grid pixel or so
    assert set(made.counts) <= {1, 2}


def test_regions_that_people_agree_on_count_once() -> None:
    masks = np.zeros((4, 100), bool)
    masks[0, :50] = masks[1, :48] = masks[2, :10] = masks[3, :100] = True
    assert _distinct(masks).sum(axis=1).tolist() == [10, 48, 100]


def test_the_costs_are_focal_and_dice_of_each_mask_and_region() -> None:
    torch.manual_seed(0)
    logits, content = torch.randn(2, 3, 40), torch.ones(40)
    content[35:] = 0
    targets = (torch.rand(2, 2, 40) < 0.4).float() * content
    share = logits.sigmoid()
    for n, k, t in np.ndindex(2, 3, 2):
        p, y = share[n, k, :35], targets[n, t, :35]
        focal = torch.where(y > 0, -((1 - p) ** 2) * p.log(), -(p**2) * (1 - p).log())
        dice = 1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)
        expected = FOCAL * (focal[y > 0].mean() + focal[y == 0].mean()) + dice
        assert mask_costs(logits, targets, content)[n, k, t].item() == pytest.approx(expected.item(), rel=1e-4)


def test_regions_go_to_masks_in_order() -> None:
    costs = torch.tensor([[[5.0, 9, 9], [1, 9, 9], [2, 9, 9]], [[1, 0, 9], [0, 9, 9], [9, 3, 9]], [[9, 0, 0]] * 3])
    chosen = assign(costs, torch.tensor([1, 2, 3]))
    assert chosen.nonzero().tolist() == [[0, 1, 0], [1, 1, 0], [1, 2, 1], [2, 0, 0], [2, 1, 1], [2, 2, 2]]


def test_scores_learn_the_iou_with_the_region_that_fits_best() -> None:
    logits = torch.tensor([[[1.0, 1, -1, -1], [1, 1, 1, 1], [-1, -1, -1, -1]]])
    regions = torch.tensor([[[1.0, 0, 0, 0], [1, 1, 1, 0]]])
    content = torch.tensor([1.0, 1, 1, 0])
    assert true_ious(logits, regions, content)[0].tolist() == pytest.approx([2 / 3, 1, 0])
    scores = torch.tensor([[2 / 3, 0.5, 0.0]])
    everything, one = (
        losses(logits, scores, regions[:, 1:], torch.tensor([1]), regions, content, whole=whole)[1].item()
        for whole in (True, False)
    )
    assert everything == pytest.approx(0.25 / 3, abs=1e-6)  # the second mask's score is half off
    assert one == pytest.approx(0.25)  # and it is the one that the region went to


def test_cells_of_one_region_are_drawn_together() -> None:
    regions = torch.zeros(1, 1, 8, 8)
    regions[..., :4] = 1  # the left column of 2 x 2 cells
    cells, content = torch.tensor([0]), torch.ones(8, 8)
    apart = torch.zeros(32, 2, 2)
    apart[:, :, 1] = 5.0
    assert affinity(apart, cells, regions, content) < affinity(-apart * 0, cells, regions, content)
    assert affinity(apart, cells, regions, content) < affinity(apart.transpose(1, 2), cells, regions, content)


@pytest.mark.parametrize("seed", range(2))
def test_the_folded_decoder_gives_the_official_answers_at_these_sizes(seed: int) -> None:
    torch.manual_seed(seed)
    sam, image = nano_sam().eval(), photo(150, 220, seed)
    spread(sam)
    points = np.random.default_rng(seed).uniform(0, (220, 150), (21, 2)).astype(np.float32)
    segmenter = SamSegmenter(sam)
    assert isinstance(segmenter._decoder, FoldedDecoder)
    embedding = segmenter.embed(image)
    assert embedding.grid.shape == (SIDE // 4, SIDE // 4)
    assert embedding.features.shape == (WIDTH, 22, 32)  # 150 / 220 of 32 cells, rounded
    logits, scores = segmenter.decode(embedding, points)
    _, exact_logits, exact_scores = official(sam, image, points)
    assert exact_logits.std() > 0.5
    assert (logits - exact_logits).abs().max() < 1e-3
    assert (scores - exact_scores).abs().max() < 1e-4
