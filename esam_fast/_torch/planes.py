"""One logit plane an entity, lowered where a member lost an overlap."""

from __future__ import annotations

import torch

from esam_fast._arrays import Array, Int64s, Masks
from esam_fast._torch.bits import labels_of, put, tensor, unpack


def entity_planes(
    planes: Array, masks: Masks, kept: Masks, owner: Int64s, entities: Masks, least: float, out: Array
) -> None:
    """See `esam_fast.ops.entity_planes`: planes [M, h, w] of M masks, what they keep, and K entities: out [K, h, w]."""
    logits = tensor(planes)
    m, h, w = logits.shape
    pixels = h * w
    flat = logits.reshape(m, pixels)
    most = flat.new_full((len(out), pixels), -torch.inf)
    if m:
        words, kept_words = tensor(masks[0]), tensor(kept[0])
        holder = labels_of(kept_words, (h, w)).view(1, pixels).long()
        theirs = flat.gather(0, holder.clamp(min=0))
        theirs = torch.where(holder >= 0, theirs, flat.abs())
        flat = torch.where(unpack(words & ~kept_words, pixels), torch.minimum(flat, -theirs), flat)
        most.scatter_reduce_(0, tensor(owner, logits)[:, None].expand_as(flat), flat, "amax")
    inside = torch.where(most > 0, most, (-most).clamp(min=least))
    put(out, torch.where(unpack(tensor(entities[0]), pixels), inside, -most.abs()).view(-1, h, w))
