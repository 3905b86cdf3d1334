"""Prompts in chunks of one fixed shape: on a CPU a chunk a thread, and smaller ones when memory runs out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
import torch

from esam_fast.masks import Int
from esam_fast.segmenters.sam.threads import most_workers, workers

Space = TypeVar("Space")
Result = TypeVar("Result")

_CPU_CHUNK = 16
_GPU_CHUNK = 64


class Chunks(Generic[Space]):
    """Maps a function over chunks of prompts.

    Args:
        device: where the work is done.
        space: makes the buffers for chunks of a size.
        prompt_bytes: memory that a prompt takes, about; the chunk's size follows from the free memory of a GPU.
        threads: whether `work` may run on several threads of a CPU at a time.
    """

    def __init__(
        self, device: torch.device, space: Callable[[int], Space], prompt_bytes: int, *, threads: bool = True
    ) -> None:
        self._space = space
        self._in_threads = threads and device.type == "cpu"
        self.size = _CPU_CHUNK
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            self.size = _GPU_CHUNK
            while self.size > 1 and self.size * prompt_bytes > free // 4:
                self.size //= 2

    def map(self, work: Callable[[Int, int, Space], Result], n: int) -> list[Result]:
        """The results of `work` for n prompts, in order.

        Args:
            work: takes the indices of a chunk's prompts, int64 [size]; how many of them count, the others filling it
                up, so that shapes, and with them rounding, are always the same; and the buffers.
            n: how many prompts.
        """
        results: list[Result] = []
        done = 0
        while done < n:
            size = self.size
            count = most_workers() if self._in_threads else 1
            share = min(size, -(-(n - done) // count))
            try:
                with workers(count) as each:
                    result: Result
                    for result in each(self._in_space(work, size, share, n), range(done, n, share)):
                        results.append(result)
                        done += share
            except torch.cuda.OutOfMemoryError:
                if size == 1:
                    raise
                self.size = size // 2
        return results

    def _in_space(
        self, work: Callable[[Int, int, Space], Result], size: int, share: int, n: int
    ) -> Callable[[int], Result]:
        """`work` on the chunk that starts at a prompt, in buffers of this thread's own."""
        own = threading.local()

        def run(start: int) -> Result:
            with torch.inference_mode():
                if not hasattr(own, "space"):
                    own.space = self._space(size)
                return work(filled(start, size, n), min(share, n - start), own.space)

        return run


def filled(start: int, size: int, n: int) -> Int:
    """Indices of the chunk that starts at one of n prompts, always `size` of them: after the last, the last again."""
    return np.minimum(np.arange(start, start + size), n - 1)
