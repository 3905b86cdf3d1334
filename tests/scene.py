"""A ray-traced still life, for tests and benchmarks that need a picture with its truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

_EYE = np.array([0.0, 3.3, -7.0], np.float32)
_TARGET = np.array([0.0, 1.3, 0.6], np.float32)
_LIGHT = np.array([-4.4, 8.4, -3.8], np.float32)
_WALL_Z, _TABLE_END = 3.4, 2.5
_WINDOW = (-3.3, -0.9, 1.75, 4.6)  # x0 x1 y0 y1, on the wall
_PICTURE = (1.0, 2.9, 2.15, 3.65)
_LAMPS = 16
_FAR = np.float32(1e9)
_WALL, _TABLE, _GLASS, _FRAME, _BORDER, _PAINTING, _FIRST = range(1, 8)


@dataclass(frozen=True)
class _Solid:
    """A sphere, an upright cylinder or an upright box: half sizes, and a box's turn about its axis."""

    kind: str
    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    colour: tuple[float, float, float]
    second: tuple[float, float, float] = (0.9, 0.9, 0.88)
    pattern: str = "plain"
    shine: float = 0.3
    turn: float = 0.0


def scene(width: int = 960, height: int = 640, seed: int = 0) -> NDArray[np.uint8]:
    """Simple things on a table before a wall with a window: uint8 [height, width, 3] RGB.

    Another seed moves and turns the things a little and draws other noise; the same arguments always give the
    same picture.
    """
    rng = np.random.default_rng(seed)
    solids = _still_life(rng)
    rays = _rays(np.mgrid[:height, :width].reshape(2, -1), width, height)
    colour, label = _trace(rays, solids)
    # Where two things meet, a pixel is the mean of four rays.
    at = np.flatnonzero(_borders(label.reshape(height, width)))
    shifts = np.array([(-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)])
    fine = np.stack(np.divmod(at, width))[:, :, None] + shifts.T[:, None]
    colour[:, at] = _trace(_rays(fine.reshape(2, -1), width, height), solids)[0].reshape(3, -1, 4).mean(axis=2)
    shown = np.clip(1.25 * colour / (1 + 0.25 * colour), 0, 1) ** (1 / 2.2)  # highlights roll off as on film
    shown = shown + rng.normal(0, 0.007, colour.shape)
    return (shown.T.reshape(height, width, 3).clip(0, 1) * 255 + 0.5).astype(np.uint8)


def scene_labels(width: int = 960, height: int = 640, seed: int = 0) -> NDArray[np.int32]:
    """The truth of `scene`: int32 [height, width].

    1 wall, 2 table, 3 window panes, 4 window frame, 5 picture frame, 6 picture, 7 to 15 the things on the table.
    """
    solids = _still_life(np.random.default_rng(seed))
    rays = _rays(np.mgrid[:height, :width].reshape(2, -1), width, height)
    return _hit(_EYE[:, None], rays, solids)[1].reshape(height, width)


def _still_life(rng: np.random.Generator) -> list[_Solid]:
    def near(x: float, y: float, z: float) -> tuple[float, float, float]:
        dx, dz = rng.uniform(-0.06, 0.06, 2)
        return (x + dx, y, z + dz)

    def turn(angle: float) -> float:
        return float(angle + rng.uniform(-0.08, 0.08))

    x, y, z = lower = near(1.55, 0.16, 0.75)
    upper, parcel = (x, y + 0.28, z), (x, y + 0.78, z)
    return [
        _Solid("sphere", near(-0.85, 0.55, -0.75), (0.55, 0.55, 0.55), (0.62, 0.05, 0.04), shine=0.8),
        _Solid("sphere", near(0.28, 0.42, -1.35), (0.42, 0.42, 0.42), (0.95, 0.42, 0.03), shine=0.35),
        _Solid("sphere", near(2.35, 0.48, -0.75), (0.48, 0.48, 0.48), (0.9, 0.85, 0.78), (0.07, 0.2, 0.45), "squares"),
        _Solid("cylinder", near(-2.25, 0.75, 0.1), (0.55, 0.75, 0.55), (0.85, 0.83, 0.78), (0.1, 0.32, 0.55), "bands"),
        _Solid("cylinder", near(-0.35, 1.0, 1.0), (0.36, 1.0, 0.36), (0.05, 0.22, 0.1), shine=0.9),
        _Solid("cylinder", near(-1.95, 0.2, -1.75), (0.42, 0.2, 0.42), (0.03, 0.3, 0.32), shine=0.5),
        _Solid("box", lower, (0.95, 0.16, 0.62), (0.1, 0.14, 0.36), shine=0.15, turn=turn(0.25)),
        _Solid("box", upper, (0.8, 0.12, 0.52), (0.5, 0.1, 0.12), shine=0.15, turn=turn(-0.12)),
        _Solid("box", parcel, (0.38, 0.38, 0.38), (0.85, 0.6, 0.08), (0.75, 0.3, 0.05), "stripes", turn=turn(0.6)),
    ]


