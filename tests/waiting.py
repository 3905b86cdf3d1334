"""Waiting for other threads and processes, as long as a slow and busy machine may need: only a test that fails does."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 600.0  # seconds after which what should have happened has not


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"not within {PATIENCE} s"
        time.sleep(0.002)
