"""Work through a sequence in order, its items read ahead in threads, and worked on while the caller is busy."""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")
Result = TypeVar("Result")


class StopFlag(threading.Event):
    """Tells long work in another thread to end: `check` raises once it is set."""

    def check(self, *_: object) -> None:
        if self.is_set():
            raise RuntimeError("stopped")


def in_order(
    items: Iterable[Item],
    read: Callable[[Item], Read],
    work: Callable[[Read], Result],
    readers: int,
    stopping: Callable[[], object] = lambda: None,
) -> Generator[tuple[Item, Result | Exception], None, None]:
    """Yield (item, work(read(item))) for each item, in order; where that raises an Exception, the exception.

    `readers` threads read, and one thread works, one item at a time. At most 2 * readers + 1 items are taken from
    `items`, by the caller's thread, and not yet handed out: memory does not grow with their number. When the caller
    stops, or `items` or anything else raises (KeyboardInterrupt in a thread, too), what has not begun is dropped, what
    has is waited for, and no thread is left. `stopping` is called before that wait, so that `work` can end early.
    """
    taken: deque[tuple[Item, Future[Result | Exception]]] = deque()
    with ThreadPoolExecutor(readers, "esam-read") as reading, ThreadPoolExecutor(1, "esam-work") as working:
        try:
            for item in items:
                taken.append((item, working.submit(_attempt, work, [reading.submit(read, item)])))
                if len(taken) > 2 * readers:
                    yield _next(taken)
            while taken:
                yield _next(taken)
        finally:
            stopping()
            for pool in (reading, working):
                pool.shutdown(wait=False, cancel_futures=True)


def _next(taken: deque[tuple[Item, Future[Result | Exception]]]) -> tuple[Item, Result | Exception]:
    item, future = taken.popleft()
    result = future.result()
    if isinstance(result, Exception):
        _forget_variables(result)
    return item, result


def _attempt(work: Callable[[Read], Result], read: list[Future[Read]]) -> Result | Exception:
    try:
        return work(read.pop().result())  # popped, as the pool holds on to arguments while a traceback lives
    except Exception as error:
        return error


def _forget_variables(error: BaseException) -> None:
    """Empty the frames of an exception and of those behind it, which would keep images alive as long as itself."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__
