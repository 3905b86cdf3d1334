"""Segment an image again and again, and keep what every stage cost."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast._backend import build_info, resolve
from esam_fast.pipeline import Esam
from esam_fast.profiling import hardware
from esam_fast.segmenters.protocol import gpu


@dataclass(frozen=True)
class Profile:
    """What was measured on one image.

    Attributes:
        about: what ran and where: the same for every image of a run.
        image: "name", "size" ("width x height"), "entities", "prompts" and "masks" (whose they are).
        runs: seconds a stage (those of STAGES in esam_fast.pipeline, and "total"), each run.
        spans: (stage, begin, end) in seconds since the start of the run, each run.
        floors: seconds that a stage would take at the pace measured for the hardware alone.
        memory: peak bytes: "process", and "cuda" where it was used.
    """

    about: dict[str, Any]
    image: dict[str, Any]
    runs: list[dict[str, float]]
    spans: list[tuple[tuple[str, float, float], ...]]
    floors: dict[str, float]
    memory: dict[str, int]


def measure(
    esam: Esam,
    image: NDArray[np.uint8],
    runs: int = 5,
    warmup: int = 1,
    *,
    name: str = "image",
    progress: Callable[[], object] = lambda: None,
) -> Profile:
    """Segment one image uint8 [H, W, 3] again and again.

    Args:
        esam: the pipeline; `esam_fast.evaluate.simulated_load.simulated_load` needs no trained weights.
        image: RGB.
        runs: how many count, at least 1.
        warmup: how many come before them and do not count.
        name: of the image.
        progress: called after every run, warm-ups too.
    """
    timed = getattr(esam.segmenter, "timed", esam.segmenter)
    on_cuda = gpu(timed) is not None
    results = []
    for _ in range(warmup + runs):
        results.append(esam.segment(image, keep_stages=True))
        progress()
    results = results[warmup:]
    stages: Any = results[-1].stages
    kernels = resolve(esam.backend, stages["emr"].masks.words)  # those for where the masks live
    info = build_info()
    about = {
        "segmenter": timed.name,
        "device": hardware.chip(timed if on_cuda else None),
        "dtype": str(getattr(timed, "dtype", "float32")).removeprefix("torch."),
        "cores": os.cpu_count(),
        "threads": info["threads"],
        "kernels": f"{kernels} ({info['simd']})" if kernels == "native" else kernels,
        "config": dataclasses.asdict(esam.config),
        "version": info["version"],
        "date": time.strftime("%Y-%m-%d"),
        "runs": runs,
    }
    shown = {
        "name": name,
        "size": f"{image.shape[1]} x {image.shape[0]}",
        "entities": len(results[-1]),
        "prompts": results[-1].prompts,
        "masks": getattr(esam.segmenter, "source", timed.name),
    }
    memory = hardware.peak_memory(timed if on_cuda else None)
    floors = hardware.floors(timed, image, results[-1], on_cuda)
    return Profile(about, shown, [r.timings for r in results], [r.spans for r in results], floors, memory)


def trace(profiles: list[Profile]) -> dict[str, Any]:
    """The runs of all images one after another as Chrome trace events, which Perfetto opens."""
    events: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": 1, "tid": 1, "args": {"name": "esam-fast"}},
    ]
    start = 0.0
    for profile in profiles:
        of = "" if len(profiles) == 1 else f" of {profile.image['name']}"
        for number, (run, spans) in enumerate(zip(profile.runs, profile.spans, strict=True), start=1):
            for name, begin, end in ((f"run {number}{of}", 0.0, run["total"]), *spans):
                times = {"ts": (start + begin) * 1e6, "dur": (end - begin) * 1e6}
                events.append({"name": name, "cat": "esam", "ph": "X", "pid": 1, "tid": 1, **times})
            start += run["total"]
    about = {name: str(value) for name, value in profiles[0].about.items()}
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": about}
