"""E-SAM, top to bottom: embed, MMG, EMR, USR, draw."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from esam_fast import _arrays, _backend, _check, superpixels
from esam_fast.config import EsamConfig
from esam_fast.entities import EntityMap
from esam_fast.images import as_rgb, load_image
from esam_fast.masks import MaskGrid, by_score
from esam_fast.ops import entity_planes
from esam_fast.segmenters.protocol import Segmenter, gpu, thresholds
from esam_fast.session import Session
from esam_fast.stages import draw, emr, gallery, mmg, usr
from esam_fast.stages.handover import Entities, Gallery, Levels, guided

STAGES = ("embed", "superpixels", "decode", "mmg", "emr", "usr", "draw")
T = TypeVar("T")


class Esam:
    """Segments every entity of an image with a promptable segmenter, without training.

    Args:
        segmenter: anything with the `Segmenter` protocol; see `load_segmenter`.
        config: every threshold.
        backend: "native", "numba", or None for the best one for where the segmenter's masks live; "cuda" and
            "torch" bring masks that are on the host to the GPU, or into torch, first.

    Raises:
        TypeError: config is not an EsamConfig. ValueError: unknown backend.
        BackendUnavailable: a backend asked for by name is not here.
    """

    def __init__(self, segmenter: Segmenter, config: EsamConfig | None = None, backend: str | None = None) -> None:
        self.segmenter = segmenter
        self.config = EsamConfig() if config is None else _check.instance("config", config, EsamConfig)
        self.backend = _backend.check(backend)

    def segment(self, image: NDArray[Any] | str | Path, *, keep_stages: bool = False) -> EntityMap:
        """Find every entity of one image.

        Args:
            image: an array (see `esam_fast.images.as_rgb` for what is accepted; uint8 [H, W, 3] RGB is used as it
                is), or the path of an image file. It is never changed.
            keep_stages: also return the intermediate masks of each stage.

        Returns:
            EntityMap in the image's own frame (a file's EXIF rotation applied).

        Raises:
            TypeError, ValueError: an image, or a segmenter's answer, that cannot be used; the message says why.
        """
        rgb = load_image(image) if isinstance(image, (str, os.PathLike)) else as_rgb(image)
        config, backend, clock = self.config, self.backend, _Clock()
        start = partial(_start, aside=gpu(self.segmenter) is not None)  # the host has time while a GPU answers

        with clock("superpixels"):
            label_map = start(superpixels.segment, rgb, config.superpixels, backend=backend)
        with clock("embed"):
            session = Session(self.segmenter, rgb, backend)
            grid = session.grid

        # MMG: the masks of a point grid, sorted by level.
        floors = thresholds(self.segmenter, config.mmg)
        points = grid.point_grid(config.mmg.points_per_side)
        with clock("decode"):
            answer = session.ask(points, min_score=floors[0])
        with clock("mmg"):
            objects = mmg.object_masks(answer, points, config.mmg, *floors, backend=backend)
        with clock("superpixels"):
            on_grid = start(lambda: superpixels.on_grid(label_map(), grid))
        with clock("mmg"):
            part_maps = start(lambda: mmg.part_maps(answer, points, on_grid(), config.mmg, *floors, backend=backend))

        # The gallery: guidance masks for the points of a denser grid.
        with clock("emr"):
            dense = grid.point_grid(config.emr.points_per_side)
            pixels = grid.pixels(dense)
            asked, stands_for = gallery.choose(objects.masks, pixels, config.emr)
        with clock("decode"):
            seen = guided(session.ask(dense[asked]), dense[asked], config.emr.tau)
        with clock("superpixels"):
            regions = on_grid()
        with clock("mmg"):
            levels = Levels(objects, *part_maps())

        # EMR: overlaps are split, fragments merged.
        with clock("emr"):
            refined = entities = emr.refine(
                objects, Gallery(pixels, stands_for, seen.masks, seen.scores), regions, session.features, grid,
                config.emr, config.min_area, backend=backend,
            )  # fmt: skip

        # USR: what is still uncovered is prompted again.
        uncovered = np.zeros((0, 2), np.float32)
        if config.usr.enabled:
            with clock("usr"):
                uncovered = grid.points(usr.propose(refined.masks, levels, regions, config.min_area, backend=backend))
            with clock("decode"):
                extra = guided(session.ask(uncovered), uncovered, config.emr.tau)
            with clock("usr"):
                entities = usr.complete(refined, extra, grid, config.usr, backend=backend)

        with clock("decode"):
            logits = session.logits(entities.members)
        with clock("draw"):
            result = self._draw(entities, logits, grid)
        if keep_stages:
            result["stages"] = {
                "mmg": levels.objects, "part": levels.parts, "subpart": levels.subparts,
                "emr": refined.masks, "usr": entities.masks,
            }  # fmt: skip
        prompts = {"mmg": len(points), "gallery": len(asked), "usr": len(uncovered)}
        return EntityMap(**result, timings=clock.seconds(), spans=tuple(clock.spans), prompts=prompts, grid=grid)

    def _draw(self, entities: Entities, logits: Any, grid: MaskGrid) -> dict[str, Any]:
        """The fields of EntityMap that describe the entities, labelled 1..K by score descending."""
        members = entities.members
        planes = entity_planes(
            logits, members.masks, entities.kept, entities.owner, entities.masks, backend=self.backend
        )
        order = by_score(entities.scores)
        planes = _arrays.take(planes, order)
        labels, areas, boxes = draw.label_map(planes, grid, self.config.min_region_area, backend=self.backend)
        seen = areas > 0
        renumbered = np.concatenate([[0], np.cumsum(seen) * seen]).astype(np.int32)
        best_member = _best_members(entities)[order[seen]]
        return {
            "labels": labels if seen.all() else renumbered[labels],
            "scores": entities.scores[order[seen]],
            "areas": areas[seen],
            "boxes": boxes[seen],
            "points": members.points[best_member],
            "stability": members.stability[best_member],
        }


def _best_members(entities: Entities) -> NDArray[np.int64]:
    """Index of each entity's highest-scored member, ties to the first: int64 [K]."""
    by_entity = np.lexsort((-entities.members.scores, entities.owner))
    _, first = np.unique(entities.owner[by_entity], return_index=True)
    return by_entity[first]


def _start(work: Callable[..., T], *args: Any, aside: bool, **kwargs: Any) -> Callable[[], T]:
    """Begin some work, in a thread of its own or to its end: what waits for the result."""
    if not aside:
        result = work(*args, **kwargs)
        return lambda: result
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work, *args, **kwargs)
    pool.shutdown(wait=False)
    return future.result


class _Clock:
    """When each stage ran, in seconds since the start, and how long in all."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.spans: list[tuple[str, float, float]] = []

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.spans.append((stage, begin - self._start, time.perf_counter() - self._start))

    def seconds(self) -> dict[str, float]:
        spent = dict.fromkeys(STAGES, 0.0)
        for stage, begin, end in self.spans:
            spent[stage] += end - begin
        return {**spent, "total": time.perf_counter() - self._start}
