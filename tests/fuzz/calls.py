"""Public calls with arguments that bytes choose: right ones, and ones wrong in type, shape, range or layout.

A call may return, or raise TypeError, ValueError, IndexError or BackendUnavailable; anything else is a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import esam_fast
from esam_fast import MaskGrid, PackedMasks, PointMasks, config, ops, polygons, rle
from esam_fast._backend import BackendUnavailable
from esam_fast.changes import changes
from esam_fast.entities import EntityMap
from esam_fast.images import as_rgb
from esam_fast.masks import ScoredMasks, words_per_mask

ALLOWED = (TypeError, ValueError, IndexError, BackendUnavailable)
NUMBERS = (
    0, 1, 2, 3, 7, 64, -1, -2, 255, 2**15, 2**16 + 1, 2**24 + 1, 2**29, 2**31 - 1, 2**31, 2**62, 2**63, 2**64, 10**400,
    0.0, 0.5, 1.0, -0.5, 1e-300, 1e7, 3.4e38, 1e39, 1e300, float("nan"), float("inf"), -float("inf"), True, None,
)  # fmt: skip
DTYPES = (np.uint8, np.int8, np.int16, np.int32, np.int64, np.uint64, np.float32, np.float64, np.bool_, np.complex64)


class Choice:
    """Bytes as choices: each takes one, and zeros come when there are no more."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def below(self, n: int) -> int:
        self._at += 1
        return self._data[self._at - 1] % n if self._at <= len(self._data) else 0

    def of(self, values: Any) -> Any:
        return values[self.below(len(values))]

    def odd(self) -> bool:
        """Now and then."""
        return self.below(16) == 15

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.below(256))


def number(c: Choice, usual: Any) -> Any:
    """The usual number, or another, of Python or of NumPy."""
    if not c.odd():
        return usual
    value = c.of(NUMBERS)
    kind = c.below(4)
    if kind and isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**31:
        return (np.int32, np.int64, np.float32)[kind - 1](value)
    return value


def strange(c: Choice) -> Any:
    """What is no array at all."""
    return c.of((None, "text", 3, [1, 2], (), {}, b"12", object(), np.float32(1), np.array(5), np.zeros((0, 3))))


def array(c: Choice, dtype: Any, shape: tuple[int, ...], low: float = 0, high: float = 4) -> Any:
    """An array of this dtype and shape with values in [low, high), or one that is odd in one way."""
    if c.odd():
        return strange(c)
    if c.odd():
        dtype = c.of(DTYPES)
    if c.odd() and shape:
        place = c.below(len(shape))
        shape = (*shape[:place], max(0, shape[place] + c.of((-1, 1, 7))), *shape[place + 1 :])
    if c.odd():
        shape = (*shape, 1) if c.below(2) else shape[1:]
    values = c.rng().uniform(low, high, shape)
    if np.dtype(dtype) == np.bool_:
        made = values < (low + high) / 2
    elif np.dtype(dtype) == np.uint64:
        made = c.rng().integers(0, 2**64, shape, np.uint64, endpoint=False)
    else:
        with np.errstate(all="ignore"):
            made = np.floor(values).astype(dtype) if np.dtype(dtype).kind in "iu" else values.astype(dtype)
    if c.odd() and made.size and made.dtype.kind in "iuf":
        with np.errstate(all="ignore"):
            made.flat[c.below(made.size)] = np.array(float(c.of((2**31, -1, 1e30, 3e38, -9e18, 255, 77)))).astype(
                made.dtype
            )
    if c.odd() and made.size and made.dtype.kind == "f":
        made.flat[c.below(made.size)] = c.of((np.nan, np.inf, -np.inf))
    layout = c.below(24)
    if layout == 23:
        made = np.asfortranarray(made)
    elif layout == 22 and made.ndim:
        made = np.repeat(made, 2, axis=-1)[..., ::2]
    elif layout == 21:
        room = np.zeros(made.nbytes + 1, np.uint8)
        unaligned = room[1:].view(made.dtype).reshape(made.shape) if made.nbytes else made
        unaligned[...] = made
        made = unaligned
    elif layout == 20:
        made = made.astype(made.dtype.newbyteorder())
    elif layout == 19:
        made = made.copy()
        made.flags.writeable = False
    elif layout == 18:
        made = np.ma.masked_array(made)
    return made


