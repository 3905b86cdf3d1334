"""Logit planes of entities: the maximum of their members', lowered where a member lost an overlap."""

from __future__ import annotations

import numpy as np

from esam_fast import _arrays, _check
from esam_fast._arrays import Array
from esam_fast._backend import resolve, run
from esam_fast.masks import Float, Int, PackedMasks, check_masks

LEAST = np.float32(1e-6)  # of a logit whose bit is set


def entity_planes(
    logits: Array,
    masks: PackedMasks,
    kept: PackedMasks,
    owner: Int,
    entities: PackedMasks,
    *,
    backend: str | None = None,
) -> Array:
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
        backend: see `draw_labels`. It measures masks; the planes themselves are computed in NumPy for NumPy logits and
            in torch for tensors.

    Returns:
        [K, h, w] float32; it lives where the logits do.

    Raises:
        TypeError: wrong dtype. ValueError: wrong shape, device or range; the message names the argument.
        BackendUnavailable: a backend asked for by name is not here.
    """
    m = len(check_masks("masks", masks))
    check_masks("kept", kept, masks)
    check_masks("entities", entities, masks)
    logits = _check.finite_array_or_tensor("logits", logits, (m, *masks.shape))
    owner = _check.indices("owner", owner, 0, len(entities), (m,))
    resolve(backend, logits)
    if not _arrays.is_tensor(logits):
        return _in_numpy(logits, masks, kept, owner, entities, backend)
    planes = _arrays.empty(logits, (len(entities), *masks.shape), np.float32)
    run("planes.entity_planes", "torch", logits, masks.raw, kept.raw, owner, entities.raw, float(LEAST), out=(planes,))
    return planes


def _in_numpy(
    logits: Float, masks: PackedMasks, kept: PackedMasks, owner: Int, entities: PackedMasks, backend: str | None
) -> Float:
    m, h, w = logits.shape
    flat = logits.reshape(m, h * w).copy()
    holder = np.full(h * w, np.nan, np.float32)
    for i in range(m):
        pixels = kept.pixels(i)
        holder[pixels] = flat[i, pixels]
    planes = np.full((len(entities), h * w), -np.inf, np.float32)
    taken = PackedMasks._measured(masks.words & ~kept.words, (h, w), backend)
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
