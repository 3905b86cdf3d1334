"""Markdown tables from the JSON of pytest-benchmark, ratios first; every table tells chip, cores, date and commit.

    pytest benchmarks/bench_*.py --benchmark-json=out.json && python benchmarks/table.py out.json [more.json ...]

Peers are beside ours in the same run, taking turns with it; times are medians. "cpu" is the processor time of one call
over all threads, which says more than the clock where other jobs ran: a quiet machine needs about that over its cores.
"cpu ratio" compares it with the peer's, thread for thread.
"n^" is how processor time grew since the row above: as n to that power.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from esam_fast.evaluate.table import markdown


def main(files: list[str]) -> None:
    for file in files:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
        machine, commit = found["machine_info"], found["commit_info"]
        loads = [bench["extra_info"]["load"] for bench in found["benchmarks"] if "load" in bench["extra_info"]]
        print(
            f"{machine['cpu'].get('brand_raw', machine['machine'])}, {machine['cpu']['count']} cores · "
            f"{found['datetime'][:10]} · commit {commit['id'][:7]}{' and changes' if commit['dirty'] else ''} · "
            f"load average {min(loads):.1f} to {max(loads):.1f}"
        )
        groups: dict[str, list[dict[str, Any]]] = {}
        for bench in found["benchmarks"]:
            groups.setdefault(bench["group"], []).append(bench)
        for title, benches in groups.items():
            head, *rows = _table(benches)
            print(f"\n### {title}\n\n{markdown(head, rows)}")
            for bench in benches:
                if "stages" in bench["extra_info"]:
                    print(f"\n{_stages(bench['extra_info'])}")


def _table(benches: list[dict[str, Any]]) -> tuple[list[str], ...]:
    rows = []
    before: tuple[float, float] | None = None
    for bench in benches:
        info = bench["extra_info"]
        seconds = info.get("median", bench["stats"]["median"])
        growth, size = "", info.get("size")
        if size:
            if before:
                growth = f"n^{math.log(info['cpu'] / before[1]) / math.log(size / before[0]):.2f}"
            before = size, info["cpu"]
        cpu = info["cpu"] if "median" not in info else None
        ours = [_ms(seconds), "" if cpu is None else _ms(cpu), info.get("rate") or "", growth]
        for i, (name, theirs) in enumerate(list(info.get("peers", {}).items()) or [("", "")]):
            ratios, times = ["", ""], [theirs, ""]  # a text says why it is missing
            if not isinstance(theirs, str):
                ratios = [f"**{_figures(theirs[0] / seconds)}**", "" if cpu is None else _figures(theirs[1] / cpu)]
                times = [_ms(spent) for spent in theirs]
            rows.append([info["work"] if i == 0 else "", name, *ratios, *times, *(ours if i == 0 else [""] * 4)])
    head = ["work", "against", "ratio", "cpu ratio", "its ms", "its cpu ms", "esam_fast ms", "cpu ms", "rate", "growth"]
    unused = [k for k in range(1, len(head)) if not any(row[k] for row in rows)]
    return tuple([cell for k, cell in enumerate(row) if k not in unused] for row in (head, *rows))


def _stages(info: dict[str, Any]) -> str:
    """Medians of the stages, and both sums to lay beside the paper's."""
    stages = info["stages"]
    without = stages["mmg"] + stages["emr"] + stages["usr"]
    return (
        f"{info['work']}, {info['entities']} entities, ms: "
        + ", ".join(f"{name} {_ms(seconds)}" for name, seconds in stages.items())
        + f". MMG + EMR + USR: **{_ms(without)}**; with superpixels, as the paper's 3,950: "
        + f"**{_ms(without + stages['superpixels'])}**."
    )


def _ms(seconds: float) -> str:
    return _figures(seconds * 1e3)


def _figures(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main(sys.argv[1:])
