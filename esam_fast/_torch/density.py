"""Mean of a plane over each mask."""

from __future__ import annotations

import numpy as np

from esam_fast._torch.bits import Doubles, Masks, tensor, unpack


def mask_mean(masks: Masks, plane: Doubles, out: Doubles) -> None:
    """Mean of plane [h * w] over each mask: out [N], 0 for an empty one.

    The sum is taken in pixel order, which torch promises on no device: NumPy adds up, one by one.
    """
    words, area, _, _, _ = masks
    packed = tensor(words)
    mask, word = packed.nonzero(as_tuple=True)
    which, bit = unpack(packed[mask, word, None], 64).nonzero(as_tuple=True)
    pixels = (word[which] * 64 + bit).cpu().numpy()
    total = np.bincount(mask[which].cpu().numpy(), plane[pixels], len(area))
    out[:] = np.where(area > 0, total / np.maximum(area, 1), 0.0)
