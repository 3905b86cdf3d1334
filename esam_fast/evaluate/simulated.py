"""A simulated SAM: answers point prompts from a ground-truth label map, with SAM's habits and faults.

No network runs. Each annotated entity is cut into parts and subparts, and a prompt's three masks are the regions
under it at each level, their borders jittered. Faults come in patches, so that prompts near each other err alike:
a mask joins two entities, covers half of one, bleeds into a neighbour, or its score is too low to be kept. Scores
follow the quality of the mask. Every answer depends on its own prompt, the label map and the seed, never on the batch.

It shows what the stages repair when masks err in these ways. It cannot show what SAM's own masks would give.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast.evaluate.truth_regions import TruthRegions, smooth_noise
from esam_fast.masks import Bool, Float, Int, MaskGrid, PackedMasks, PointMasks, words_per_mask

SLOPE = 12.0  # logits a grid pixel across a border
LIMIT = 24.0  # logits end here: farther than two grid pixels from its border a mask is sure
FLAT = 1 / 64  # times the logits of unstable regions, which are then all within 0.75 of 0
TILE = 512  # side of the periodic texture that jitters borders


@dataclass(frozen=True)
class Faults:
    """How the simulated SAM errs. Rates are shares of the image's area, 0 to 1.

    Attributes:
        join: the object mask takes a neighbouring entity in; the entity itself is then the part level.
        halve: the object mask is one half of the entity.
        bleed: the object mask runs over its border into a neighbour, over a disc.
        weak: no prompt trusts the entity as a whole: masks of it, or of more, score `weak_loss` too low.
        unstable: share of the subparts, of the parts and of the entities whose masks have stability 0, which SAM's
            filter drops; pairs and halves are as stable as their entity.
        stray: share of prompts that err, or not, regardless of their place.
        patch: size of the patches in which faults come, grid pixels (a Gaussian's sigma).
        jitter: standard deviation of borders, grid pixels.
        weak_loss: see weak; score units.
        score_noise: standard deviation of scores, half of its variance in patches; score units.
        entity_share: how much of the quality that scores follow is agreement with the entity, rather than with
            whatever the mask was meant to be; see REGIMES.
        feature_noise: noise of the embedding features, in lengths of an entity's own vector.
    """

    join: float = 0.2
    halve: float = 0.2
    bleed: float = 0.2
    weak: float = 0.2
    unstable: float = 0.0
    stray: float = 0.03
    patch: float = 32.0
    jitter: float = 0.7
    weak_loss: float = 0.12
    score_noise: float = 0.025
    entity_share: float = 0.0
    feature_noise: float = 1.0

    def scaled(self, factor: float) -> Faults:
        """With the four rates multiplied, at most 1; the places that err at a lower rate err at a higher one too."""
        rates = {name: min(1.0, getattr(self, name) * factor) for name in ("join", "halve", "bleed", "weak")}
        return replace(self, **rates)


# The settings of `esam-fast ablate --simulated`. What scores know: nothing of which level is the entity (a part or a
# pair scores as high), or that it is favoured. Most regions are unstable, so that the lists that SAM's filter leaves
# cover half of an image, as a real one does (docs/EVIDENCE.md).
REGIMES = {"blind": Faults(unstable=0.8), "entity": Faults(unstable=0.8, entity_share=0.16)}


@dataclass(frozen=True)
class SimulatedEmbedding:
    """One image, ready to be prompted."""

    grid: MaskGrid
    features: Float


class _Region:
    """One region's signed distance to its border, as logits, and its packed bits where jitter cannot reach.

    Attributes:
        band: int64 [B], flat grid index of the pixels near the border. field: float32 [B], their logits.
        core: uint64 [W], packed pixels deep inside. core_area: their number.
        words: int64, the words that the band touches; starts: where each one's bits begin in the band.
    """

    def __init__(self, mask: Bool, grid: MaskGrid) -> None:
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        reach = int(LIMIT / SLOPE) + 2
        self.top, self.left = max(0, rows[0] - reach), max(0, cols[0] - reach)
        crop = mask[self.top : rows[-1] + reach + 1, self.left : cols[-1] + reach + 1]
        bits = crop.astype(np.uint8)
        inside = cv2.distanceTransform(np.pad(bits, 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1]
        outside = cv2.distanceTransform(1 - bits, cv2.DIST_L2, 5)
        self.logits = np.clip((np.where(crop, inside, -outside) + np.where(crop, -0.5, 0.5)) * SLOPE, -LIMIT, LIMIT)
        self.logits = self.logits.astype(np.float32)
        y, x = np.nonzero(np.abs(self.logits) < LIMIT)
        self.field = self.logits[y, x]
        self.band = (y + self.top) * grid.width + x + self.left
        self.y, self.x = y + self.top, x + self.left
        sure = np.zeros((1, *grid.shape), np.bool_)
        sure[0, self.top : self.top + crop.shape[0], self.left : self.left + crop.shape[1]] = self.logits >= LIMIT
        packed = PackedMasks.from_bool(sure)
        self.core, self.core_area = packed.words[0], int(packed.area[0])
        self.words, self.starts = np.unique(self.band // 64, return_index=True)
        self.area = int(bits.sum())


class SimulatedSegmenter:
    """Offers the `Segmenter` protocol over one image's ground truth.

    Args:
        labels: int32 [H, W], the entities 1..N; 0, where nothing is annotated, is a region like any other.
        name: of the image; with the seed it decides every cut and fault.
        faults: how it errs.
        seed: which cuts, and where it errs.
    """

    name = "simulated"
    score_threshold = 0.88
    stability_threshold = 0.95

    def __init__(self, labels: NDArray[np.int32], name: str, faults: Faults | None = None, seed: int = 0) -> None:
        self.faults = Faults() if faults is None else faults
        self._key = [seed, zlib.crc32(name.encode())]
        self.scene = TruthRegions(labels, self._key, self.faults.patch)
        self.grid = self.scene.grid
        self._regions: dict[int, _Region] = {}
        self._agreement: dict[int, float] = {}

    @cached_property
    def _texture(self) -> Float:
        """Border noise in logits, float32, periodic and repeated so that any offset below TILE can be read."""
        noise = smooth_noise((TILE, TILE), 4.0, np.random.default_rng([*self._key, 1]))
        noise = np.clip(noise * self.faults.jitter * SLOPE, -LIMIT + 2, LIMIT - 2)
        return np.pad(noise, ((0, self.grid.height), (0, self.grid.width)), mode="wrap").astype(np.float32)

    def embed(self, image: NDArray[np.uint8]) -> SimulatedEmbedding:
        """The embedding; the image itself is not looked at, only its size is checked."""
        if image.shape[:2] != (self.grid.image_height, self.grid.image_width):
            raise ValueError(f"image must have the annotated size, got {image.shape[0]} x {image.shape[1]}")
        return SimulatedEmbedding(self.grid, self.scene.features(self.faults.feature_noise))

    def masks(self, embedding: Any, points: Float, *, min_score: float | None = None) -> PointMasks:
        n, width = len(points), words_per_mask(self.grid.shape)
        regions = self._asked(points)
        words = np.zeros((n * 3, width), np.uint64)
        area, quality, stability = np.zeros(n * 3, np.int64), np.zeros(n * 3), np.zeros(n * 3)
        offset = self._offsets(points).ravel()
        for one in np.unique(regions):
            at = np.flatnonzero(regions.ravel() == one)
            region = self._region(int(one))
            logits = self._texture.ravel()[offset[at][:, None] + self._reads(region)] + region.field
            bits, meant = logits > 0, region.field > 0
            words[at] = region.core
            if len(region.band):
                shifted = bits.astype(np.uint64) << (region.band % 64).astype(np.uint64)
                words[np.ix_(at, region.words)] |= np.bitwise_or.reduceat(shifted, region.starts, axis=1)
            area[at] = region.core_area + bits.sum(axis=1)
            hit = region.core_area + (bits & meant).sum(axis=1)
            quality[at] = hit / np.maximum(region.area + area[at] - hit, 1) * self._faithfulness(int(one))
            if self._is_unstable(int(one)):
                continue
            high, low = (region.core_area + (logits > v).sum(axis=1) for v in (1.0, -1.0))
            stability[at] = high / np.maximum(low, 1)
        scores = self._scores(points, quality.reshape(n, 3), regions)
        channels = np.argsort(area.reshape(n, 3), axis=1, kind="stable")
        rows = np.arange(n)[:, None]
        masks = PackedMasks.from_words(words[(rows * 3 + channels).ravel()], self.grid.shape)
        return PointMasks(
            masks,
            scores[rows, channels],
            stability.reshape(n, 3)[rows, channels].astype(np.float32),
            channels.astype(np.int8),
        )

    def logits(self, embedding: Any, points: Float, channels: NDArray[np.int8]) -> Float:
        planes = np.full((len(points), *self.grid.shape), -LIMIT, np.float32)
        rows = np.arange(len(points))
        for i, (one, offset) in enumerate(
            zip(self._asked(points)[rows, channels], self._offsets(points)[rows, channels], strict=True)
        ):
            region = self._region(int(one))
            h, w = region.logits.shape
            y, x = np.divmod(int(offset), self._texture.shape[1])
            noise = self._texture[y + region.top : y + region.top + h, x + region.left : x + region.left + w]
            near = np.abs(region.logits) < LIMIT
            planes[i, region.top : region.top + h, region.left : region.left + w] = region.logits + noise * near
            if self._is_unstable(int(one)):
                planes[i] *= FLAT
        return planes

    # -- which regions a prompt gets

    def _asked(self, points: Float) -> Int:
        """The region of each channel (0 subpart, 1 part, 2 object): int64 [N, 3]."""
        scene, faults = self.scene, self.faults
        pixel = self._content_pixels(points)
        subpart, part, entity, half, pair = (scene.region_at(kind, pixel) for kind in range(5))
        stray = _chance(points, self._key[0] + 5)
        joins, halves, bleeds = (
            scene.strikes(k, pixel, rate, np.where(stray < faults.stray, _chance(points, self._key[0] + 11 + k), -1.0))
            for k, rate in enumerate((faults.join, faults.halve, faults.bleed))
        )
        halves &= ~joins
        chosen = np.stack([subpart, part, np.where(joins, pair, np.where(halves, half, entity))], axis=1)
        chosen[joins, 1], chosen[joins, 0] = entity[joins], part[joins]
        chosen[:, 2] = scene.bleeding(chosen[:, 2], bleeds)
        return chosen

    def _scores(self, points: Float, quality: NDArray[np.float64], regions: Int) -> Float:
        """Quality less 0.015, with noise, and a loss where the entity as a whole is not trusted: float32 [N, 3]."""
        faults, pixel = self.faults, self._content_pixels(points)
        scores = quality - 0.015
        weak = self.scene.is_distrusted(pixel, faults.weak)
        whole = self.scene.is_whole(regions)
        scores[weak[:, None] & whole] -= faults.weak_loss
        spread = faults.score_noise / np.sqrt(2)
        own = np.stack([_chance(points, self._key[0] + 31 + k) for k in range(3)], axis=1)
        common = np.stack([self.scene.noise_at(k, pixel) for k in range(3)], axis=1)
        scores += spread * (common + (own - 0.5) * np.sqrt(12))
        return np.minimum(scores, 1.05).astype(np.float32)

    def _faithfulness(self, one: int) -> float:
        """How well the region answers what scores follow: itself (without what bled), mixed with the entity."""
        if one not in self._agreement:
            mask, meant, entity = self.scene.mask(one), self.scene.meant(one), self.scene.entity_of(one)
            share = self.faults.entity_share
            self._agreement[one] = (1 - share) * _iou(mask, meant) + share * _iou(mask, entity)
        return self._agreement[one]

    def _is_unstable(self, one: int) -> bool:
        return self.scene.is_unstable(one, self.faults.unstable)

    def _region(self, one: int) -> _Region:
        if one not in self._regions:
            self._regions[one] = _Region(self.scene.mask(one), self.grid)
        return self._regions[one]

    def _reads(self, region: _Region) -> Int:
        return region.y * self._texture.shape[1] + region.x

    def _offsets(self, points: Float) -> Int:
        """Where in the texture each channel of each prompt begins to read: int64 [N, 3]."""
        draws = [_chance(points, self._key[0] + 41 + k) for k in range(6)]
        y, x = ((np.stack(draws[k : k + 3], axis=1) * TILE).astype(np.int64) for k in (0, 3))
        return y * self._texture.shape[1] + x

    def _content_pixels(self, points: Float) -> Int:
        """Flat index on the content, rows x cols, of the pixel under each point."""
        row, col = np.divmod(self.grid.pixels(points), self.grid.width)
        return np.minimum(row, self.grid.rows - 1) * self.grid.cols + np.minimum(col, self.grid.cols - 1)


def _chance(points: Float, seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) that depends on each point's float32 coordinates and the seed (splitmix64's finaliser)."""
    xy = np.ascontiguousarray(points, np.float32).view(np.uint32).astype(np.uint64).reshape(-1, 2)
    state = (xy[:, 0] << np.uint64(32)) ^ xy[:, 1] ^ np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        state = (state ^ (state >> np.uint64(30))) * np.uint64(factor)
    return ((state ^ (state >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2**53


def _iou(a: Bool, b: Bool) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))
