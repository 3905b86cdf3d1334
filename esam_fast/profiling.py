"""Times of every stage over repeated runs, beside the paper's Table 5: as a table, a chart, a page and a trace."""

from __future__ import annotations

import html
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from esam_fast._backend import build_info, resolve
from esam_fast.entities import EntityMap
from esam_fast.evaluate.published import TABLE5_STAGES
from esam_fast.evaluate.table import markdown
from esam_fast.pipeline import Esam
from esam_fast.segmenters.protocol import gpu

_PAPER_STAGES = sum(TABLE5_STAGES[stage] for stage in ("MMG", "EMR", "USR"))
# What is shown: the stages that it sums, and the paper's seconds for the same.
ROWS: dict[str, tuple[tuple[str, ...], float | None]] = {
    "encoder": (("embed",), None),
    "decoder": (("decode",), None),
    "superpixels": (("superpixels",), None),
    "MMG": (("mmg",), TABLE5_STAGES["MMG"]),
    "EMR": (("emr",), TABLE5_STAGES["EMR"]),
    "USR": (("usr",), TABLE5_STAGES["USR"]),
    "drawing": (("draw",), None),
    "encoder stage = encoder + decoder": (("embed", "decode"), TABLE5_STAGES["encoder stage"]),
    "MMG + EMR + USR": (("mmg", "emr", "usr"), None),
    "MMG + EMR + USR + superpixels": (("mmg", "emr", "usr", "superpixels"), _PAPER_STAGES),
    "total": (("total",), sum(TABLE5_STAGES.values())),
}
NOTE = (
    "Paper: Table 5, ViT-H, seconds for a high-resolution image on the authors' hardware. Its encoder stage must hold "
    "the prompt decodings too, and its MMG, EMR and USR the superpixels; drawing is not listed there. Superpixels that "
    "are made while a GPU encodes and decodes count only as far as they are waited for."
)


@dataclass(frozen=True)
class Profile:
    """What was measured.

    Attributes:
        about: what ran and where.
        runs: seconds a stage ("total" as well), each run.
        spans: (stage, begin, end) in seconds since the start of the run, each run.
        floors: seconds that a stage would take at the pace measured for the hardware alone.
        memory: peak bytes: "process", and "cuda" where it was used.
    """

    about: dict[str, Any]
    runs: list[dict[str, float]]
    spans: list[tuple[tuple[str, float, float], ...]]
    floors: dict[str, float]
    memory: dict[str, int]

    def seconds(self, stages: tuple[str, ...]) -> list[float]:
        """Of these stages together, each run."""
        return [sum(run[stage] for stage in stages) for run in self.runs]


def measure(esam: Esam, image: NDArray[np.uint8], runs: int = 5, warmup: int = 1) -> Profile:
    """Segment one image uint8 [H, W, 3] again and again.

    Args:
        esam: the pipeline; `esam_fast.evaluate.simulated_load.simulated_load` needs no trained weights.
        image: RGB.
        runs: how many count, at least 1.
        warmup: how many come before them and do not count.
    """
    timed = getattr(esam.segmenter, "timed", esam.segmenter)
    on_cuda = gpu(timed) is not None
    results = [esam.segment(image, keep_stages=True) for _ in range(warmup + runs)][warmup:]
    stages: Any = results[-1].stages
    kernels = resolve(esam.backend, stages["emr"].masks.words)  # those for where the masks live
    info = build_info()
    about = {
        "image": f"{image.shape[1]} x {image.shape[0]}",
        "entities": len(results[-1]),
        "points_per_side": {"mmg": esam.config.mmg.points_per_side, "gallery": esam.config.emr.points_per_side},
        "prompts": results[-1].prompts,
        "segmenter": timed.name,
        "masks": getattr(esam.segmenter, "source", timed.name),
        "device": _chip(timed if on_cuda else None),
        "dtype": str(getattr(timed, "dtype", "float32")).removeprefix("torch."),
        "cores": os.cpu_count(),
        "threads": info["threads"],
        "kernels": f"{kernels} ({info['simd']})" if kernels == "native" else kernels,
        "version": info["version"],
        "date": time.strftime("%Y-%m-%d"),
        "runs": runs,
    }
    memory = _peak_memory(timed if on_cuda else None)
    floors = _floors(timed, image, results[-1], on_cuda)
    return Profile(about, [r.timings for r in results], [r.spans for r in results], floors, memory)


# -- what the hardware can do


def _floors(timed: Any, image: NDArray[np.uint8], result: EntityMap, on_cuda: bool) -> dict[str, float]:
    """Drawing: each plane read and each label written once. Encoder: its matrix products alone."""
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


