"""Threads with work of their own each.

Threads that share an operation wait for each other thousands of times a second; threads with a piece each do not, and
each keeps its own piece in its own cache.
"""

from __future__ import annotations

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
    threads = torch.get_num_threads()

    def divide() -> None:
        torch.get_num_threads()  # a thread's first question sets it up; only then does its own number last
        torch.set_num_threads(threads // count)

    try:
        with ThreadPoolExecutor(count, initializer=divide) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(threads)


def each_on_a_thread(work: Callable[[Item], None], items: list[Item]) -> None:
    """`work` on each of the items, in inference mode."""

    def run(item: Item) -> None:
        with torch.inference_mode():
            work(item)

    with workers(min(most_workers(), len(items))) as each:
        for _ in each(run, items):
            pass
