"""Views joined pixel by pixel in plain Python: the rule as it is written, and nothing clever."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any, NamedTuple

import numpy as np


class Seen(NamedTuple):
    """One view's result."""

    window: tuple[int, int, int, int]  # top, bottom, left, right
    labels: np.ndarray
    scores: np.ndarray
    points: np.ndarray
    stability: np.ndarray


def depth(window: tuple[int, int, int, int], y: int, x: int, height: int, width: int, wrap: bool) -> float:
    """Steps to the nearest border that cuts something off."""
    top, bottom, left, right = window
    sides = [
        y - top if top > 0 else None,
        bottom - 1 - y if bottom < height else None,
        x - left if wrap or left > 0 else None,
        right - 1 - x if wrap or right < width else None,
    ]
    return min((s for s in sides if s is not None), default=float("inf"))


def label_at(seen: Seen, y: int, x: int) -> int:
    """The view's label at a place, -1 outside it."""
    top, bottom, left, right = seen.window
    return int(seen.labels[y - top, x - left]) if top <= y < bottom and left <= x < right else -1


def joined(views: list[Seen], height: int, width: int, wrap: bool) -> dict[str, Any]:
    turns = (-1, 0, 1, 2) if wrap else (0,)  # a panorama's views may begin anywhere in it

    owner = {}
    for y, x in product(range(height), range(width)):
        sightings = []
        for i, seen in enumerate(views):
            for turn in turns:
                column = x + turn * width
                if label_at(seen, y, column) >= 0:
                    sightings.append((-depth(seen.window, y, column, height, width, wrap), i, column))
        _, i, column = min(sightings)
        owner[y, x] = (i, label_at(views[i], y, column))

    area = [Counter(seen.labels.ravel().tolist()) for seen in views]
    groups = {(i, label): {(i, label)} for i in range(len(views)) for label in area[i] if label}
    for i, j, turn in product(range(len(views)), range(len(views)), turns):
        if (i, 0) == (j, turn):
            continue
        top, bottom, left, right = views[i].window
        pairs = [
            (label_at(views[i], y, x), label_at(views[j], y, x + turn * width))
            for y, x in product(range(top, bottom), range(left, right))
            if label_at(views[j], y, x + turn * width) >= 0
        ]
        part_a, part_b, both = Counter(a for a, _ in pairs), Counter(b for _, b in pairs), Counter(pairs)
        for (a, b), common in both.items():
            if a == 0 or b == 0:
                continue
            if common / (part_a[a] + part_b[b] - common) <= 0.5:
                continue
            if (part_a[a] < 64 and part_a[a] < area[i][a]) or (part_b[b] < 64 and part_b[b] < area[j][b]):
                continue
            one = groups[i, a] | groups[j, b]
            for member in one:
                groups[member] = one

    own = Counter(owner.values())
    entities = []
    for group in {frozenset(group) for group in groups.values()}:
        members = sorted(m for m in group if own[m])
        if not members:
            continue
        pixels = [place for place, member in owner.items() if member in members]
        total = sum(own[m] for m in members)
        score = np.float32(sum(own[m] * float(views[m[0]].scores[m[1] - 1]) for m in members) / total)
        i, label = max(members, key=lambda m: (own[m], [-k for k in m]))
        (x, y), (top, _, left, _) = views[i].points[label - 1].astype(float), views[i].window
        entities.append((-score, min(pixels), pixels, ((x + left) % width, y + top), views[i].stability[label - 1]))
    entities.sort(key=lambda e: e[:2])

    labels = np.zeros((height, width), np.int32)
    for k, (_, _, pixels, _, _) in enumerate(entities, start=1):
        for place in pixels:
            labels[place] = k
    return {
        "labels": labels,
        "scores": np.array([-e[0] for e in entities], np.float32),
        "points": np.array([e[3] for e in entities], np.float32).reshape(-1, 2),
        "stability": np.array([e[4] for e in entities], np.float32),
    }
