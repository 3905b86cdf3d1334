"""The time of a call, until the GPU, if there is one, has finished it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch


def seconds(call: Callable[[], Any]) -> float:
    """Of one call."""
    wait: Callable[[], Any] = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    wait()
    start = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - start


def median_ms(call: Callable[[], Any], rounds: int = 7) -> float:
    """The median of so many calls in milliseconds, after one that warms up."""
    call()
    return statistics.median(seconds(call) * 1e3 for _ in range(rounds))
