"""A simulated segmenter: answers point prompts from a synthetic scene, with a real model's habits and faults.

The scene is a map of objects, cut into parts, cut into subparts. A prompt's masks are the region under it at each of
these levels, with jittered borders; now and then a mask bleeds into a neighbour, joins two entities, covers half of
one, or comes back empty. Some objects score too low to be kept, others only as a whole. Scores follow quality, in
steps of 1/64, so that ties are common. Every answer depends on its own prompt and the seed only, never on the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esam_fast import MaskGrid, PackedMasks, PointMasks

LEVEL_OF_CHANNEL = np.array([2, 0, 1])  # what the "model" puts out: object, subpart, part
JITTERS = 8


@dataclass(frozen=True)
class Embedding:
    grid: MaskGrid
    features: np.ndarray  # float32 [C, fh, fw]


# With h * w a multiple of 64 and not, with and without padding, the content whole and fractional.
GRIDS = {
    "full": MaskGrid(40, 48, 40.0, 48.0, 80, 96),
    "odd": MaskGrid(37, 45, 37.0, 45.0, 111, 135),
    "padded below": MaskGrid(48, 48, 48 * 85 / 128, 48.0, 85, 128),
    "padded right": MaskGrid(41, 41, 41.0, 41 * 61 / 90, 90, 61),
}


def random_bits(points: np.ndarray, seed: int) -> np.ndarray:
    """64 bits that depend on each point's float32 coordinates and the seed: uint64 [N]."""
    xy = np.ascontiguousarray(points, np.float32).view(np.uint32).astype(np.uint64)
    state = (xy[:, 0] << np.uint64(32)) ^ xy[:, 1] ^ np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):  # the finaliser of splitmix64
        state = (state ^ (state >> np.uint64(30))) * np.uint64(factor)
    return state ^ (state >> np.uint64(31))