def _rays(pixels: NDArray[np.generic], width: int, height: int) -> Array:
    """Unit directions [3, N] of pixels [2, N] (y, x)."""
    ahead = (_TARGET - _EYE) / np.linalg.norm(_TARGET - _EYE)
    right = np.cross([0, 1, 0], ahead) / np.linalg.norm(np.cross([0, 1, 0], ahead))
    up = np.cross(ahead, right)
    reach = 0.94 / max(width, 1.5 * height)
    y, x = ((height - 1) / 2 - pixels[0]) * reach, (pixels[1] - (width - 1) / 2) * reach
    rays = ahead[:, None] + right[:, None] * x + up[:, None] * y
    return _unit(rays.astype(np.float32))


def _dot(a: Array, b: Array) -> Array:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _unit(a: Array) -> Array:
    return a / np.sqrt(_dot(a, a))


def _borders(label: NDArray[np.int32]) -> NDArray[np.bool_]:
    border = np.zeros(label.shape, np.bool_)
    for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = label[a] != label[b]
        border[a] |= differ
        border[b] |= differ
    return border


def _local(vector: Array, turn: float) -> Array:
    """Vectors [3, N] in the frame of a box turned about its upright axis."""
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    return np.stack([cos * vector[0] - sin * vector[2], vector[1], sin * vector[0] + cos * vector[2]])


def _distance(origin: Array, rays: Array, solid: _Solid) -> Array:
    """Distance [N] along rays [3, N] from origins [3, N] or [3, 1] to a solid, _FAR where it is missed."""
    distance = np.full(rays.shape[1], _FAR)
    offset = origin - np.array(solid.centre, np.float32)[:, None]
    reach = solid.size[0] if solid.kind == "sphere" else float(np.linalg.norm(solid.size))
    along = _dot(offset, rays)
    near = np.flatnonzero((_dot(offset, offset) - along * along < reach * reach) & (along < 0))
    offset = offset[:, near] if offset.shape[1] > 1 else offset
    ray = rays[:, near]
    size = np.array(solid.size, np.float32)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        if solid.kind == "box":
            start, ray = _local(offset, solid.turn), _local(ray, solid.turn)
            enter = (-np.sign(ray) * size - start) / ray
            leave = (np.sign(ray) * size - start) / ray
            t, end = enter.max(0), leave.min(0)
            hit = t < end
        else:
            axes = [0, 1, 2] if solid.kind == "sphere" else [0, 2]
            a, b = (ray[axes] ** 2).sum(0), (ray[axes] * offset[axes]).sum(0)
            root = b * b - a * ((offset[axes] ** 2).sum(0) - size[0] ** 2)
            t = (-b - np.sqrt(root)) / a
            hit = root > 0
            if solid.kind == "cylinder":
                side = hit & (np.abs(offset[1] + t * ray[1]) <= size[1])
                lid = (size[1] - offset[1]) / ray[1]
                top = ((offset[axes] + lid * ray[axes]) ** 2).sum(0) <= size[0] ** 2
                t, hit = np.where(side, t, lid), side | top
    good = hit & (t > 1e-3)
    distance[near[good]] = t[good]
    return distance


