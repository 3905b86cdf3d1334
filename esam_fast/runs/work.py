"""Images to files: read ahead, segmented, written, each with the entry that a manifest keeps of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esam_fast._errors import reason
from esam_fast._files import Pathish
from esam_fast._prefetch import StopFlag, in_order
from esam_fast.entities import EntityMap
from esam_fast.images import TiffWindows, load_image, open_image
from esam_fast.pipeline import Esam
from esam_fast.runs.manifest import Entry
from esam_fast.runs.names import Job
from esam_fast.runs.outputs import Outputs
from esam_fast.runs.record import Settings


@dataclass(frozen=True)
class Work:
    """Segments images into a folder.

    Attributes:
        esam: the pipeline.
        out: the run's folder.
        run: the hash of what makes the results (`record.Made.hash`).
        outputs, settings: what is written, and how.
        strict: let the error of an image through, instead of writing it down.
    """

    esam: Esam
    out: Pathish
    run: str
    outputs: Outputs = field(default_factory=Outputs)
    settings: Settings = field(default_factory=Settings)
    strict: bool = False

    def each(
        self,
        jobs: Iterable[Job],
        *,
        workers: int = 2,
        held: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Generator[Entry, None, None]:
        """Segment images and write their files, in order; yield the entry of each, also of one that failed.

        Args:
            jobs: taken as they are needed, at most 2 * workers + 1 ahead.
            workers: threads that read and decode.
            held: entered while an image's files are written.

        Raises:
            KeyboardInterrupt, and whatever `jobs` raises: no thread is left then.
        """
        stop = StopFlag()
        with closing(in_order(jobs, self._read, partial(self._segment, stop=stop), workers, stop.set)) as found:
            for job, result in found:
                with held():
                    yield self._finish(job, result)

    def one(self, job: Job) -> Entry:
        """Segment one image and write its files; see `each`."""
        return next(self.each([job]))

    def _read(self, job: Job) -> _Image:
        start = time.perf_counter()
        self.outputs.check(self.out, job)
        status = os.stat(job.path) if os.path.exists(job.path) else None  # `load_image` says what is wrong
        opened = load_image if self.settings.tile is None else open_image
        image = opened(job.path, stretch=self.settings.stretch)
        size, mtime_ns = (status.st_size, status.st_mtime_ns) if status else (0, 0)
        return _Image(image, size, mtime_ns, time.perf_counter() - start)

    def _segment(self, read: _Image, stop: StopFlag) -> _Segmented:
        start = time.perf_counter()
        views = self.settings.views
        if views:
            entities = self.esam.segment(read.image, **views, progress=stop.check)
        else:
            entities = self.esam.segment(read.image, keep_stages=self.outputs.steps or self.outputs.report)
        if self.settings.min_area:
            entities = entities.filter(min_area=self.settings.min_area)._with(stages=entities.stages)
        return _Segmented(*read[:3], read.seconds + time.perf_counter() - start, entities)

    def _finish(self, job: Job, result: _Segmented | Exception) -> Entry:
        try:
            if isinstance(result, Exception):
                raise result
            start = time.perf_counter()
            written = self.outputs.write(self.out, job, result.image, result.entities)
            seconds = result.seconds + time.perf_counter() - start
        except Exception as error:
            if self.strict:
                raise
            return failed(job, self.run, reason(error))
        height, width = result.image.shape[:2]
        return {
            **_about(job, self.run),
            "size": result.size,
            "mtime_ns": result.mtime_ns,
            "width": width,
            "height": height,
            "entities": len(result.entities),
            "covered": round(float(result.entities.areas.sum()) / (height * width), 6),
            "prompts": result.entities.prompts,
            "seconds": round(seconds, 4),
            "timings": {stage: round(spent, 4) for stage, spent in result.entities.timings.items()},
            "outputs": written,
        }


def failed(job: Job, run: str, error: str) -> Entry:
    """The entry of an image that failed."""
    return {**_about(job, run), "error": error}


def _about(job: Job, run: str) -> Entry:
    return {"path": job.path, "file_name": job.file_name, "name": job.name, "run": run, "time": time.time()}


class _Image(NamedTuple):
    image: NDArray[np.uint8] | TiffWindows
    size: int
    mtime_ns: int
    seconds: float


class _Segmented(NamedTuple):
    image: NDArray[np.uint8] | TiffWindows
    size: int
    mtime_ns: int
    seconds: float
    entities: EntityMap
