"""E-SAM, top to bottom: embed, MMG, EMR, USR, draw."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from esam_fast import _arrays, _backend, _check, superpixels
from esam_fast._arrays import Array
from esam_fast._limits import MAX_THREADS
from esam_fast._prefetch import StopFlag, in_order
from esam_fast.config import EsamConfig
from esam_fast.entities import EntityMap
from esam_fast.images import TiffWindows, as_array, as_rgb, open_image
from esam_fast.masks import MaskGrid, by_score
from esam_fast.ops import entity_planes
from esam_fast.segmenters.protocol import Segmenter, check_segmenter, gpu, thresholds
from esam_fast.session import Session
from esam_fast.stages import draw, emr, gallery, mmg, usr
from esam_fast.stages.handover import Entities, Gallery, Levels, guided
from esam_fast.views.joining import Canvas
from esam_fast.views.windows import Views, calmest_column

STAGES = ("embed", "superpixels", "decode", "mmg", "emr", "usr", "draw")
T = TypeVar("T")
Progress: TypeAlias = Literal[True] | Callable[[int, int | None], object] | None  # of `Esam.segment_many`


class Esam:
    """Segments every entity of an image with a promptable segmenter, without training.

    Args:
        segmenter: anything with the `Segmenter` protocol; see `load_segmenter`.
        config: every threshold.
        backend: "native", "numba", or None for the best one for where the segmenter's masks live; "cuda" and
            "torch" bring masks that are on the host to the GPU, or into torch, first.

    Raises:
        TypeError: config is not an EsamConfig, or segmenter no segmenter. ValueError: unknown backend.
        BackendUnavailable: a backend asked for by name is not here.
    """

    def __init__(self, segmenter: Segmenter, config: EsamConfig | None = None, backend: str | None = None) -> None:
        self.segmenter = check_segmenter(segmenter)
        self.config = EsamConfig() if config is None else _check.instance("config", config, EsamConfig)
        self.backend = _backend.check(backend)

    def segment(
        self,
        image: Any,
        *,
        keep_stages: bool = False,
        tile: int | None = None,
        overlap: int = 256,
        wrap: bool = False,
        progress: Callable[[int, int], object] | None = None,
    ) -> EntityMap:
        """Find every entity of one image.

        A large image is better divided into tiles, each segmented alone: small things are then seen, and no step holds
        more than some tiles, one label map and, unless it is read by windows, the image. Entities that two tiles saw
        alike, where they overlap, are one.

        Args:
            image: the path of a file, a NumPy array (uint8 [H, W, 3] RGB is used as it is), a PIL image, a torch tensor
                or nested lists (see `esam_fast.images.as_rgb`), or what `esam_fast.images.open_image` gives. It is
                never changed. With `tile`, a TIFF file in tiles or strips is read by windows, and the limit of pixels
                that a file may have holds for a window.
            keep_stages: also return the intermediate masks of each stage; not with `tile` or `wrap`.
            tile: height and width of tiles, image pixels; an image no larger is segmented as without. None: no tiles.
            overlap: pixels that neighbouring tiles share, less than `tile`; with 0, nothing is joined.
            wrap: the image is a panorama, whose left side goes on at its right one.
            progress: called with (tiles done, all tiles) after each tile of an image that is divided; what it raises
                ends the work.

        Returns:
            EntityMap in the image's own frame (a file's EXIF rotation applied). With `tile` or `wrap`, its grid is
            None, its timings and prompts are sums over the views, and joining counts as draw.

        Raises:
            TypeError, ValueError: an image, a segmenter's answer, or an argument, that cannot be used; the message
                says why.
        """
        views = Views(tile, overlap, wrap)
        if _check.flag("keep_stages", keep_stages) and not views.whole:
            raise ValueError("keep_stages must be False with tile or wrap, got True")
        if not (progress is None or callable(progress)):
            raise TypeError(f"progress must be None or callable, got {type(progress).__name__}")
        return self._segment(_opened(image, views), views, keep_stages, progress)

    def segment_many(
        self,
        images: Iterable[Any],
        *,
        workers: int = 2,
        progress: Progress = None,
        tile: int | None = None,
        overlap: int = 256,
        wrap: bool = False,
    ) -> Iterator[tuple[int | str | os.PathLike[str], EntityMap | Exception]]:
        """Segment many images, in order; one that fails gives its exception, and the others are done all the same.

        Images are read in threads of their own, ahead of the segmenter, which also works in one: it goes on while the
        caller is busy with a result. At most 2 * workers + 1 images are taken and not yet handed out, so `images` may
        be endless; it is asked for the next one from the caller's thread.

        Args:
            images: paths, arrays and whatever else `segment` takes.
            workers: threads that read and decode.
            progress: called with (images done, all images; None: not known) before each result is handed out. True:
                a tqdm bar.
            tile, overlap, wrap: see `segment`.

        Yields:
            (key, EntityMap or Exception); key is the path as it was given, or for what is none its index in `images`.

        Raises:
            TypeError, ValueError: an argument that cannot be used, at once. KeyboardInterrupt, and whatever `images`
            itself raises, at the next result. No thread is left then, nor when the caller stops early (`close`); the
            image being segmented, or its tile, is finished first.
        """
        _check.integer("workers", workers, 1, MAX_THREADS)
        if isinstance(images, (str, os.PathLike)) or not isinstance(images, Iterable):
            raise TypeError(f"images must be an iterable of images, got {type(images).__name__}")
        shape = getattr(images, "shape", None)
        if shape is not None and len(shape) < 4:
            raise ValueError(f"images must be several images, got one of shape {list(shape)}")
        if not (progress is None or progress is True or callable(progress)):
            raise TypeError(f"progress must be None, True or callable, got {type(progress).__name__}")
        return self._many(images, workers, progress, Views(tile, overlap, wrap))

    def _many(
        self, images: Iterable[Any], workers: int, progress: Progress, views: Views
    ) -> Iterator[tuple[int | str | os.PathLike[str], EntityMap | Exception]]:
        total = len(images) if isinstance(images, Sized) else None
        with _reported(progress, total) as report:
            stop = StopFlag()
            read, segment = partial(_opened, views=views), partial(self._segment, views=views, progress=stop.check)
            with closing(in_order(images, read, segment, workers, stop.set)) as results:
                for index, (image, found) in enumerate(results):
                    report(index + 1, total)
                    yield image if isinstance(image, (str, os.PathLike)) else index, found

    def _segment(
        self,
        image: NDArray[np.uint8] | TiffWindows,
        views: Views,
        keep_stages: bool = False,
        progress: Callable[[int, int], object] | None = None,
    ) -> EntityMap:
        """The entities of an image that `_opened` gave."""
        clock = _Clock()
        if isinstance(image, np.ndarray) and views.whole:
            return self._view(image, clock, keep_stages)
        height, width = image.shape[:2]
        layout = views.layout(height, width, calmest_column(image) if views.wrap else 0)
        if len(layout.views) == 1 and not layout.shared(0):
            return self._view(as_rgb(image[:]), clock)._with(grid=None)
        canvas, prompts = Canvas(layout), Counter[str]()
        with closing(in_order(layout.views, lambda view: as_rgb(layout.cut(image, view)), _itself, 1)) as read:
            for done, (_, rgb) in enumerate(read, start=1):  # ahead, in a thread; segmented in this one
                if isinstance(rgb, Exception):
                    raise rgb
                found = self._view(rgb, clock)
                prompts.update(found.prompts)
                with clock("draw"):
                    canvas.add(found)
                if progress is not None:
                    progress(done, len(layout.views))
        with clock("draw"):
            result = canvas.finish(backend=self.backend)
        return EntityMap._unchecked(
            **result, timings=clock.seconds(), spans=tuple(clock.spans), prompts=dict(prompts), grid=None
        )  # fmt: skip

    def _view(self, rgb: NDArray[np.uint8], clock: _Clock, keep_stages: bool = False) -> EntityMap:
        """The entities of one view, uint8 [H, W, 3] RGB, by itself."""
        config, backend = self.config, self.backend
        start = partial(_start, aside=gpu(self.segmenter) is not None)  # the host has time while a GPU answers

        with clock("superpixels"):
            label_map = start(superpixels.segment, rgb, config.superpixels, backend=backend)
        with clock("embed"):
            session = Session(self.segmenter, rgb, backend)
            grid = session.grid

        # MMG: the masks of a point grid, sorted by level.
        required = thresholds(self.segmenter, config.mmg)
        points = grid.point_grid(config.mmg.points_per_side)
        with clock("decode"):
            answer = session.ask(points, min_score=required.score)
        with clock("mmg"):
            objects = mmg.object_masks(answer, points, config.mmg, required, backend=backend)
        with clock("superpixels"):
            on_grid = start(lambda: superpixels.on_grid(label_map(), grid))
        with clock("mmg"):
            part_maps = start(lambda: mmg.part_maps(answer, points, on_grid(), config.mmg, required, backend=backend))

        # The gallery: guidance masks for the points of a denser grid.
        with clock("emr"):
            dense = grid.point_grid(config.emr.points_per_side)
            pixels = grid.pixels(dense)
            asked, stands_for = gallery.choose(objects.masks, pixels, config.emr)
        with clock("decode"):
            guidance = guided(session.ask(dense[asked]), dense[asked], config.emr.tau)
        with clock("superpixels"):
            regions = on_grid()
        with clock("mmg"):
            levels = Levels(objects, *part_maps())

        # EMR: overlaps are split, fragments merged.
        with clock("emr"):
            refined = entities = emr.refine(
                objects, Gallery(pixels, stands_for, guidance.masks, guidance.scores), regions, session.features, grid,
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
        stages = {
            "mmg": levels.objects, "part": levels.parts, "subpart": levels.subparts,
            "emr": refined.scored(), "usr": entities.scored(),
        } if keep_stages else None  # fmt: skip
        prompts = {"mmg": len(points), "gallery": len(asked), "usr": len(uncovered)}
        return result._with(stages=stages, timings=clock.seconds(), spans=tuple(clock.spans), prompts=prompts)

    def _draw(self, entities: Entities, logits: Array, grid: MaskGrid) -> EntityMap:
        """The entities at the image's resolution, labelled 1..K by score descending."""
        members = entities.members
        planes = entity_planes(
            logits, members.masks, entities.kept, entities.owner, entities.masks, backend=self.backend
        )
        order = by_score(entities.scores)
        planes = _arrays.take(planes, order)
        labels, areas, boxes = draw.label_map(planes, grid, self.config.min_region_area, backend=self.backend)
        scored = entities.scored().take(order)
        drawn = EntityMap._unchecked(
            labels=labels, scores=scored.scores, areas=areas, boxes=boxes, points=scored.points,
            stability=scored.stability, timings={}, grid=grid,
        )  # fmt: skip
        visible = areas > 0
        return drawn if visible.all() else drawn[visible]


