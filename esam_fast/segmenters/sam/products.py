"""What matrix products cost: those of a call counted, and the rate of a large one, by which a floor is told."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from esam_fast.segmenters.sam.linear import linear

_PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "baddbmm_", "_linear_pointwise")


def count(run: Callable[[], object]) -> Counter[torch.dtype]:
    """Floating-point operations of a call in matrix products and convolutions, by dtype; it runs on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # operations are seen on the thread that counts
    try:
        with _Counting() as mode:
            run()
    finally:
        torch.set_num_threads(threads)
    return mode.flops


def rate(dtype: torch.dtype, device: torch.device) -> float:
    """Floating-point operations a second in a large matrix product, by the faster of torch's own and oneDNN."""
    side = 8192 if device.type == "cuda" else 2048
    a = torch.randn(side, side, device=device).to(dtype)
    ways = (lambda: a @ a, lambda: linear(a, a))
    return 2 * side**3 / min(_seconds(way, device) for way in ways for _ in range(8))


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


class _Counting(TorchDispatchMode):  # type: ignore[misc]  # torch is not followed
    def __init__(self) -> None:
        super().__init__()
        self.flops: Counter[torch.dtype] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with self:  # in inference mode, operations arrive whole
            parts = func.decompose(*args, **(kwargs or {}))
        if parts is not NotImplemented:
            return parts
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in _PRODUCTS:
            first = args[1] if "add" in name else args[0]
            self.flops[first.dtype] += 2 * result.numel() * first.shape[-1]
        elif name == "convolution":
            kernel, transposed = args[1], args[6]
            each = kernel.shape[0] if transposed else kernel[0].numel()  # transposed: as large as its stride
            self.flops[result.dtype] += 2 * result.numel() * each
        return result
