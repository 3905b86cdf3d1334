"""Ctrl-C and SIGTERM end a run between two images, not within the writing of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any


class Stop:
    """While entered, SIGINT and SIGTERM raise KeyboardInterrupt in the main thread, but not within `held`.

    Attributes:
        signal: the number of the signal that came; 0: none.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._held = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._come)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let a signal wait for the end of this block."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self.signal:
            raise KeyboardInterrupt

    def _come(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        if not self._held:
            raise KeyboardInterrupt