def _hit(origin: Array, rays: Array, solids: list[_Solid]) -> tuple[Array, NDArray[np.int32]]:
    """Distance and label [N] of what the rays meet first."""
    with np.errstate(divide="ignore"):
        wall, table = (_WALL_Z - origin[2]) / rays[2], -origin[1] / rays[1]
    on_table = (table > 0) & (origin[2] + table * rays[2] < _TABLE_END)
    distance = np.where(on_table, table, wall).astype(np.float32)
    label = np.where(on_table, _TABLE, _WALL).astype(np.int32)
    x, y = (origin + wall * rays)[:2]
    for outer, inner, edge, rim in ((_FRAME, _GLASS, _WINDOW, 0.13), (_BORDER, _PAINTING, _PICTURE, 0.1)):
        inside = np.minimum(np.minimum(x - edge[0], edge[1] - x), np.minimum(y - edge[2], edge[3] - y))
        if inner == _GLASS:  # a cross bar each way
            bars = np.minimum(np.abs(x - (edge[0] + edge[1]) / 2), np.abs(y - (0.4 * edge[2] + 0.6 * edge[3])))
            inside = np.where(inside > 0, np.minimum(inside, bars + 0.08), inside)
        label[(label == _WALL) & (inside > 0)] = outer
        label[(label == outer) & (inside > rim)] = inner
    for k, solid in enumerate(solids):
        t = _distance(origin, rays, solid)
        nearer = t < distance
        distance[nearer], label[nearer] = t[nearer], _FIRST + k
    return distance, label


def _trace(rays: Array, solids: list[_Solid]) -> tuple[Array, NDArray[np.int32]]:
    """Linear RGB [3, N] and label [N] of rays [3, N] from the eye."""
    distance, label = _hit(_EYE[:, None], rays, solids)
    point = _EYE[:, None] + distance * rays
    normal = np.zeros_like(point)
    normal[2] = np.where(label == _TABLE, 0, -1)
    normal[1] = label == _TABLE
    colour = _room(point, label)
    shine = np.where(label == _TABLE, 0.12, 0.0).astype(np.float32)
    for k, solid in enumerate(solids):
        at = np.flatnonzero(label == _FIRST + k)
        normal[:, at], colour[:, at] = _surface(point[:, at], solid)
        shine[at] = solid.shine
    point += normal * np.float32(2e-3)
    to_light = _LIGHT[:, None] - point
    lit, open_ = np.ones_like(distance), np.ones_like(distance)
    for solid in solids:
        _shade(point, normal, to_light, solid, lit, open_)
    lamp = _unit(to_light)
    diffuse = _dot(normal, lamp).clip(0) * lit
    gloss = shine * lit * _dot(normal, _unit(lamp - rays)).clip(0) ** 64
    sky = np.array([0.3, 0.33, 0.38], np.float32)[:, None] * (0.75 + 0.25 * normal[1])
    sun = np.array([0.86, 0.78, 0.65], np.float32)[:, None]
    shaded = colour * (sky * open_ + sun * diffuse) + sun * gloss
    return np.where(label == _GLASS, colour, shaded), label


def _shade(point: Array, normal: Array, to_light: Array, solid: _Solid, lit: Array, open_: Array) -> None:
    """Take from `lit` the share of the lamp, from `open_` the share of the room that a solid hides, [N] each."""
    away = np.array(solid.centre, np.float32)[:, None] - point
    square = _dot(away, away)
    size = np.float32(1.1 * np.mean(solid.size))
    at = np.flatnonzero(square < 36 * size * size)
    seen = (_dot(normal[:, at], away[:, at]) / np.sqrt(square[at])).clip(0) * size**2 / square[at]
    open_[at] *= 1 - 0.75 * seen.clip(0, 1)
    along = _dot(away, to_light)
    reach = np.float32(np.linalg.norm(solid.size) + 0.4)
    at = np.flatnonzero((along > 0) & (square - along * along / _dot(to_light, to_light) < reach * reach))
    turn = np.arange(_LAMPS) * 2.4  # the lamp is a disc: points on a sunflower spiral
    radius = 0.75 * np.sqrt((np.arange(_LAMPS) + 0.5) / _LAMPS)
    for x, z in zip(radius * np.cos(turn), radius * np.sin(turn), strict=True):
        ray = _unit(to_light[:, at] + np.array([x, 0, z], np.float32)[:, None])
        lit[at] -= np.float32(1 / _LAMPS) * (_distance(point[:, at], ray, solid) < _FAR)
    np.maximum(lit, 0, out=lit)


