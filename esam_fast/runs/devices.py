"""One process a device, all from one list of images."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from esam_fast._backend import set_num_threads
from esam_fast._errors import reason
from esam_fast._files import Pathish
from esam_fast.config import EsamConfig
from esam_fast.images import ImageWarning
from esam_fast.pipeline import Esam
from esam_fast.runs.manifest import Entry
from esam_fast.runs.names import Job
from esam_fast.runs.outputs import Outputs
from esam_fast.runs.record import Made, Settings, made_by
from esam_fast.runs.work import Work, failed
from esam_fast.segmenters import load_segmenter

_READERS = 2  # threads of a process that read images
_AHEAD = 2 * _READERS + 2  # images that a process has: one more than `Work.each` takes before it gives a result


class DeviceError(ValueError):
    """A process that could not load its segmenter, or that ended; the message says which and why."""


@dataclass(frozen=True)
class Load:
    """How a process makes its pipeline: the arguments of `load_segmenter`, `Esam` and `set_num_threads`."""

    device: str
    segmenter: str = "auto"
    checkpoint: str | None = None
    dtype: str = "auto"
    config: EsamConfig | None = None
    backend: str | None = None
    threads: int | None = None

    def __call__(self) -> Esam:
        if self.threads is not None:
            set_num_threads(self.threads)
        answers = load_segmenter(self.segmenter, self.checkpoint, self.device, self.dtype, backend=self.backend)
        return Esam(answers, self.config, self.backend)


class Devices:
    """Processes that segment images, each with a pipeline of its own; nothing is loaded in this one.

    Args:
        loads: one a process.
        settings: how images are segmented.

    Attributes:
        made: what makes the results, the same in all processes.

    Raises:
        DeviceError: a pipeline cannot be loaded, or two are not the same.
    """

    def __init__(self, loads: Sequence[Load], settings: Settings | None = None) -> None:
        context = multiprocessing.get_context("spawn")  # CUDA and torch work in no fork
        self._settings = settings or Settings()
        self._workers: list[_Worker] = []
        try:
            for load in loads:
                self._workers.append(_Worker(context, load, self._settings))
            made = [worker.made() for worker in self._workers]
            if any(other.hash != made[0].hash for other in made):
                raise DeviceError("the devices must give the same results, got different segmenters or weights")
        except BaseException:
            self.close()
            raise
        self.made = made[0]

    def each(
        self,
        jobs: Iterable[Job],
        out: Pathish,
        outputs: Outputs,
        *,
        strict: bool = False,
        warn: Callable[[str], object] = warnings.warn,
    ) -> Iterator[Entry]:
        """Segment images and write their files, as `Work.each`; entries come in the order in which they are done.

        Raises:
            DeviceError: no process is left.
        """
        for worker in self._workers:
            worker.send((out, self.made.hash, outputs, strict))
        jobs, alive = iter(jobs), list(self._workers)
        for worker in alive:
            worker.fill(jobs)
        while busy := {worker.pipe: worker for worker in alive if worker.jobs}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]
                answer = worker.receive()
                if answer is None:
                    alive.remove(worker)
                    yield from worker.lost(self.made.hash)
                elif isinstance(answer, str):
                    warn(answer)
                else:
                    worker.jobs.popleft()
                    worker.fill(jobs)
                    yield answer
        if not alive and next(jobs, None) is not None:
            raise DeviceError("every process has ended, and images are left")

    def close(self) -> None:
        """Let the processes end: each finishes the image in hand."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join()


class _Worker:
    """A process, this end of its pipe, and the images that it has, in order."""

    def __init__(self, context: Any, load: Load, settings: Settings) -> None:
        self.pipe, other = context.Pipe()
        self._device = load.device
        self.process: BaseProcess = context.Process(target=_work, args=(other, load, settings), daemon=True)
        self.process.start()
        other.close()
        self.jobs: deque[Job] = deque()
        self._ended = False

    def made(self) -> Made:
        answer = self.receive()
        if not isinstance(answer, Made):
            raise DeviceError(f"device {self._device}: {answer or self._end()}")
        return answer

    def fill(self, jobs: Iterator[Job]) -> None:
        """Give the process images until it has enough, or a None after the last."""
        while len(self.jobs) < _AHEAD and not self._ended:
            job = next(jobs, None)
            self._ended = job is None
            self.send(job)
            if job is not None:
                self.jobs.append(job)

    def send(self, value: Any) -> None:
        with contextlib.suppress(OSError):  # it has ended, as `receive` will find
            self.pipe.send(value)

    def receive(self) -> Any:
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            return None

    def lost(self, run: str) -> Iterator[Entry]:
        """The images that a process had when it ended, as failed."""
        end = self._end()
        while self.jobs:
            job = self.jobs.popleft()
            yield failed(job, run, f"device {self._device}: {end} when it had this image")

    def _end(self) -> str:
        self.process.join()
        code = self.process.exitcode or 0
        return f"its process was killed by signal {-code}" if code < 0 else f"its process ended with status {code}"


def _work(pipe: Connection, load: Load, settings: Settings) -> None:
    """What a process does until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one decides
    told: deque[str] = deque()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        told.append(str(message))

    warnings.simplefilter("always", ImageWarning)
    warnings.showwarning = show
    with contextlib.suppress(EOFError, OSError):  # the first process wants no more
        try:
            esam = load()
            made = made_by(esam, settings)
        except Exception as error:
            pipe.send(reason(error))
            return
        pipe.send(made)
        out, run, outputs, strict = pipe.recv()
        for entry in Work(esam, out, run, outputs, settings, strict).each(iter(pipe.recv, None), workers=_READERS):
            while told:
                pipe.send(told.popleft())
            pipe.send(entry)