def _opened(image: Any, views: Views) -> NDArray[np.uint8] | TiffWindows:
    """An image as RGB; if it is to be divided, as it is where its views can be read or converted one by one."""
    if views.tile is not None and isinstance(image, (str, os.PathLike)):
        return open_image(image)
    if isinstance(image, TiffWindows):
        return image if views.tile is not None else image[:]
    if views.whole or isinstance(image, (str, os.PathLike)):
        return as_rgb(image)
    image = as_array(image)
    by_pixel = image.dtype == np.uint8 and image.size > 0
    if by_pixel and (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 2, 3, 4))):
        return image
    return as_rgb(image)


def _itself(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return rgb


def _start(work: Callable[..., T], *args: Any, aside: bool, **kwargs: Any) -> Callable[[], T]:
    """Begin some work, in a thread of its own or to its end: what waits for the result."""
    if not aside:
        result = work(*args, **kwargs)
        return lambda: result
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work, *args, **kwargs)
    pool.shutdown(wait=False)
    return future.result


@contextmanager
def _reported(progress: Progress, total: int | None) -> Iterator[Callable[[int, int | None], object]]:
    """What is called with the number of images done, and of all."""
    if progress is not True:
        yield progress or (lambda done, total: None)
        return
    from tqdm import tqdm

    with tqdm(total=total, unit="image") as bar:
        yield lambda done, total: bar.update()


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