def _peak_memory(cuda: Any) -> dict[str, int]:
    memory = {}
    if sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        memory["process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if cuda is not None:
        import torch

        memory["cuda"] = torch.cuda.max_memory_allocated(cuda.device)
    return memory


def _chip(cuda: Any) -> str:
    if cuda is not None:
        import torch

        return str(torch.cuda.get_device_name(cuda.device))
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


# -- how it is shown


def report(profile: Profile) -> dict[str, Any]:
    """What was measured, as values that JSON can hold; medians in seconds a stage."""
    rows = {}
    for name, (stages, paper) in ROWS.items():
        seconds = profile.seconds(stages)
        floor = sum(profile.floors[s] for s in stages) if all(s in profile.floors for s in stages) else None
        rows[name] = {
            "median": statistics.median(seconds), "min": min(seconds), "max": max(seconds), "paper": paper,
            "floor": floor, "share_of_floor": None if floor is None else floor / statistics.median(seconds),
        }  # fmt: skip
    return {**profile.about, "seconds": rows, "runs_seconds": profile.runs, "peak_bytes": profile.memory, "note": NOTE}


def table(found: dict[str, Any]) -> str:
    """A report (see `report`) as text with a Markdown table, beside the paper's Table 5."""
    head = ["seconds", "median", "min", "max", "of the floor", "paper"]
    rows = [
        [
            name,
            *(f"{row[key]:.3f}" for key in ("median", "min", "max")),
            "" if row["share_of_floor"] is None else f"{row['share_of_floor']:.0%}",
            "" if row["paper"] is None else f"{row['paper']:.2f}",
        ]
        for name, row in found["seconds"].items()
    ]
    return f"{_about(found)}\n\n{markdown(head, rows)}\n\n{NOTE}"


def _about(found: dict[str, Any]) -> str:
    memory = ", ".join(f"{name} {size / 2**30:.2f} GiB" for name, size in found["peak_bytes"].items())
    asked, side = found["prompts"], found["points_per_side"]
    return (
        f"{found['image']} pixels, {found['entities']} entities, {found['runs']} runs after a warm-up\n"
        f"prompts: {sum(asked.values()):,} = {asked['mmg']:,} (grid, {side['mmg']} points a side) + "
        f"{asked['gallery']:,} (gallery, of {side['gallery']} a side) + {asked['usr']:,} (USR)\n"
        f"encoder and decoder: {found['segmenter']}, {found['dtype']}; masks: {found['masks']}\n"
        f"{found['device']}, {found['cores']} cores, {found['threads']} threads, kernels {found['kernels']}, "
        f"{found['date']}; peak memory: {memory or 'not measured'}"
    )


def chart(found: dict[str, Any]) -> NDArray[np.uint8]:
    """A report's medians and the paper's seconds as bars: uint8 [H, W, 3]."""
    rows = found["seconds"]
    size, left, width = 15, 300, 960
    step = 3 * size
    font = ImageFont.load_default(size)
    picture = Image.new("RGB", (width, step * len(rows) + 9 * size), "white")
    draw = ImageDraw.Draw(picture)
    for i, line in enumerate(_about(found).splitlines()):
        draw.text((size, size * (0.5 + 1.4 * i)), line, "black", font)
    scale = (width - left - 90) / max(max(row["median"], row["paper"] or 0) for row in rows.values())
    for i, (name, row) in enumerate(rows.items()):
        y = 6 * size + i * step
        draw.text((left - size, y + size), name, "black", font, "rm")
        for value, colour, top in ((row["median"], "#1f6fb4", y), (row["paper"], "#b8b8b8", y + size)):
            if value is not None:
                draw.rectangle((left, top, left + value * scale, top + size - 2), colour)
                label = f"{value:.3f} s" if top == y else f"{value:.2f} s, paper"
                draw.text((left + value * scale + 6, top + size / 2), label, "black", font, "lm")
    draw.text(
        (size, picture.height - 1.5 * size), "Grey: the paper's Table 5, ViT-H, on its authors' hardware", "black", font
    )
    return np.asarray(picture)


def page(found: dict[str, Any]) -> str:
    """A report as one HTML file that needs nothing else."""
    most = max(max(row["median"], row["paper"] or 0) for row in found["seconds"].values())
    lines = []
    for name, row in found["seconds"].items():
        bars = [f'<div class="here" style="width:{row["median"] / most:.2%}"></div>']
        paper = ""
        if row["paper"] is not None:
            bars.append(f'<div class="paper" style="width:{row["paper"] / most:.2%}"></div>')
            paper = f"{row['paper']:.2f}"
        spread = f"{row['median']:.3f} <small>{row['min']:.3f} to {row['max']:.3f}</small>"
        share = "" if row["share_of_floor"] is None else f"{row['share_of_floor']:.0%}"
        lines.append(
            f"<tr><th>{html.escape(name)}</th><td>{spread}</td><td>{share}</td><td>{paper}</td>"
            f"<td class='bars'>{''.join(bars)}</td></tr>"
        )
    about = "<br>".join(html.escape(line) for line in _about(found).splitlines())
    return (
        "<!DOCTYPE html><html lang='en'><meta charset='utf-8'><title>esam-fast profile</title><style>"
        "body{font:15px sans-serif;margin:2em}th,td{text-align:left;padding:.3em .8em}small{color:#666}"
        ".bars{width:28em}.bars div{height:.8em}.here{background:#1f6fb4}.paper{background:#b8b8b8}</style>"
        f"<h1>esam-fast profile</h1><p>{about}</p><table><tr><th>stage</th><th>seconds</th><th>of the floor</th>"
        f"<th>paper</th><th>here blue, paper grey</th></tr>{''.join(lines)}</table><p>{html.escape(NOTE)}</p></html>\n"
    )


def trace(profile: Profile) -> dict[str, Any]:
    """The runs one after another as Chrome trace events, which Perfetto opens."""
    events: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": 1, "tid": 1, "args": {"name": "esam-fast"}},
    ]
    start = 0.0
    for number, (run, spans) in enumerate(zip(profile.runs, profile.spans, strict=True), start=1):
        for name, begin, end in ((f"run {number}", 0.0, run["total"]), *spans):
            times = {"ts": (start + begin) * 1e6, "dur": (end - begin) * 1e6}
            events.append({"name": name, "cat": "esam", "ph": "X", "pid": 1, "tid": 1, **times})
        start += run["total"]
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {k: str(v) for k, v in profile.about.items()}}
