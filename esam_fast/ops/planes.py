"""Logit planes of entities: the maximum of their members', cut where the split gave an overlap away."""

from __future__ import annotations

from typing import Any

import numpy as np

from esam_fast import _arrays, _check
from esam_fast.masks import Float, Int, PackedMasks

LEAST = np.float32(1e-6)  # of a logit whose bit is set


def entity_planes(logits: Any, masks: PackedMasks, kept: PackedMasks, owner: Int, entities: PackedMasks) -> Any:
    """One logit plane an entity, for `draw_labels`.

    The plane is the maximum over the entity's members. Where a member lost pixels, its logit becomes
    min(its own, -the holder's), so that the border is the holder's zero line and not a staircase. Where a sign
    contradicts the decided bit, the bit wins.

    Args:
        logits: [M, h, w] float32, finite, of M members; NumPy or a torch tensor, as the masks.
        masks: PackedMasks, M, the members as they came.
        kept: PackedMasks, M, disjoint: the pixels that each member still holds.
        owner: [M] int64, the entity of each member.
        entities: PackedMasks, K.

    Returns:
        [K, h, w] float32; it lives where the logits do.

    Raises:
        TypeError: wrong dtype. ValueError: wrong shape, device or range; the message names the argument.
    """
    m = len(_check.packed("masks", masks))
    _check.packed("kept", kept, masks)
    _check.packed("entities", entities, masks)
    logits = _check.finite_either("logits", logits, (m, *masks.shape))
    owner = _check.indices("owner", owner, 0, len(entities), (m,))
    if not _arrays.is_tensor(logits):
        return _on_host(logits, masks, kept, owner, entities)
    from esam_fast._torch.planes import entity_planes

    return entity_planes(logits, masks.words, kept.words, owner, entities.words, LEAST)


def _on_host(logits: Float, masks: PackedMasks, kept: PackedMasks, owner: Int, entities: PackedMasks) -> Float:
    m, h, w = logits.shape
    flat = logits.reshape(m, h * w).copy()
    holder = np.full(h * w, np.nan, np.float32)
    for i in range(m):
        pixels = kept.pixels(i)
        holder[pixels] = flat[i, pixels]
    planes = np.full((len(entities), h * w), -np.inf, np.float32)
    taken = PackedMasks.from_words(masks.words & ~kept.words, (h, w))
    for i in range(m):
        lost = taken.pixels(i)
        theirs = np.where(np.isnan(holder[lost]), np.abs(flat[i, lost]), holder[lost])
        flat[i, lost] = np.minimum(flat[i, lost], -theirs)
        plane = planes[owner[i]]
        np.maximum(plane, flat[i], out=plane)
    for k in range(len(entities)):
        plane, pixels = planes[k], entities.pixels(k)
        held = plane[pixels]
        np.negative(np.abs(plane, out=plane), out=plane)
        plane[pixels] = np.where(held > 0, held, np.maximum(-held, LEAST))
    return planes.reshape(-1, h, w)
