"""The things that travel between stages: bit-packed masks, and a segmenter's answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast import _arrays, _backend, _check
from esam_fast._arrays import Array, Device
from esam_fast._limits import MAX_MASKS
from esam_fast.grid import Float as Float
from esam_fast.grid import Int as Int
from esam_fast.grid import MaskGrid as MaskGrid

Bool = NDArray[np.bool_]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class PackedMasks:
    """N binary masks on one grid, 64 pixels a word, in NumPy or with their words on a torch device.

    What is given is compared with the words, in one pass. NumPy arrays are read-only from here on; who keeps another
    view of the words, or has them in a tensor, must not change them.

    Attributes:
        words: uint64 [N, ceil(h * w / 64)]; bit i of a mask is pixel i in row-major order: word i // 64,
            bit i % 64. Pad bits are 0. Or such a torch tensor, as int64.
        area: int64 [N], pixels set; in NumPy in either case, as everything that is decided on.
        box: int32 [N, 4], x0 y0 x1 y1, half-open; 0 0 0 0 for an empty mask; in NumPy.
        shape: (h, w) of the grid.

    Raises:
        TypeError: wrong dtype. ValueError: wrong shape; pad bits; an area or a box that is not that of the words.
    """

    words: Array
    area: Int
    box: NDArray[np.int32]
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        shape = _check.plane("shape", self.shape)
        words = checked_words(self.words, shape)
        n = len(words)
        given = {
            "area": _check.array("area", self.area, np.int64, (n,)),
            "box": _check.array("box", self.box, np.int32, (n, 4)),
        }
        area, box = measure_words(words, shape, None)
        for name, own in (("area", area), ("box", box)):
            wrong = np.nonzero(given[name] != own)[0]
            if wrong.size:
                i = int(wrong[0])
                raise ValueError(f"{name}[{i}] must be {own[i].tolist()}, as words[{i}], got {given[name][i].tolist()}")
        self._set(words, area, box, shape)

    def _set(self, words: Array, area: Int, box: NDArray[np.int32], shape: tuple[int, int]) -> None:
        """Keep the arrays, which nobody else changes, read-only."""
        words = words if _arrays.is_tensor(words) else words.view()
        for array in (words, area, box):
            if isinstance(array, np.ndarray):
                array.flags.writeable = False
        self.__dict__.update(words=words, area=area, box=box, shape=shape)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._set(**state)  # a copy's arrays are read-only, too

    @classmethod
    def _unchecked(cls, words: Array, area: Int, box: NDArray[np.int32], shape: tuple[int, int]) -> PackedMasks:
        """Masks whose parts are known to fit: a kernel made them, or they are rows of such."""
        masks = object.__new__(cls)
        masks._set(words, area, box, shape)
        return masks

    @classmethod
    def from_bool(cls, masks: Bool, *, backend: str | None = None) -> PackedMasks:
        """Pack bool [N, h, w].

        Raises:
            TypeError: not a bool array. ValueError: not three-dimensional.
        """
        masks = _check.array("masks", masks, np.bool_, ("N", "h", "w"))
        n, h, w = masks.shape
        packed = np.zeros((n, words_per_mask((h, w)) * 8), np.uint8)
        bits = np.packbits(masks.reshape(n, h * w), axis=1, bitorder="little")
        packed[:, : bits.shape[1]] = bits
        return cls._measured(packed.view("<u8").astype(np.uint64, copy=False), (h, w), backend)

    @classmethod
    def from_words(cls, words: Array, shape: tuple[int, int], *, backend: str | None = None) -> PackedMasks:
        """Masks from their words: areas and boxes are measured; see `ops.measure`, also for what it raises."""
        shape = _check.plane("shape", shape)
        return cls._measured(checked_words(words, shape), shape, backend)

    @classmethod
    def _measured(cls, words: Array, shape: tuple[int, int], backend: str | None) -> PackedMasks:
        """Masks from words of the right form, which are measured."""
        return cls._unchecked(words, *measure_words(words, shape, backend), shape)

    @classmethod
    def empty(cls, shape: tuple[int, int], device: Device = None) -> PackedMasks:
        """No masks on a grid of this shape, in NumPy or on a torch device; raises as `to`."""
        shape = _check.plane("shape", shape)
        words = _arrays.move(np.zeros((0, words_per_mask(shape)), np.uint64), _placed(device))
        return cls._unchecked(words, np.zeros(0, np.int64), np.zeros((0, 4), np.int32), shape)

    @classmethod
    def concatenate(cls, parts: list[PackedMasks]) -> PackedMasks:
        """The masks of all parts, in order, on their common grid (at least one part)."""
        for i, part in enumerate(parts):
            check_masks(f"parts[{i}]", part, parts[0])
        return cls._unchecked(
            _arrays.concatenate([p.words for p in parts]),
            np.concatenate([p.area for p in parts]),
            np.concatenate([p.box for p in parts]),
            parts[0].shape,
        )

    @classmethod
    def from_labels(cls, labels: Labels, n: int, *, backend: str | None = None) -> PackedMasks:
        """The n disjoint masks of a label map int32 [h, w]: mask i is where the label is i, below n; negative: none."""
        labels = _check.array("labels", labels, np.int32, ("h", "w"))
        n = _check.integer("n", n, 0, MAX_MASKS)
        if labels.max(initial=-1) >= n:
            raise ValueError(f"labels must be below n, {n}, got {labels.max()}")
        words = np.zeros((n, words_per_mask(labels.shape)), np.uint64)
        pixel = np.flatnonzero(labels.ravel() >= 0)
        bit = np.uint64(1) << (pixel % 64).astype(np.uint64)
        np.bitwise_or.at(words, (labels.ravel()[pixel], pixel // 64), bit)
        return cls._measured(words, labels.shape, backend)

    @property
    def raw(self) -> tuple[Array, Int, NDArray[np.int32], int, int]:
        """What a kernel gets: words, area, box, h, w."""
        return self.words, self.area, self.box, *self.shape

    @property
    def device(self) -> Device:
        """None for masks in NumPy, else the torch device of their words."""
        return _arrays.device_of(self.words)

    def to(self, device: Device) -> PackedMasks:
        """The same masks in NumPy (None), or with their words on a torch device ("cuda", "cuda:1", "cpu").

        Raises:
            TypeError: device is no name. ValueError: there is no such device here.
        """
        words = _arrays.host_words(self.words) if device is None else _arrays.move(self.words, _placed(device))
        return PackedMasks._unchecked(words, self.area, self.box, self.shape)

    def to_labels(self) -> Labels:
        """Label map int32 [h, w] of disjoint masks: the index of the mask that holds each pixel, -1 where none does."""
        labels = np.full(self.shape, -1, np.int32)
        if self.device is not None:
            _backend.run("packing.to_labels", "torch", self.raw, out=(labels,))
            return labels
        for i in range(len(self)):
            labels.ravel()[self.pixels(i)] = i
        return labels

    def pixels(self, i: int) -> Int:
        """Flat grid indices of the pixels of mask `i`, ascending."""
        i, n = _check.integer("i", i, -(2**63)), len(self)
        if not -n <= i < n:
            raise IndexError(f"i must lie in [{-n}, {n}), got {i}")
        _, y0, _, y1 = self.box[i].tolist()
        first, last = y0 * self.shape[1] // 64, (y1 * self.shape[1] + 63) // 64
        words = _arrays.host_words(self.words[i, first:last]).astype("<u8", copy=False)
        return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")) + first * 64

    def at(self, pixels: Int) -> Bool:
        """Whether each mask holds each of the flat grid indices int64 [P]: bool [N, P], in NumPy."""
        h, w = self.shape
        return _arrays.bits_at(self.words, _check.indices("pixels", pixels, 0, h * w, ("P",)))

    def to_bool(self) -> Bool:
        """The masks as bool [N, h, w], in NumPy."""
        h, w = self.shape
        bytes_ = self.to(None).words.astype("<u8", copy=False).view(np.uint8)
        bits = np.unpackbits(bytes_, axis=1, count=h * w, bitorder="little")
        return bits.view(np.bool_).reshape(len(self), h, w)

    def take(self, indices: NDArray[Any]) -> PackedMasks:
        """The masks at these indices (integers, or a bool per mask)."""
        rows = _check.rows("indices", indices, len(self))
        return PackedMasks._unchecked(_arrays.take(self.words, rows), self.area[rows], self.box[rows], self.shape)

    def painted(self, covered: PackedMasks | None = None, *, backend: str | None = None) -> PackedMasks:
        """Masks in order, each without the pixels of those before it, nor of `covered`, one mask on the same grid."""
        words = _arrays.copy(self.words)
        start = words[:0] if covered is None else check_masks("covered", covered, self).words
        taken = _arrays.join_rows(start, np.zeros(len(start), np.int64), 1)[0]
        for row in words:
            row &= ~taken
            taken |= row
        return PackedMasks._measured(words, self.shape, backend)

    def united(self, groups: Int, n: int, *, backend: str | None = None) -> PackedMasks:
        """Disjoint masks joined into n: mask k holds the pixels of those whose group, int64 [N], is k."""
        n = _check.integer("n", n, 0, MAX_MASKS)
        groups = _check.indices("groups", groups, 0, n, (len(self),))
        return PackedMasks._measured(_arrays.join_rows(self.words, groups, n), self.shape, backend)

    def __len__(self) -> int:
        return len(self.words)


def check_masks(name: str, value: object, like: PackedMasks | None = None) -> PackedMasks:
    """PackedMasks, on the grid of `like`, and where it lives, if given.

    Raises:
        TypeError: not PackedMasks. ValueError: another grid or place.
    """
    if not isinstance(value, PackedMasks):
        raise TypeError(f"{name} must be PackedMasks, got {type(value).__name__}")
    if like is not None and value.shape != like.shape:
        raise ValueError(f"{name} must be on a grid of shape {like.shape}, got {value.shape}")
    if like is not None and value.device != like.device:
        wanted, came = ("in NumPy on the host" if m.device is None else f"on {m.device}" for m in (like, value))
        raise ValueError(f"{name} must be {wanted}, got masks {came}")
    return value


def checked_words(words: object, shape: tuple[int, int]) -> Array:
    """Words of masks on a grid of this shape, contiguous.

    Raises:
        TypeError: wrong dtype. ValueError: wrong shape, or a pad bit that is set.
    """
    checked = _check.array_or_tensor("words", words, np.uint64, ("N", words_per_mask(shape)))
    pixels = shape[0] * shape[1]
    if pixels % 64 and len(checked):
        wrong = np.flatnonzero(_arrays.host_words(checked[:, -1]) >> np.uint64(pixels % 64))
        if wrong.size:
            raise ValueError(f"words[{wrong[0]}] must have no bit set beyond its {pixels} pixels (pad bits are 0)")
    return checked


def measure_words(words: Array, shape: tuple[int, int], backend: str | None) -> tuple[Int, NDArray[np.int32]]:
    """Area int64 [N] and box int32 [N, 4] of words of the right form."""
    area, box = np.empty(len(words), np.int64), np.empty((len(words), 4), np.int32)
    _backend.run("packing.measure", backend, words, *shape, out=(area, box))
    return area, box


def _placed(device: Device) -> Device:
    return None if device is None else _arrays.named(device)


def words_per_mask(shape: tuple[int, int]) -> int:
    """64-bit words that hold one mask of this shape."""
    return (shape[0] * shape[1] + 63) // 64


def by_score(scores: Float) -> Int:
    """Visiting order: score descending, then index ascending."""
    return np.argsort(-scores, kind="stable").astype(np.int64, copy=False)


@dataclass(frozen=True)
class PointMasks:
    """A segmenter's answer to N point prompts: three masks each, ordered by area (Eq. 1).

    Attributes:
        masks: PackedMasks, N * 3, point-major, level-minor (0 subpart, 1 part, 2 object).
        scores: float32 [N, 3], predicted IoU.
        stability: float32 [N, 3], SAM's stability score.
        channels: int8 [N, 3], the model's own output index of each level; 0 1 2 when left out.
    """

    masks: PackedMasks
    scores: Float
    stability: Float
    channels: NDArray[np.int8] = field(default_factory=lambda: np.zeros((0, 3), np.int8))

    def __post_init__(self) -> None:
        n3 = len(check_masks("masks", self.masks))
        if n3 % 3:
            raise ValueError(f"masks must hold three masks a point, got {n3} masks")
        shape = (n3 // 3, 3)
        if self.channels is None or (isinstance(self.channels, np.ndarray) and self.channels.size == 0):
            object.__setattr__(self, "channels", np.tile(np.arange(3, dtype=np.int8), (shape[0], 1)))
        object.__setattr__(self, "scores", _check.finite("scores", self.scores, shape))
        object.__setattr__(self, "stability", _check.finite("stability", self.stability, shape))
        object.__setattr__(self, "channels", _check.array("channels", self.channels, np.int8, shape))

    @classmethod
    def empty(cls, shape: tuple[int, int], device: Device = None) -> PointMasks:
        """The answer to no points, on a grid of this shape, in NumPy or on a torch device."""
        none = np.zeros((0, 3), np.float32)
        return cls(PackedMasks.empty(shape, device), none, none)

    @classmethod
    def concatenate(cls, parts: list[PointMasks]) -> PointMasks:
        """The answers to all parts' points, in order (at least one part)."""
        return cls(
            PackedMasks.concatenate([p.masks for p in parts]),
            np.concatenate([p.scores for p in parts]),
            np.concatenate([p.stability for p in parts]),
            np.concatenate([p.channels for p in parts]),
        )

    def take(self, indices: Int) -> PointMasks:
        """The answers to these points, int64 [M]."""
        indices = np.arange(len(self))[_check.rows("indices", indices, len(self))]
        three = (indices[:, None] * 3 + np.arange(3)).ravel()
        return PointMasks(self.masks.take(three), self.scores[indices], self.stability[indices], self.channels[indices])

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class ScoredMasks:
    """Masks with their scores and where they came from, so that they can be decoded again.

    Attributes:
        masks: PackedMasks, N.
        scores: float32 [N].
        stability: float32 [N].
        points: float32 [N, 2], the prompt, x y in image pixels.
        channels: int8 [N], the model's output index.
    """

    masks: PackedMasks
    scores: Float
    stability: Float
    points: Float
    channels: NDArray[np.int8]

    def __post_init__(self) -> None:
        n = len(check_masks("masks", self.masks))
        object.__setattr__(self, "scores", _check.finite("scores", self.scores, (n,)))
        object.__setattr__(self, "stability", _check.finite("stability", self.stability, (n,)))
        object.__setattr__(self, "points", _check.finite("points", self.points, (n, 2)))
        object.__setattr__(self, "channels", _check.array("channels", self.channels, np.int8, (n,)))

    @classmethod
    def empty(cls, shape: tuple[int, int], device: Device = None) -> ScoredMasks:
        """No masks on a grid of this shape, in NumPy or on a torch device."""
        none = np.zeros(0, np.float32)
        return cls(PackedMasks.empty(shape, device), none, none, np.zeros((0, 2), np.float32), np.zeros(0, np.int8))

    @classmethod
    def of_levels(cls, answer: PointMasks, points: Float, levels: NDArray[Any]) -> ScoredMasks:
        """One mask a point: the level named for each, int [N]."""
        rows = np.arange(len(answer))
        return cls(
            answer.masks.take(rows * 3 + levels),
            answer.scores[rows, levels],
            answer.stability[rows, levels],
            points,
            answer.channels[rows, levels],
        )

    @classmethod
    def concatenate(cls, parts: list[ScoredMasks]) -> ScoredMasks:
        """All parts, in order (at least one)."""
        return cls(
            PackedMasks.concatenate([p.masks for p in parts]),
            np.concatenate([p.scores for p in parts]),
            np.concatenate([p.stability for p in parts]),
            np.concatenate([p.points for p in parts]),
            np.concatenate([p.channels for p in parts]),
        )

    def to_bool(self) -> Bool:
        """The masks as bool [N, h, w], in NumPy."""
        return self.masks.to_bool()

    def take(self, indices: NDArray[Any]) -> ScoredMasks:
        """The masks at these indices (integers, or a bool per mask)."""
        return ScoredMasks(
            self.masks.take(indices),
            self.scores[indices],
            self.stability[indices],
            self.points[indices],
            self.channels[indices],
        )

    def __len__(self) -> int:
        return len(self.scores)
