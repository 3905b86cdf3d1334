"""Threads with work of their own each.

Threads that share an operation wait for each other thousands of times a second; threads with a piece each do not, and
each keeps its own piece in its own cache.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_WORKERS = 8


def most_workers() -> int:
    """How many threads `workers` starts at most, of those that torch may use."""
    return min(torch.get_num_threads(), _MOST_WORKERS)


@contextmanager
def workers(count: int) -> Iterator[Callable[..., Iterator[Result]]]:
    """An ordered map on so many threads, which divide torch's threads among them."""
    if count == 1:
        yield map
        return
    with (
        _SETTING.kept() as threads,
        ThreadPoolExecutor(count, initializer=_divide, initargs=(threads // count,)) as pool,
    ):
        yield pool.map


def _divide(threads: int) -> None:
    torch.get_num_threads()  # a thread's first question sets it up; only then does its own number last
    torch.set_num_threads(threads)


class _Setting:
    """torch's number of threads while pools divide it: new threads of the process start with what was set last."""

    def __init__(self) -> None:
        self._lock, self._pools, self._threads = threading.Lock(), 0, 1

    @contextmanager
    def kept(self) -> Iterator[int]:
        """The number as it was before the first of the pools that overlap; the last of them sets it again."""
        with self._lock:
            if self._pools == 0:
                self._threads = torch.get_num_threads()
            self._pools += 1
            threads = self._threads
        try:
            yield threads
        finally:
            with self._lock:
                self._pools -= 1
            torch.set_num_threads(threads)


_SETTING = _Setting()
if hasattr(os, "register_at_fork"):  # no child inherits a lock that another thread holds, or pools that it has not
    os.register_at_fork(after_in_child=_SETTING.__init__)  # type: ignore[misc]


def each_on_a_thread(work: Callable[[Item], None], items: list[Item]) -> None:
    """`work` on each of the items, in inference mode."""

    def run(item: Item) -> None:
        with torch.inference_mode():
            work(item)

    with workers(min(most_workers(), len(items))) as each:
        for _ in each(run, items):
            pass