def _surface(point: Array, solid: _Solid) -> tuple[Array, Array]:
    """Normals and colours [3, N] of points on a solid."""
    p = _local(point - np.array(solid.centre, np.float32)[:, None], solid.turn)
    size = np.array(solid.size, np.float32)[:, None]
    if solid.kind == "box":
        face = np.abs(p / size).argmax(0)
        normal = np.zeros_like(p)
        normal[face, np.arange(p.shape[1])] = np.sign(p[face, np.arange(p.shape[1])])
        normal = _local(normal, -solid.turn)
    else:
        normal = p / size[0]
        if solid.kind == "cylinder":
            lid = p[1] > size[1] - 1e-3
            normal[:, lid] = np.array([[0], [1], [0]])
            normal[1, ~lid] = 0
    angle = np.arctan2(p[0], p[2])
    second = {
        "plain": np.zeros(p.shape[1], np.bool_),
        "squares": (np.floor(angle / (np.pi / 5)) + np.floor(np.arcsin((p[1] / size[1]).clip(-1, 1)) / 0.5)) % 2 > 0,
        "bands": np.abs(np.abs(p[1] / size[1] - 0.1) - 0.35) < 0.13,
        "stripes": np.floor((p[0] + p[1] + p[2]) / 0.17) % 2 > 0,
    }[solid.pattern]
    colours = np.array([solid.colour, solid.second], np.float32)
    return normal, colours[second.astype(np.intp)].T


def _room(point: Array, label: NDArray[np.int32]) -> Array:
    """Colours [3, N] of wall, table, window and picture."""
    x, y, z = point
    flat = {_WALL: (0.27, 0.38, 0.42), _FRAME: (0.85, 0.84, 0.8), _BORDER: (0.16, 0.09, 0.05)}
    colours = np.zeros((_FIRST + 64, 3), np.float32)
    for key, value in flat.items():
        colours[key] = value
    colour = np.ascontiguousarray(colours[label].T)
    at = np.flatnonzero(label == _TABLE)
    plank = np.floor((z[at] + 20) / 0.85)
    ring = x[at] * 0.35 + plank * 1.7 + 0.12 * np.sin(3 * z[at] + 2 * np.sin(0.8 * x[at] + plank))
    grain = 0.82 + 0.1 * np.sin(26 * (z[at] + 0.05 * np.sin(3 * ring)) + 5 * ring) + 0.05 * np.sin(plank * 5.1)
    grain *= np.where(np.abs((z[at] + 20) / 0.85 - plank - 0.5) > 0.488, 0.6, 1)
    colour[:, at] = np.array([[0.42], [0.23], [0.11]]) * grain
    at = np.flatnonzero(label == _GLASS)
    hill = 2.35 + 0.3 * np.sin(1.4 * x[at] + 0.4) + 0.08 * np.sin(5 * x[at])
    sky = np.array([[0.45], [0.68], [1.0]]) + np.array([[0.4], [0.25], [0.0]]) * (4.4 - y[at]) / 2.4
    colour[:, at] = np.where(y[at] < hill, np.array([[0.16], [0.34], [0.12]]) * (0.5 + 0.25 * y[at]), sky)
    at = np.flatnonzero(label == _PAINTING)
    u, v = x[at] - 1.95, y[at] - 2.9
    ground = np.where(v < -0.15 + 0.12 * np.sin(3 * u), 1, 0)
    colour[:, at] = np.array([[0.75, 0.2], [0.62, 0.3], [0.42, 0.38]], np.float32)[:, ground]
    colour[:, at[(u - 0.35) ** 2 + (v - 0.2) ** 2 < 0.05]] = np.array([[0.8], [0.25], [0.1]])
    return colour
