"""The paper's ablations: Table 3 (modules), Table 4 (settings), and the superpixels of its supplement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast.config import EsamConfig
from esam_fast.evaluate import baselines, bootstrap, metric, predict, published
from esam_fast.evaluate.caching import CachingSegmenter
from esam_fast.evaluate.results import Predictions
from esam_fast.evaluate.table import markdown, number
from esam_fast.evaluate.truth import Dataset, Truth
from esam_fast.pipeline import Esam
from esam_fast.segmenters.protocol import Segmenter

Changes = dict[str, dict[str, Any]]  # section of EsamConfig -> fields


def _modules(on: str) -> Changes:
    return {name: {"enabled": name[0].upper() in on} for name in ("mmg", "emr", "usr")}


def _merged(*parts: Changes) -> Changes:
    merged: Changes = {}
    for part in parts:
        for section, fields in part.items():
            merged[section] = {**merged.get(section, {}), **fields}
    return merged


TABLE3: dict[str, Changes] = {row: _modules(row) for row in published.TABLE3}

# theta_O and gamma_O on MMG alone, delta and tau on MMG and EMR, the rest on all three.
TABLE4: dict[str, Changes] = {
    **{f"theta_O={v}": _merged(_modules("M"), {"mmg": {"theta_o": v}}) for v in (0.7, 0.75, 0.8, 0.9)},
    **{f"gamma_O={v}": _merged(_modules("M"), {"mmg": {"gamma_o": v}}) for v in (0.3, 0.6, 0.9, 1.0)},
    **{f"delta={v}": _merged(_modules("ME"), {"emr": {"delta": v}}) for v in (0.01, 0.05, 0.1, 0.2)},
    **{f"tau={v}": _merged(_modules("ME"), {"emr": {"tau": v}}) for v in (0.0, 0.05, 0.1, 0.2)},
    **{f"rho={v}": {"usr": {"rho": v}} for v in (0.0, 0.1, 0.3, 0.5)},
    **{
        f"points={m}/{g}": {"mmg": {"points_per_side": m}, "emr": {"points_per_side": g}}
        for m, g in ((16, 16), (16, 32), (16, 64), (32, 64))
    },
}

SUPERPIXELS: dict[str, Changes] = {name: {"superpixels": {"method": name}} for name in ("felzenszwalb", "slic")}

# Rules and values that the paper leaves open, or gives and which another would do better on a simulated SAM.
RULES: dict[str, Changes] = {
    "M+E+U": {},
    "M+U": _modules("MU"),
    "E+U": _modules("EU"),
    **{f"score_margin={v}": {"emr": {"score_margin": v}} for v in (0.1, 0.05, 0.03)},
    "E+U, score_margin=0.05": _merged(_modules("EU"), {"emr": {"score_margin": 0.05}}),
    "delta=0": {"emr": {"delta": 0.0}},
    "delta=0, score_margin=0.05": {"emr": {"delta": 0.0, "score_margin": 0.05}},
    "merge_support=0": {"emr": {"merge_support": 0.0}},
    "top_k=20": {"emr": {"top_k": 20}},
}

# Points asked of a cell of the gallery, 0: every point.
GALLERY: dict[str, Changes] = {f"votes_per_cell={v}": {"emr": {"votes_per_cell": v}} for v in (0, 1, 2, 4, 8)}

TABLES = {"3": TABLE3, "4": TABLE4, "gallery": GALLERY, "rules": RULES, "superpixels": SUPERPIXELS}
_PUBLISHED = {**published.TABLE3, **published.TABLE4}


def with_changes(config: EsamConfig, changes: Changes) -> EsamConfig:
    """The config with some fields of its sections replaced."""
    return replace(config, **{name: replace(getattr(config, name), **fields) for name, fields in changes.items()})


def answer(
    rows: dict[str, Changes],
    config: EsamConfig,
    segmenter: Callable[[Truth, int], Segmenter],
    *,
    compare: Sequence[str] = (),
    backend: str | None = None,
) -> predict.Answer:
    """What `predict.predict` asks for every image: all rows, the image prompted once.

    Args:
        rows: what to change in `config` for each row.
        segmenter: for an image and a seed, which is the number of the round.
        compare: other methods (`baselines.METHODS`) that get rows of their own.
        backend: of the operations.

    Raises:
        ValueError: an unknown method to compare with.
    """
    for name in compare:
        if name not in baselines.METHODS:
            raise ValueError(f"method must be one of {', '.join(baselines.METHODS)}, got {name!r}")

    def of_image(seed: int, truth: Truth, image: NDArray[np.uint8]) -> dict[str, Predictions]:
        answers = CachingSegmenter(segmenter(truth, seed))
        found = {}
        for row, changes in rows.items():
            found[row] = baselines.method("esam", Esam(answers, with_changes(config, changes), backend))(image)
        for name in compare:
            found[name] = baselines.method(name, Esam(answers, config, backend))(image)
        return found

    return of_image


def measure(dataset: Dataset, found: dict[str, list[Predictions]], *, seeds: int = 1) -> dict[str, Any]:
    """Every row's numbers, with 95 % intervals over images, and its distance to the best and to the first row.

    Returns:
        For each row what `metric.evaluate` gives, "interval" ([low, high] of AP, AP50, AP75; images are drawn with
        replacement, all seeds of an image together), "behind" (by how much the best row's AP exceeds this one's,
        with its interval, paired draws), "gain" (by how much it exceeds the first row's, likewise), "prompts" (points
        asked, mean of an image) and "published" (the paper's AP AP50 AP75, or null).
    """
    every = replace(dataset, images=dataset.images * seeds)
    report: dict[str, Any] = {}
    draws = {}
    for row, predictions in found.items():
        report[row], draws[row] = metric.evaluate(every, predictions), bootstrap.draw(every, predictions, repeats=seeds)
        report[row]["interval"] = bootstrap.interval(draws[row])
        report[row]["prompts"] = float(np.mean([one.prompts for one in predictions]))
        report[row]["published"] = _PUBLISHED.get(row)
    best, first = max(report, key=lambda row: report[row]["AP"]), next(iter(report))

    def difference(one: str, other: str) -> list[float]:
        return [report[one]["AP"] - report[other]["AP"], *bootstrap.interval(draws[one] - draws[other])[0]]

    for row in report:
        report[row]["behind"], report[row]["gain"] = difference(best, row), difference(row, first)
    return report


def table(report: dict[str, Any]) -> str:
    """The rows for people, the paper's own numbers beside them."""
    head = [
        "", "AP^e", "95 %", "AP50", "AP75", "behind the best", "against the first", "PQ", "covering", "uncovered",
        "prompts", "paper",
    ]  # fmt: skip
    rows: list[list[str]] = []
    for row, found in report.items():
        low, high = found["interval"][0]
        gap, least, most = found["behind"]
        gain, lowest, highest = found["gain"]
        paper = found["published"]
        rows.append(
            [
                row,
                number(found["AP"]),
                f"{low:.1f}..{high:.1f}",
                number(found["AP50"]),
                number(found["AP75"]),
                f"{gap:.1f} ({least:.1f}..{most:.1f})" if gap else "best",
                f"{gain:+.1f} ({lowest:+.1f}..{highest:+.1f})" if rows else "first",
                number(found["PQ"]),
                number(found["covering"]),
                number(found["uncovered"]),
                f"{found['prompts']:,.0f}",
                " / ".join(number(v) for v in paper if v is not None) if paper else "-",
            ]
        )
    return markdown(head, rows)