def sides(c: Choice) -> tuple[int, int]:
    return c.of((1, 2, 3, 8, 9, 17, 64, 0)), c.of((1, 7, 8, 9, 64, 65, 130, 0))


def masks(c: Choice, n: int, shape: tuple[int, int]) -> Any:
    """Right masks; or built in the open from words, areas and boxes that may be wrong; or none at all."""
    kind = c.below(32)
    if kind == 31:
        return strange(c)
    if kind == 30:
        words = array(c, np.uint64, (n, words_per_mask(shape)))
        return PackedMasks.from_words(words, (number(c, shape[0]), number(c, shape[1])))
    if kind == 29:
        return PackedMasks.from_bool(array(c, np.bool_, (n, *shape)))
    right = PackedMasks.from_bool(c.rng().random((n, *shape)) < c.of((0.0, 0.1, 0.5, 1.0)))
    if kind >= 26:
        area, box, words = right.area.copy(), right.box.copy(), right.words.copy()
        where = c.below(4)
        if where == 0 and area.size:
            area[c.below(area.size)] += c.of((1, -1, 2**40, -(2**40)))
        elif where == 1 and box.size:
            box.flat[c.below(box.size)] += c.of((1, -1, 2**30, -(2**30)))
        elif where == 2 and words.size:
            words.flat[c.below(words.size)] ^= np.uint64(1) << np.uint64(c.below(64))
        return PackedMasks(words, area, box, (np.int64(shape[0]), number(c, shape[1])))
    return right


def scores(c: Choice, n: int) -> Any:
    return array(c, np.float32, (n,), 0, 1)


def backend(c: Choice) -> Any:
    return (
        c.of((None,) * 8 + ("native",) * 6 + ("numba", "abacus", 3, [], np.zeros(2)))
        if FAST
        else c.of((None, "abacus"))
    )


FAST = "native" in esam_fast.build_info()["backends"]


def grid(c: Choice) -> MaskGrid:
    h, w = c.of((1, 4, 9, 16)), c.of((1, 5, 8, 33))
    height, width = c.of((1, 10, 40)), c.of((1, 12, 90))
    return MaskGrid(
        number(c, h), number(c, w), number(c, h * 0.75), number(c, float(w)), number(c, height), number(c, width)
    )


def entity_map(c: Choice) -> EntityMap:
    labels = c.rng().integers(0, 4, (9, 12)).astype(np.int32)
    area, box = ops.measure_labels(labels, 3)
    some = np.zeros(3, np.float32)
    return EntityMap(labels, some, area, box, np.zeros((3, 2), np.float32), some, {}, None)


