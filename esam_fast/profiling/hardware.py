"""What the machine is, what it could do at best, and the memory that was used."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast._backend import build_info
from esam_fast.entities import EntityMap


def floors(timed: Any, image: NDArray[np.uint8], result: EntityMap, on_cuda: bool) -> dict[str, float]:
    """Seconds that stages need at the pace of the hardware alone.

    Drawing: each plane read and each label written once, as a copy does it. Encoder, where it is torch's: its matrix
    products alone, at the rate of one large product.
    """
    assert result.grid is not None  # profiled as one view
    moved = 4 * (result.labels.size + len(result) * result.grid.height * result.grid.width)
    if not hasattr(timed, "dtype") or "torch" not in sys.modules:
        return {"draw": moved / _copy_rate()}
    import torch

    from esam_fast.segmenters.sam import products

    work = products.count(lambda: timed.embed(image))
    b = torch.empty(2**27, dtype=torch.int8, device=timed.device)
    wait: Callable[[], Any] = torch.cuda.synchronize if on_cuda else (lambda: None)
    copy = _best(lambda: (b.clone(), wait())) if on_cuda else 2 * b.numel() / _copy_rate()
    return {
        "embed": sum(flops / products.rate(dtype, timed.device) for dtype, flops in work.items()),
        "draw": moved * copy / (2 * b.numel()),
    }


def _copy_rate() -> float:
    """Bytes a second that a plain copy reads and writes, all threads copying."""
    threads = build_info()["threads"]
    source = np.ones((threads, 2**27 // threads), np.uint8)
    target = np.ones_like(source)
    with ThreadPoolExecutor(threads) as pool:
        return 2 * source.nbytes / _best(lambda: list(pool.map(np.copyto, target, source)))


def _best(run: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def peak_memory(cuda: Any) -> dict[str, int]:
    """Peak bytes of the process, and on the GPU of a segmenter that works on one (None: it does not)."""
    memory = {}
    if sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        memory["process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if cuda is not None:
        import torch

        memory["cuda"] = torch.cuda.max_memory_allocated(cuda.device)
    return memory


def chip(cuda: Any) -> str:
    """The name of the GPU of a segmenter, or of the processor where there is none (None)."""
    if cuda is not None:
        import torch

        return str(torch.cuda.get_device_name(cuda.device))
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
