"""One logit plane an entity, cut where the split gave an overlap away."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from esam_fast._torch.bits import Int64s, labels_of, tensor, unpack


def entity_planes(
    logits: Tensor, masks: Tensor, kept: Tensor, owner: Int64s, entities: Tensor, least: np.float32
) -> Tensor:
    """See `esam_fast.ops.entity_planes`: logits [M, h, w], words of M masks, of what they keep, and of K entities."""
    m, h, w = logits.shape
    pixels = h * w
    flat = logits.reshape(m, pixels)
    planes = flat.new_full((len(entities), pixels), -torch.inf)
    if m:
        holder = labels_of(kept, (h, w)).view(1, pixels).long()
        theirs = flat.gather(0, holder.clamp(min=0))
        theirs = torch.where(holder >= 0, theirs, flat.abs())
        flat = torch.where(unpack(masks & ~kept, pixels), torch.minimum(flat, -theirs), flat)
        planes.scatter_reduce_(0, tensor(owner, logits)[:, None].expand_as(flat), flat, "amax")
    inside = torch.where(planes > 0, planes, (-planes).clamp(min=float(least)))
    return torch.where(unpack(entities, pixels), inside, -planes.abs()).view(-1, h, w)