def _ops() -> dict[str, Callable[[Choice], Any]]:
    def pair(op: Any) -> Callable[[Choice], Any]:
        def go(c: Choice) -> Any:
            shape = sides(c)
            other = shape if not c.odd() else sides(c)
            return op(masks(c, c.below(9), shape), masks(c, c.below(9), other), backend=backend(c))

        return go

    def chosen(op: Any) -> Callable[[Choice], Any]:
        def go(c: Choice) -> Any:
            n = c.below(9)
            limit = number(c, 0.5) if c.below(3) else array(c, np.float64, (n,), 0, 1)
            return op(masks(c, n, sides(c)), scores(c, n), limit, backend=backend(c))

        return go

    def split(c: Choice) -> Any:
        n, g, p, shape = c.below(7), c.below(7), c.below(20), sides(c)
        return ops.split_overlaps(
            masks(c, n, shape), scores(c, n), array(c, np.int64, (p,), 0, max(1, shape[0] * shape[1])),
            array(c, np.int64, (p,), -1, max(0, g)), masks(c, g, shape), scores(c, g), number(c, 0.05), number(c, None),
            backend=backend(c),
        )  # fmt: skip

    def cover(c: Choice) -> Any:
        n, shape = c.below(9), sides(c)
        return ops.greedy_cover(
            masks(c, n, shape), scores(c, n), masks(c, 1, shape), number(c, 1.5), backend=backend(c)
        )

    def mean(c: Choice) -> Any:
        shape = sides(c)
        return ops.mask_mean(masks(c, c.below(5), shape), array(c, np.float64, shape, 0, 1), backend=backend(c))

    def measure(c: Choice) -> Any:
        shape = sides(c)
        words = array(c, np.uint64, (c.below(5), words_per_mask(shape)))
        return ops.measure(words, (number(c, shape[0]), number(c, shape[1])), backend=backend(c))

    def pack(c: Choice) -> Any:
        h, w = sides(c)
        logits = array(c, np.float32, (c.below(4), h, w), -2, 2)
        return ops.pack_logits(logits, number(c, None), number(c, max(0, w - 1)), number(c, 1.0), backend=backend(c))

    def planes(c: Choice) -> Any:
        m, k, shape = c.below(5), 1 + c.below(4), sides(c)
        return ops.entity_planes(
            array(c, np.float32, (m, *shape), -2, 2), masks(c, m, shape), masks(c, m, shape),
            array(c, np.int64, (m,), 0, k), masks(c, k, shape), backend=backend(c),
        )  # fmt: skip

    def draw(c: Choice) -> Any:
        there = grid(c)
        return ops.draw_labels(array(c, np.float32, (c.below(4), *there.shape), -2, 2), there, backend=backend(c))

    def labels(c: Choice) -> Any:
        return ops.measure_labels(array(c, np.int32, sides(c), -1, 4), number(c, 3), backend=backend(c))

    def felzenszwalb(c: Choice) -> Any:
        image = array(c, np.uint8, (*sides(c), 3), 0, 256)
        return ops.felzenszwalb(image, number(c, 100.0), number(c, 0.8), number(c, 5), backend=backend(c))

    def watershed(c: Choice) -> Any:
        return ops.watershed(array(c, np.uint8, sides(c), 0, 5), backend=backend(c))

    def tree(c: Choice) -> Any:
        shape = sides(c)
        return ops.region_tree(
            array(c, np.int32, shape, 0, c.of((1, 1, 3))), array(c, np.float32, shape, 0, 1),
            array(c, np.float32, (*shape, c.of((3, 1, 0))), 0, 1), backend=backend(c),
        )  # fmt: skip

    def top_k(c: Choice) -> Any:
        vectors = array(c, np.int16, (c.of((0, 1, 2, 5, 65)), c.of((1, 2, 3, 16, 0))), -2047, 2047)
        return ops.top_k_similarity(vectors, number(c, 3), backend=backend(c))

    def similar(c: Choice) -> Any:
        n, m = c.below(9), c.below(5)
        near, member = array(c, np.int32, (n, 3), -1, max(0, n)), array(c, np.int32, (n,), -1, max(0, m))
        return ops.mask_similarity(near, member, number(c, m), backend=backend(c))

    return {
        "cluster_masks": chosen(ops.cluster_masks), "draw_labels": draw, "entity_planes": planes,
        "felzenszwalb": felzenszwalb, "greedy_cover": cover, "intersections": pair(ops.intersections),
        "mask_iou": pair(ops.mask_iou), "mask_mean": mean, "mask_similarity": similar, "max_iou": pair(ops.max_iou),
        "measure": measure, "measure_labels": labels, "nms": chosen(ops.nms), "pack_logits": pack, "region_tree": tree,
        "split_overlaps": split, "top_k_similarity": top_k, "watershed": watershed,
    }  # fmt: skip


