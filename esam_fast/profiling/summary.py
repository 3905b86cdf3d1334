"""What was measured, as one report of plain values: stages, sums of them, and whether the paper's times compare."""

from __future__ import annotations

import statistics
from typing import Any

from esam_fast import _check
from esam_fast.config import flat
from esam_fast.evaluate.published import TABLE5_STAGES
from esam_fast.pipeline import STAGES
from esam_fast.profiling.measuring import Profile

# A stage of the pipeline, by the name it is shown with.
PARTS = {
    "encoder": "embed",
    "decoder": "decode",
    "superpixels": "superpixels",
    "MMG": "mmg",
    "EMR": "emr",
    "USR": "usr",
    "drawing": "draw",
}
OTHER = "other"  # of the total, what is in no stage
# Sums of stages that the paper's Table 5 gives too, and its seconds.
SUMS: dict[str, tuple[tuple[str, ...], float]] = {
    "encoder + decoder": (("embed", "decode"), TABLE5_STAGES["encoder stage"]),
    "MMG": (("mmg",), TABLE5_STAGES["MMG"]),
    "EMR": (("emr",), TABLE5_STAGES["EMR"]),
    "USR": (("usr",), TABLE5_STAGES["USR"]),
    "superpixels + MMG + EMR + USR": (
        ("superpixels", "mmg", "emr", "usr"),
        sum(TABLE5_STAGES[stage] for stage in ("MMG", "EMR", "USR")),
    ),
    "total": (("total",), sum(TABLE5_STAGES.values())),
}
_SETTING = ("device", "dtype", "threads", "kernels", "version")  # what two runs may differ in, beside their config


def report(profiles: list[Profile]) -> dict[str, Any]:
    """What was measured on one image or several, as values that JSON can hold.

    Returns:
        What ran, as `Profile.about` has it. "images": of each, `Profile.image` and its "total". "seconds": of each
        stage of PARTS, of OTHER and of "total", for one image (of several: their mean), the "median", "min" and "max"
        over the runs, the "runs" themselves, "floor" and "share_of_floor" (None where no floor is known). "sums": of
        each of SUMS, "median", "min", "max", and "paper", the paper's seconds. "paper_needs": what the paper timed and
        this run did not, a line each; none where the two compare. "peak_bytes": of the process, and of the GPU.
    """
    runs = range(len(profiles[0].runs))
    seconds = [{s: statistics.mean(p.runs[r][s] for p in profiles) for s in (*STAGES, "total")} for r in runs]
    floors = {s: statistics.mean(p.floors[s] for p in profiles) for s in profiles[0].floors}
    rows = {}
    for name, stage in {**PARTS, OTHER: OTHER, "total": "total"}.items():
        values = [run["total"] - sum(run[s] for s in STAGES) if stage == OTHER else run[stage] for run in seconds]
        floor, row = floors.get(stage), _spread(values)
        share = None if floor is None else floor / row["median"]
        rows[name] = {**row, "runs": values, "floor": floor, "share_of_floor": share}
    sums = {
        name: {**_spread([sum(run[s] for s in stages) for run in seconds]), "paper": paper}
        for name, (stages, paper) in SUMS.items()
    }
    images = [{**p.image, "total": _spread([run["total"] for run in p.runs])} for p in profiles]
    memory = {name: max(p.memory[name] for p in profiles) for name in profiles[0].memory}
    about = profiles[0].about
    return {
        **about, "images": images, "seconds": rows, "sums": sums, "paper_needs": _needs(about), "peak_bytes": memory,
    }  # fmt: skip


def _spread(values: list[float]) -> dict[str, Any]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _needs(about: dict[str, Any]) -> list[str]:
    """What the paper's Table 5 timed and this run did not."""
    config, segmenter = about["config"], about["segmenter"].removesuffix(" with random weights")  # which cost as much
    needed: list[tuple[str, Any, Any]] = [
        ("the segmenter", "sam:vit_h", segmenter),
        ("mmg.points_per_side", 32, config["mmg"]["points_per_side"]),
        ("emr.points_per_side", 64, config["emr"]["points_per_side"]),
        ("emr.votes_per_cell", 0, config["emr"]["votes_per_cell"]),
        *((f"{stage}.enabled", True, config[stage]["enabled"]) for stage in ("mmg", "emr", "usr")),
    ]
    return [f"{what} must be {wanted}, here {here}" for what, wanted, here in needed if here != wanted]


def check_comparable(old: Any, segmenter: str, sizes: list[str]) -> None:
    """Raise a ValueError if `old` is no report, or of another segmenter or images of other sizes ("width x height")."""
    try:
        for name in (*PARTS, "total"):
            _check.at_least(name, old["seconds"][name]["median"], 0)
        there = {"segmenter": old["segmenter"], "images": [image["size"] for image in old["images"]]}
    except (KeyError, TypeError, IndexError, ValueError):
        raise ValueError("expected numbers as esam-fast profile --json writes them") from None
    for what, ours in (("segmenter", segmenter), ("images", sizes)):
        if there[what] != ours:
            raise ValueError(f"expected the same {what} as now, {_words(ours)}, got {_words(there[what])}")


def compare(new: dict[str, Any], old: dict[str, Any], percent: float) -> dict[str, Any]:
    """Two reports beside each other.

    A stage, or the total, is slower if its median grew by more than `percent`, and by more than a hundredth of the old
    total: what takes next to no time decides nothing.

    Args:
        new, old: see `report`; `old` has passed `check_comparable`.
        percent: that is allowed.

    Returns:
        "rows": by stage, "old" and "new" in seconds and "change" in percent (None: the old one took no time);
        "slower": their names; "unlike": what else differs between the runs, a line each.

    """
    before = {name: float(old["seconds"][name]["median"]) for name in (*PARTS, "total")}
    configs = [flat(one["config"]) if isinstance(one.get("config"), dict) else {} for one in (new, old)]
    settings = ({name: one.get(name) for name in _SETTING} for one in (new, old))
    here, there = (setting | config for setting, config in zip(settings, configs, strict=True))
    rows: dict[str, dict[str, Any]] = {}
    for name, was in before.items():
        now = new["seconds"][name]["median"]
        rows[name] = {"old": was, "new": now, "change": 100 * (now / was - 1) if was > 0 else None}
    return {
        "percent": percent,
        "rows": rows,
        "slower": [
            name
            for name, row in rows.items()
            if row["new"] > row["old"] * (1 + percent / 100) and row["new"] - row["old"] > before["total"] / 100
        ],
        "unlike": [
            f"{name}: {there.get(name, 'not told')}, now {here.get(name, 'not told')}"
            for name in {**there, **here}
            if there.get(name) != here.get(name)
        ],
    }


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
