"""Tables for people, in markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from esam_fast.evaluate import published

_KEYS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "PQ", "SQ", "RQ", "covering", "uncovered")


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, its columns padded to one width; the first is words, the others are numbers."""
    cells = [list(head), *(list(row) for row in rows)]
    first, *others = (max(map(len, column)) for column in zip(*cells, strict=True))
    lines = [
        " | ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(rest, others, strict=True))])
        for name, *rest in cells
    ]
    rule = "|".join(["-" * (first + 2), *("-" * (width + 1) + ":" for width in others)])
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])


def number(value: float | None) -> str:
    """One decimal; "-" for what does not exist."""
    return "-" if value is None or value == -1 else f"{value:.1f}"


def report(name: str, result: dict[str, Any]) -> str:
    """What `evaluate` found, for people: the AP^e row, the raw one where masks overlapped."""
    rows = [[name, *(number(result[key]) for key in _KEYS)]]
    if "raw" in result:
        rows.append([f"{name}, overlapping (not AP^e)", *(number(result["raw"].get(key)) for key in _KEYS)])
    return markdown(["", *_KEYS], rows)


def intervals(result: dict[str, Any]) -> str:
    """The 95 % intervals of AP^e, AP50 and AP75, for people."""
    bounds = zip(("AP^e", "AP50", "AP75"), result["interval"], strict=True)
    return ", ".join(f"{key} {number(low)} to {number(high)}" for key, (low, high) in bounds)


def compared(name: str, result: dict[str, Any], *, low: bool = False) -> str:
    """The AP^e row among Table 1's, or with `low` Table 2's: the paper's own numbers on EntitySeg, or EntitySeg-LR."""
    rows = published.TABLE2 if low else published.TABLE1
    cells = [[f"{other} (published)", *map(number, values)] for other, values in rows.items()]
    return markdown(["", "AP^e", "AP50", "AP75"], [*cells, [name, *(number(result[k]) for k in _KEYS[:3])]])