def _others() -> dict[str, Callable[[Choice], Any]]:
    def of_masks(c: Choice) -> Any:
        n, shape = c.below(7), sides(c)
        given = PackedMasks.from_bool(c.rng().random((n, *shape)) < 0.3)
        m = max(1, shape[0] * shape[1])
        rows = array(c, np.int64, (c.below(5),), -n, max(1, n)) if c.below(2) else array(c, np.bool_, (n,))
        return c.of((
            lambda: given.take(rows),
            lambda: given.at(array(c, np.int64, (c.below(5),), 0, m)),
            lambda: given.pixels(number(c, 0)),
            lambda: given.united(array(c, np.int64, (n,), 0, 3), number(c, 3)).to_bool(),
            lambda: given.painted(masks(c, 1, shape)).to_labels(),
            lambda: PackedMasks.from_labels(array(c, np.int32, shape, -1, 3), number(c, 3)),
            lambda: PackedMasks.empty((number(c, shape[0]), number(c, shape[1]))),
            lambda: PackedMasks.concatenate([given, masks(c, n, shape)]),
        ))()  # fmt: skip

    def of_grid(c: Choice) -> Any:
        there = grid(c)
        points = array(c, np.float32, (c.below(5), 2), 0, 90)
        return there.pixels(points), there.point_grid(number(c, 4)), there.points(array(c, np.int64, (3,), 0, 1))

    def answers(c: Choice) -> Any:
        n = c.below(4)
        tables = [array(c, np.float32, (n, 3), 0, 1) for _ in range(2)]
        made = PointMasks(masks(c, 3 * n, sides(c)), *tables, array(c, np.int8, (n, 3), 0, 3))
        return made.take(array(c, np.int64, (2,), 0, 1))

    def scored(c: Choice) -> Any:
        n = c.below(4)
        made = ScoredMasks(
            masks(c, n, sides(c)), scores(c, n), scores(c, n), array(c, np.float32, (n, 2)), array(c, np.int8, (n,))
        )
        return made.take(array(c, np.bool_, (n,)))

    def of_entities(c: Choice) -> Any:
        found = entity_map(c)
        image = array(c, np.uint8, (9, 12, 3), 0, 256)
        label = number(c, 1)
        return c.of((
            lambda: found.mask(label), lambda: found.at(number(c, 3), number(c, 2.5)),
            lambda: found.filter(number(c, 0), number(c, None), number(c, None)),
            lambda: found.polygons(label, number(c, 1.0)), lambda: found.cutout(image, label),
            lambda: found.plot(image), lambda: found.to_coco_results(3), found.to_amg_records,
        ))()  # fmt: skip

    def code(c: Choice) -> Any:
        size = [number(c, 4), number(c, 5)] if not c.odd() else strange(c)
        counts = [number(c, 10), number(c, 6), number(c, 4)] if not c.odd() else strange(c)
        return c.of((
            lambda: rle.decode({"size": size, "counts": counts}),
            lambda: rle.compress([{"size": size, "counts": counts}]),
            lambda: rle.encode(array(c, np.bool_, sides(c))),
            lambda: list(rle.of_labels(array(c, np.int32, sides(c), -1, 4), number(c, 3))),
            lambda: polygons.polygons(array(c, np.bool_, sides(c)), number(c, 1.0)),
        ))()  # fmt: skip

    def settings(c: Choice) -> Any:
        kind = c.of((config.MmgConfig, config.EmrConfig, config.UsrConfig, config.SuperpixelConfig, config.EsamConfig))
        return kind(**{c.of(list(kind.__dataclass_fields__)): number(c, c.of(NUMBERS))})

    def threads(c: Choice) -> Any:
        before = esam_fast.get_num_threads()
        try:
            esam_fast.set_num_threads(number(c, 2))
        finally:
            esam_fast.set_num_threads(before)

    def image(c: Choice) -> Any:
        return as_rgb(array(c, c.of(DTYPES), (*sides(c), c.of((1, 2, 3, 4, 5))), 0, c.of((1, 256))))

    def compare(c: Choice) -> Any:
        shape = sides(c)
        return changes(array(c, np.int32, shape, 0, 5), array(c, np.int32, shape, 0, 5))

    return {"masks": of_masks, "grid": of_grid, "answers": answers, "scored": scored, "entities": of_entities,
            "codes": code, "config": settings, "threads": threads, "image": image, "changes": compare}  # fmt: skip


CALLS = {**_ops(), **_others()}


def call(data: bytes) -> None:
    c = Choice(data)
    try:
        with np.errstate(all="ignore"):
            CALLS[c.of(sorted(CALLS))](c)
    except ALLOWED:
        return


def seeds() -> Iterator[bytes]:
    rng = np.random.default_rng(0)
    for place in range(len(CALLS)):
        for _ in range(3):
            yield bytes([place]) + rng.integers(0, 256, 60, np.uint8).tobytes()