def voronoi(shape: tuple[int, int], n: int, rng: np.random.Generator) -> np.ndarray:
    """int64 [h, w]: index of the nearest of n random sites."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    sites = rng.uniform(0, 1, (n, 2)) * shape
    return np.argmin((y[..., None] - sites[:, 0]) ** 2 + (x[..., None] - sites[:, 1]) ** 2, axis=-1)


def smoothed(planes: np.ndarray, steps: int) -> np.ndarray:
    """[N, h, w], each pixel repeatedly replaced by the mean of itself and its four neighbours."""
    for _ in range(steps):
        p = np.pad(planes, ((0, 0), (1, 1), (1, 1)), mode="edge")
        planes = (p[:, 1:-1, 1:-1] + p[:, :-2, 1:-1] + p[:, 2:, 1:-1] + p[:, 1:-1, :-2] + p[:, 1:-1, 2:]) / 5
    return planes


class SyntheticSegmenter:
    """Offers the Segmenter protocol over a scene of its own.

    Args:
        grid: the plane to answer on. seed: of the scene and of every fault.
        objects: number of objects. faults: share of masks with a fault. empty: every mask is empty.
        only_object: the lower levels are empty. constant: every prompt gets the masks of this image point.
        redecoded: how far `logits` may be from those that the bits came from.
    """

    name = "simulated"
    score_threshold = 0.7
    stability_threshold = 0.6

    def __init__(
        self,
        grid: MaskGrid = GRIDS["odd"],
        seed: int = 0,
        *,
        objects: int = 14,
        faults: float = 0.3,
        empty: bool = False,
        only_object: bool = False,
        constant: tuple[float, float] | None = None,
        redecoded: float = 0.0,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.grid, self.seed, self.faults = grid, seed, faults
        self.empty, self.only_object, self.constant = empty, only_object, constant
        self.redecoded = redecoded
        self.content = (grid.rows, grid.cols)
        self.object_map = voronoi(self.content, objects, rng)
        part = self.object_map * 100 + voronoi(self.content, 2 * objects, rng)
        subpart = part * 1000 + voronoi(self.content, 4 * objects, rng)
        self.maps = [
            np.unique(m, return_inverse=True)[1].reshape(self.content) for m in (subpart, part, self.object_map)
        ]
        self.fields = [self._fields(m) for m in self.maps]
        noise = smoothed(rng.normal(0, 1, (JITTERS, *self.content)), 3)
        self.jitter = (noise / noise.std() * 1.2).astype(np.float32)

    def _fields(self, labels: np.ndarray) -> np.ndarray:
        """Logit-like planes, one a region, float32 [R, rows, cols]: positive inside, the border smooth."""
        inside = labels[None] == np.arange(labels.max() + 1)[:, None, None]
        return (16 * (smoothed(inside.astype(np.float64), 2) - 0.5)).astype(np.float32)

    def image(self) -> np.ndarray:
        """uint8 [H, W, 3]: a colour for each subpart, with noise: strong on every third object."""
        rng = np.random.default_rng([self.seed, 1])
        grid = self.grid
        y = ((np.arange(grid.image_height) + 0.5) * grid.content_height / grid.image_height).astype(int)
        x = ((np.arange(grid.image_width) + 0.5) * grid.content_width / grid.image_width).astype(int)
        at = np.ix_(np.minimum(y, grid.rows - 1), np.minimum(x, grid.cols - 1))
        colours = rng.uniform(0, 255, (self.maps[0].max() + 1, 3))
        rough = np.where(self.object_map[at] % 3 == 0, 50, 6)
        painted = colours[self.maps[0][at]] + rng.normal(0, 1, (*rough.shape, 3)) * rough[..., None]
        return np.clip(painted, 0, 255).astype(np.uint8)

    def embed(self, image: np.ndarray) -> Embedding:
        assert image.shape == (self.grid.image_height, self.grid.image_width, 3)
        rng = np.random.default_rng([self.seed, 2])
        vectors = rng.normal(0, 1, (self.object_map.max() + 1, 24))
        height, width = max(1, self.grid.rows // 2), max(1, self.grid.cols // 2)
        y = np.arange(height) * self.grid.rows // height
        x = np.arange(width) * self.grid.cols // width
        features = vectors[self.object_map[np.ix_(y, x)]].transpose(2, 0, 1)
        features = features + rng.normal(0, 1, features.shape)
        return Embedding(self.grid, features.astype(np.float32))

    def masks(self, embedding: Embedding, points: np.ndarray, *, min_score: float | None = None) -> PointMasks:
        logits, scores = self._answer(points)  # by channel
        chance = (random_bits(points, self.seed + 17)[:, None] >> (np.arange(3, dtype=np.uint64) * 8)) & 0xFF
        scores = (np.round((scores + chance / 2048) * 64) / 64).astype(np.float32)
        areas = np.count_nonzero(logits > 0, axis=(2, 3))
        stability = np.count_nonzero(logits > 1, axis=(2, 3)) / np.maximum(
            1, np.count_nonzero(logits > -1, axis=(2, 3))
        )

        channels = np.argsort(areas, axis=1, kind="stable")
        rows = np.arange(len(points))[:, None]
        scores, stability = scores[rows, channels], stability[rows, channels].astype(np.float32)
        bits = np.zeros((len(points), 3, *self.grid.shape), bool)
        bits[:, :, : self.content[0], : self.content[1]] = (logits > 0)[rows, channels]
        if min_score is not None:
            bits[scores < min_score] = False
        return PointMasks(
            PackedMasks.from_bool(bits.reshape(-1, *self.grid.shape)),
            scores,
            stability,
            channels.astype(np.int8),
        )

    def logits(self, embedding: Embedding, points: np.ndarray, channels: np.ndarray) -> np.ndarray:
        planes = np.full((len(points), *self.grid.shape), -9, np.float32)
        logits, _ = self._answer(points)
        other = self.jitter[(random_bits(points, self.seed + 29) % JITTERS).astype(int)]
        planes[:, : self.content[0], : self.content[1]] = (
            logits[np.arange(len(points)), channels] + np.float32(self.redecoded) * other
        )
        return planes

    def _answer(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """By channel: logits float32 [N, 3, rows, cols], and scores float64 [N, 3] before chance plays its part."""
        points = np.asarray(points, np.float32).reshape(-1, 2)
        if self.constant is not None:
            points = np.broadcast_to(np.float32(self.constant), points.shape)
        pixel = self.grid.pixels(points)
        y = np.minimum(pixel // self.grid.width, self.content[0] - 1)
        x = np.minimum(pixel % self.grid.width, self.content[1] - 1)
        habit = self.object_map[y, x] % 5
        fragment = (habit == 3) & (random_bits(points, self.seed + 43) % 3 == 0)
        logits = np.empty((len(points), 3, *self.content), np.float32)
        scores = np.empty((len(points), 3))
        for channel, level in enumerate(LEVEL_OF_CHANNEL):
            chance = random_bits(points, self.seed * 3 + int(level))
            plane, truth = self._region(level, y, x)
            if level == 2:  # takes a part for the object
                plane[fragment], truth[fragment] = self._region(1, y[fragment], x[fragment])
            plane += self.jitter[(chance % JITTERS).astype(int)]
            self._spoil(plane, level, chance, y, x)
            logits[:, channel] = plane
            union = np.count_nonzero((plane > 0) | truth, axis=(1, 2))
            scores[:, channel] = np.count_nonzero((plane > 0) & truth, axis=(1, 2)) / np.maximum(1, union)
        scores = 0.35 + 0.6 * scores
        scores[habit == 2] -= 0.45  # an object that is never trusted
        scores[(habit == 3) & ~fragment] -= 0.4  # one that is seen whole, but only its fragments are trusted
        scores[habit == 4, 0] -= 0.3  # one that is trusted in parts only
        blank = (random_bits(points, self.seed + 41) % 40 == 0) & (self.faults > 0)
        logits[blank], scores[blank] = -9, 0.9  # sure of nothing
        return logits, scores

    def _region(self, level: int, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The field, and bool the true mask, of the region under each pixel: [N, rows, cols]."""
        region = self.maps[level][y, x]
        return self.fields[level][region], self.maps[level][None] == region[:, None, None]

    def _spoil(self, plane: np.ndarray, level: int, chance: np.ndarray, y: np.ndarray, x: np.ndarray) -> None:
        """Put a fault into some of the planes [N, rows, cols]."""
        rows, cols = np.mgrid[: self.content[0], : self.content[1]]
        lot = ((chance >> np.uint64(8)) & np.uint64(0xFFFF)).astype(float) / 65536
        kind = ((chance >> np.uint64(24)) & np.uint64(3)).astype(int)
        turn = ((chance >> np.uint64(32)) & np.uint64(7)).astype(int) * (np.pi / 4)
        step_y, step_x = np.round(7 * np.sin(turn)).astype(int), np.round(7 * np.cos(turn)).astype(int)
        there = (np.clip(y + step_y, 0, self.content[0] - 1), np.clip(x + step_x, 0, self.content[1] - 1))
        neighbour = self.maps[level][there]
        for i in np.flatnonzero(lot < self.faults):
            other = self.fields[level][neighbour[i]]
            near = 6.0 - np.hypot(rows - there[0][i], cols - there[1][i])
            half = 1.5 * ((rows - y[i]) * np.sin(turn[i]) + (cols - x[i]) * np.cos(turn[i])) + 2
            if kind[i] == 0:  # bleeds into the neighbour
                plane[i] = np.maximum(plane[i], np.minimum(other, near))
            elif kind[i] == 1:  # joins two entities
                plane[i] = np.maximum(plane[i], other)
            elif kind[i] == 2:  # covers one half
                plane[i] = np.minimum(plane[i], half)
            elif lot[i] < self.faults / 3:
                plane[i] = -9
        if self.empty or (self.only_object and level < 2):
            plane[:] = -9
