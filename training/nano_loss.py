"""SAM's loss for several true regions a point: focal and dice of the masks, squared error of the predicted IoU.

And one for the embedding: cells of one region lie close.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

FOCAL = 4.0  # weight of the focal loss beside dice
NEAR = 32.0  # squared distance of two cells of the embedding that counts as one logit


def mask_costs(logits: Tensor, targets: Tensor, content: Tensor) -> Tensor:
    """Focal and dice loss of every mask with every region: [N, K, T].

    The focal loss is a mean over the region plus one over the rest: with a mean over all pixels, as SAM has it, a short
    training stays with empty masks. Both losses are sums over pixels of something of the logit alone, times the
    region's bit: matrix products.

    Args:
        logits: float32 [N, K, pixels]. targets: float32 [N, T, pixels], 0 or 1. content: float32 [pixels], what counts.
    """
    share = logits.sigmoid()
    inside = (1 - share).square() * F.softplus(-logits)
    outside = share.square() * F.softplus(logits) * content
    share = share * content
    regions = targets.transpose(1, 2)  # [N, pixels, T]
    area = targets.sum(-1)[:, None]  # [N, 1, T]
    rest = (outside.sum(-1, keepdim=True) - outside @ regions) / (content.sum() - area).clamp(min=1)
    focal = (inside @ regions) / area.clamp(min=1) + rest
    dice = 1 - (2 * (share @ regions) + 1) / (share.sum(-1, keepdim=True) + area + 1)
    return FOCAL * focal + dice


def assign(costs: Tensor, counts: Tensor) -> Tensor:
    """Which mask each region goes to, by the least sum of costs: bool [N, K, T].

    Masks and regions keep their order, so that regions by area ascending make masks that nest; of K regions each mask
    gets one, a single region goes to the best mask.

    Args:
        costs: [N, K, T]. counts: int64 [N], 1..T regions that there are.
    """
    n, k, t = costs.shape
    chosen = torch.zeros(n, k, t, dtype=torch.bool)
    for count in range(1, t + 1):
        rows = torch.nonzero(counts == count)[:, 0]
        options = torch.tensor(list(combinations(range(k), count)))  # [options, count]
        regions = torch.arange(count)
        best = options[costs[rows][:, options, regions].sum(-1).argmin(1)]  # [rows, count]
        chosen[rows[:, None], best, regions] = True
    return chosen


def true_ious(logits: Tensor, regions: Tensor, content: Tensor) -> Tensor:
    """IoU of every mask with the region that it fits best: [N, K], logits and regions [N, P, pixels]."""
    masks = ((logits > 0) & (content > 0)).float()
    inter = masks @ regions.transpose(1, 2)
    union = masks.sum(-1, keepdim=True) + regions.sum(-1)[:, None] - inter
    return (inter / union.clamp(min=1)).amax(-1)


def losses(logits: Tensor, scores: Tensor, targets: Tensor, counts: Tensor, regions: Tensor, content: Tensor,
           *, whole: bool) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Loss of the masks and of their scores float32 [N, K], of one photograph.

    whole: whether the regions are all that people see at the point; if not, a mask that no region was assigned to may
    be right, and nothing is said about its score.
    """
    costs = mask_costs(logits, targets, content)
    chosen = assign(costs.detach(), counts)
    mask = ((costs * chosen).sum((1, 2)) / counts).mean()
    with torch.no_grad():
        ious = true_ious(logits, regions, content)
    said = torch.ones_like(scores) if whole else chosen.any(-1).float()
    return mask, ((scores - ious).square() * said).sum() / said.sum()


def affinity(embedding: Tensor, cells: Tensor, regions: Tensor, content: Tensor) -> Tensor:
    """Cross-entropy of "this cell belongs to the region of the point's cell", by the share of people who say so.

    Args:
        embedding: float32 [C, h, w].
        cells: int64 [N], the points' cells.
        regions: float32 [N, P, grid, grid], everybody's region at the point. content: float32 [grid, grid].
    """
    flat = embedding.flatten(1)  # [C, h w]
    distance = (flat[:, cells, None] - flat[:, None]).square().sum(0)  # [N, h w]
    step = regions.shape[-1] // embedding.shape[-1]
    at = slice(step // 2, None, step)  # of the grid, what lies over the centres of cells
    said, shown = regions[..., at, at].mean(1).flatten(1), content[at, at].flatten()
    loss = F.binary_cross_entropy_with_logits(2 - distance / NEAR, said, reduction="none")
    return (loss * shown).sum() / (shown.sum() * len(cells))
