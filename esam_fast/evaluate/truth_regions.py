"""The world a simulated SAM sees: entities from a label map, cut into parts, with the places where it errs."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast.masks import Bool, Float, Int, MaskGrid

SIDE = 256  # of SAM's mask grid
SUBPART, PART, ENTITY, HALF, PAIR = range(5)
_KIND = 1 << 20  # region number = kind * _KIND + label, doubled, plus 1 where it bleeds

CHANNELS = 32  # of the features
FEATURE_SIDE = 64
PIECE = 40  # grid pixels: smaller regions are not cut


class TruthRegions:
    """Regions on SAM's grid over one label map.

    Args:
        labels: int [H, W], the entities; every value is one.
        key: seeds everything random.
        patch: size of the patches in which faults come, grid pixels (a Gaussian's sigma).
    """

    def __init__(self, labels: NDArray[np.int32], key: list[int], patch: float) -> None:
        height, width = labels.shape
        scale = 4 * SIDE / max(height, width)
        self.grid = MaskGrid(SIDE, SIDE, int(height * scale + 0.5) / 4, int(width * scale + 0.5) / 4, height, width)
        self.content = (self.grid.rows, self.grid.cols)
        self._key, self._patch = key, patch
        rng = np.random.default_rng([*key, 0])
        row = ((np.arange(self.grid.rows) + 0.5) * height / self.grid.content_height).astype(np.int64)
        col = ((np.arange(self.grid.cols) + 0.5) * width / self.grid.content_width).astype(np.int64)
        entity = _dense(labels[np.minimum(row, height - 1)[:, None], np.minimum(col, width - 1)])
        warp = np.stack([smooth_noise(self.content, 8.0, rng) for _ in range(2)]) * 6.0
        part = _cut(entity, (2, 4), warp, rng)
        subpart = _cut(part, (2, 3), warp, rng)
        half = _cut(entity, (2, 2), warp, rng)
        self._maps = [subpart, part, entity, half, entity]
        self._neighbour = _neighbours(entity, rng)
        self._owner = [_owners(labels, entity) for labels in (subpart, part, entity, half)]

    # -- regions by number

    def region_at(self, kind: int, pixel: Int) -> Int:
        """The region of this kind under content pixels [N]: int64 [N]."""
        return (kind * _KIND + self._maps[kind].ravel()[pixel].astype(np.int64)) * 2

    def bleeding(self, regions: Int, bleeds: Bool) -> Int:
        """The regions, those marked with what bleeds out of them."""
        return regions + bleeds

    def is_whole(self, regions: Int) -> Bool:
        """Which of the regions hold a whole entity or more."""
        kind = regions // 2 // _KIND
        return (kind == ENTITY) | (kind == PAIR)

    def meant(self, region: int) -> Bool:
        """The region without what bleeds: bool [rows, cols]."""
        kind, label = divmod(region // 2, _KIND)
        mask = self._maps[kind] == label
        return mask | (self._maps[ENTITY] == self._neighbour[label]) if kind == PAIR else mask

    def mask(self, region: int) -> Bool:
        """The region: bool [rows, cols]."""
        mask = self.meant(region)
        return mask | self._leak(mask, region) if region % 2 else mask

    def entity_of(self, region: int) -> Bool:
        """The entity that the region's prompts lie in: bool [rows, cols]."""
        kind, label = divmod(region // 2, _KIND)
        owner = label if kind == PAIR else self._owner[kind][label]
        return self._maps[ENTITY] == owner

    def _leak(self, mask: Bool, region: int) -> Bool:
        """A disc around a place on the border, as far as it lies in the entity across the border there."""
        rng = np.random.default_rng([*self._key, 2, region])
        ring = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.bool_) & ~mask
        y, x = np.nonzero(ring)
        if len(y) == 0:
            return ring
        at = rng.integers(len(y))
        radius = np.clip(0.5 * np.sqrt(mask.sum()), 4, 30)
        rows, cols = np.ogrid[: self.content[0], : self.content[1]]
        disc = (rows - y[at]) ** 2 + (cols - x[at]) ** 2 < radius**2
        return disc & ~mask & (self._maps[ENTITY] == self._maps[ENTITY][y[at], x[at]])

    # -- where it errs

    def strikes(self, fault: int, pixel: Int, rate: float, stray: NDArray[np.float64]) -> Bool:
        """Whether fault number `fault` strikes at content pixels [N], given its rate.

        Args:
            fault: its number. pixel: int64 [N]. rate: share of the area that it strikes.
            stray: float64 [N], a chance in [0, 1) where a prompt errs regardless of its place, else negative.
        """
        chance = np.where(stray < 0, self._ranks[fault].ravel()[pixel], stray)
        return chance < rate

    def is_distrusted(self, pixel: Int, rate: float) -> Bool:
        """Whether content pixels [N] lie in one of the entities that nobody trusts, given their share."""
        chance = np.random.default_rng([*self._key, 6]).random(int(self._maps[ENTITY].max()) + 1)
        return chance[self._maps[ENTITY].ravel()[pixel]] < rate

    def is_unstable(self, region: int, share: float) -> bool:
        """Whether the region's masks are unstable, given the share of such; halves and pairs go with their entity."""
        kind, label = divmod(region // 2, _KIND)
        if kind == HALF:
            label = self._owner[HALF][label]
        return bool(np.random.default_rng([*self._key, 7, min(kind, ENTITY), int(label)]).random() < share)

    def noise_at(self, k: int, pixel: Int) -> Float:
        """Smooth noise of unit variance at content pixels [N]."""
        return self._noise[k].ravel()[pixel]

    @cached_property
    def _ranks(self) -> list[NDArray[np.float64]]:
        """For each fault the rank of smooth noise, in [0, 1): patches whose total area is the rate."""
        rng = np.random.default_rng([*self._key, 3])
        found = []
        for _ in range(3):
            noise = smooth_noise(self.content, self._patch, rng).ravel()
            rank = np.empty(noise.size)
            rank[np.argsort(noise, kind="stable")] = np.arange(noise.size) / noise.size
            found.append(rank.reshape(self.content))
        return found

    @cached_property
    def _noise(self) -> list[Float]:
        rng = np.random.default_rng([*self._key, 4])
        return [smooth_noise(self.content, self._patch, rng) for _ in range(3)]

    # -- features

    def features(self, noise: float) -> Float:
        """Image embedding float32 [32, h, w], content only: a vector an entity, some of it the part's, and noise.

        Entities come in a few kinds that share most of their vector, as a wall and a door do.
        """
        rng = np.random.default_rng([*self._key, 5])
        entity, part = self._maps[ENTITY], self._maps[PART]
        scale = FEATURE_SIDE / SIDE
        height = max(1, int(np.ceil(self.grid.content_height * scale)))
        width = max(1, int(np.ceil(self.grid.content_width * scale)))
        at = np.ix_(np.arange(height) * self.content[0] // height, np.arange(width) * self.content[1] // width)
        kinds = rng.normal(size=(8, CHANNELS))
        own = rng.normal(size=(entity.max() + 1, CHANNELS))
        vector = 0.8 * kinds[rng.integers(0, 8, len(own))] + 0.6 * own
        of_part = 0.5 * rng.normal(size=(part.max() + 1, CHANNELS))
        plane = vector[entity[at]] + of_part[part[at]] + noise * rng.normal(size=(height, width, CHANNELS))
        plane = np.dstack([cv2.blur(np.ascontiguousarray(c), (3, 3)) for c in np.moveaxis(plane, 2, 0)])
        return np.ascontiguousarray(plane.transpose(2, 0, 1), np.float32)


def smooth_noise(shape: tuple[int, int], sigma: float, rng: np.random.Generator) -> Float:
    """Gaussian noise of unit variance, smoothed by a Gaussian and periodic: float32 [h, w]."""
    y, x = (np.fft.fftfreq(n) for n in shape)
    gain = np.exp(-2 * (np.pi * sigma) ** 2 * (y[:, None] ** 2 + x[None] ** 2))
    gain[0, 0] = 0.0
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * gain).real
    return (noise / noise.std()).astype(np.float32)


def _dense(labels: NDArray[np.generic]) -> NDArray[np.int64]:
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int64)


def _cut(
    labels: NDArray[np.int64], pieces: tuple[int, int], warp: Float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Each region cut into a few pieces, nearest to random sites of its own, along wavy lines."""
    cut = np.zeros(labels.shape, np.int64)
    order = np.argsort(labels.ravel(), kind="stable")
    bounds = np.searchsorted(labels.ravel()[order], np.arange(labels.max() + 2))
    for label in range(labels.max() + 1):
        flat = order[bounds[label] : bounds[label + 1]]
        count = min(int(rng.integers(pieces[0], pieces[1] + 1)), max(1, len(flat) // PIECE))
        y, x = np.divmod(flat, labels.shape[1])
        sites = rng.integers(0, len(flat), count)
        wy, wx = y + warp[0].ravel()[flat], x + warp[1].ravel()[flat]
        distance = (wy[:, None] - wy[sites]) ** 2 + (wx[:, None] - wx[sites]) ** 2
        cut.ravel()[flat] = label * 8 + distance.argmin(axis=1)
    return _dense(cut)


def _neighbours(labels: NDArray[np.int64], rng: np.random.Generator) -> Int:
    """For each region one that it touches, drawn by the length of their border; itself if it touches none."""
    n = int(labels.max()) + 1
    border = np.zeros((n, n))
    for a, b in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        np.add.at(border, (a[a != b], b[a != b]), 1)
    border += border.T
    return np.array([rng.choice(n, p=row / row.sum()) if row.any() else i for i, row in enumerate(border)], np.int64)


def _owners(labels: NDArray[np.int64], entity: NDArray[np.int64]) -> Int:
    """The entity of each region: int64."""
    owner = np.zeros(int(labels.max()) + 1, np.int64)
    owner[labels.ravel()] = entity.ravel()
    return owner
