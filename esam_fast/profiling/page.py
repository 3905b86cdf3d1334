"""A report of times as one HTML file with pictures in SVG, which needs nothing else."""

from __future__ import annotations

import html
import math
from typing import Any

from esam_fast.profiling import text
from esam_fast.profiling.summary import OTHER, PARTS

# Dark enough for white letters; neighbours in the bar are far apart in hue.
COLOURS = dict(
    zip(
        (*PARTS, OTHER),
        ("#1f6fb4", "#bf5615", "#0e7c86", "#2f7d3b", "#8446a0", "#b3344c", "#7a5c2e", "#8a9099"),
        strict=True,
    )
)
_HERE, _BESIDE = "#1f6fb4", "#a9b0b8"
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1c2126;background:#fff;max-width:64rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .5rem}h2{font-size:1.1rem;margin:2.2rem 0 .6rem}
p{margin:.5rem 0;max-width:48rem}.small,.small p{color:#565d66;font-size:.87rem}
.wide{overflow-x:auto;margin-bottom:1rem}table{border-collapse:collapse}
svg{display:block;font:12px system-ui,sans-serif}
th,td{padding:.25rem .6rem;text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;
border-top:1px solid #e6e8eb}
thead th{color:#565d66;font-weight:600;border:0}th:first-child{text-align:left;font-weight:400;padding-left:0}
tr.total th,tr.total td{font-weight:600;border-top:2px solid #1c2126}i{display:inline-block;width:.75rem;height:.75rem;
border-radius:2px;margin-right:.5rem}p.slower{color:#b3344c;font-weight:600}td.drawn{padding:0 0 0 .7rem}
"""


def page(found: dict[str, Any], compared: dict[str, Any] | None = None, beside: str = "") -> str:
    """A report (see `summary.report`) and, if given, what `summary.compare` found beside the file of this name."""
    lines = "<br>".join(html.escape(line) for line in text.about(found))
    parts = [
        f"<h1>esam-fast profile: {found['seconds']['total']['median']:.3f} s an image</h1><p class='small'>{lines}</p>",
        f"<h2>Where the time goes</h2><div class='wide'>{_stack(found['seconds'])}</div>",
        _stages(found["seconds"]),
    ]
    if len(found["images"]) > 1:
        parts.append(f"<h2>Images</h2>{_images(found)}")
    parts.append(f"<h2>Sums of stages</h2>{_sums(found)}")
    parts.append(f"<h2>Beside the paper</h2><p>{html.escape(text.paper(found))}</p>")
    if not found["paper_needs"]:
        pairs = [(name, row["median"], row["paper"]) for name, row in found["sums"].items()]
        parts.append(_beside(pairs, "here", "the paper"))
    if compared is not None:
        parts.append(f"<h2>Beside {html.escape(beside)}</h2>{_compared(compared)}")
    return (
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>esam-fast profile</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + "</body></html>\n"
    )


def _stack(rows: dict[str, Any]) -> str:
    """The stages' medians as one bar, with a scale below."""
    width, high, left = 960, 46, 1
    shares = {name: max(0.0, rows[name]["median"]) for name in COLOURS}
    whole = sum(shares.values()) or 1.0
    scale, x, drawn = (width - 2 * left) / whole, float(left), []
    for name, seconds in shares.items():
        wide = seconds * scale
        label = f"{name} {_seconds(seconds)}"
        drawn.append(
            f"<rect x='{x:.1f}' y='0' width='{max(0.0, wide - 1):.1f}' height='{high}' fill='{COLOURS[name]}'>"
            f"<title>{html.escape(label)} s, {seconds / whole:.0%}</title></rect>"
        )
        for words, y in ((name, high / 2 - 4), (f"{_seconds(seconds)} s", high / 2 + 12)):
            if wide > 7.2 * max(len(name), len(_seconds(seconds)) + 2) + 8:
                drawn.append(f"<text x='{x + wide / 2:.1f}' y='{y:g}' fill='#fff' text-anchor='middle'>{words}</text>")
        x += wide
    ticks = "".join(
        f"<path d='M{left + tick * scale:.1f} {high + 3}v5' stroke='#8a9099'/><text x='{left + tick * scale:.1f}' "
        f"y='{high + 21}' text-anchor='{'start' if tick == 0 else 'middle'}' fill='#565d66'>{tick:g} s</text>"
        for tick in _ticks(whole, 8)
        if tick * scale < width - 20
    )
    return _svg(width, high + 26, "".join(drawn) + ticks, "the stages' medians as parts of one bar")


def _stages(rows: dict[str, Any]) -> str:
    """A row a stage: numbers, and its runs on one scale, that of the slowest run."""
    most = max(row["max"] for name, row in rows.items() if name != "total") or 1.0
    total = rows["total"]["median"]
    lines = []
    for name, row in rows.items():
        swatch = "" if name == "total" else f"<i style='background:{COLOURS[name]}'></i>"
        floor = ("", "") if row["floor"] is None else (_seconds(row["floor"]), f"{row['share_of_floor']:.0%}")
        spread = "" if name == "total" else _spread(row, most, COLOURS[name])
        lines.append(
            f"<tr{' class=total' if name == 'total' else ''}><th>{swatch}{name}</th><td>{_seconds(row['median'])}</td>"
            f"<td>{_seconds(row['min'])} to {_seconds(row['max'])}</td><td>{row['median'] / total:.0%}</td>"
            f"<td>{floor[0]}</td><td>{floor[1]}</td><td class='drawn'>{spread}</td></tr>"
        )
    return (
        "<div class='wide'><table><thead><tr><th>stage</th><th>median, s</th><th>fastest to slowest run</th>"
        "<th>of the total</th><th>floor, s</th><th>floor / median</th><th></th></tr></thead>"
        f"{''.join(lines)}</table></div><div class='small'><p>Drawn: each run a dot, the median a bar, the floor a "
        f"dashed line; all stages on one scale. {OTHER.capitalize()}: the total less all stages. The total is the "
        f"median of the runs' totals, not a sum of medians.</p>"
        f"<p>{html.escape(f'{text.FLOOR_NOTE} {text.SUPERPIXEL_NOTE}')}</p></div>"
    )


def _spread(row: dict[str, Any], most: float, colour: str) -> str:
    width, high = 220, 22
    scale, middle = (width - 12) / most, high / 2

    def at(seconds: float) -> str:
        return f"{6 + max(0.0, seconds) * scale:.1f}"

    drawn = [
        f"<rect x='6' y='4' width='{max(0.0, row['median']) * scale:.1f}' height='14' fill='{colour}' opacity='.35'/>"
    ]
    if row["floor"] is not None:
        drawn.append(f"<path d='M{at(row['floor'])} 0V{high}' stroke='#1c2126' stroke-dasharray='3 2'/>")
    drawn.append(f"<path d='M{at(row['min'])} {middle}H{at(row['max'])}' stroke='{colour}' stroke-width='2'/>")
    drawn += [f"<circle cx='{at(run)}' cy='{middle}' r='3' fill='{colour}'/>" for run in row["runs"]]
    return _svg(width, high, "".join(drawn), f"median {_seconds(row['median'])} s")


def _sums(found: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{_seconds(row['median'])}</td>"
        f"<td>{_seconds(row['min'])} to {_seconds(row['max'])}</td></tr>"
        for name, row in found["sums"].items()
        if "+" in name
    )
    head = "<tr><th>sum</th><th>median, s</th><th>fastest to slowest run</th></tr>"
    return f"<div class='wide'><table><thead>{head}</thead>{rows}</table></div>"


def _images(found: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(image['name'])}</th><td>{image['size']}</td><td>{image['entities']}</td>"
        f"<td>{sum(image['prompts'].values()):,}</td><td>{_seconds(image['total']['median'])}</td>"
        f"<td>{_seconds(image['total']['min'])} to {_seconds(image['total']['max'])}</td></tr>"
        for image in found["images"]
    )
    heads = ("image", "pixels", "entities", "prompts", "median, s", "fastest to slowest run")
    head = "".join(f"<th>{name}</th>" for name in heads)
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead>{rows}</table></div>"


def _compared(compared: dict[str, Any]) -> str:
    told = "".join(
        f"<p{' class=slower' if compared['slower'] and i == 0 else ''}>{html.escape(line)}</p>"
        for i, line in enumerate(text.verdict(compared))
    )
    pairs = [(name, row["new"], row["old"]) for name, row in compared["rows"].items()]
    changes = {name: text.change(row["change"]) for name, row in compared["rows"].items()}
    return told + _beside(pairs, "now", "before", changes)


def _beside(pairs: list[tuple[str, float, float]], here: str, there: str, notes: dict[str, str] | None = None) -> str:
    """Two bars a row, here above and there below it, all on one scale."""
    left, width, step = 240, 960, 40
    scale = (width - left - 130) / (max(max(pair[1:]) for pair in pairs) or 1.0)
    drawn = []
    for i, (name, ours, theirs) in enumerate(pairs):
        y = i * step + 4
        drawn.append(f"<text x='{left - 10}' y='{y + 19}' text-anchor='end' fill='#1c2126'>{html.escape(name)}</text>")
        for value, colour, top in ((ours, _HERE, y), (theirs, _BESIDE, y + 15)):
            wide = max(0.0, value) * scale
            note = f", {notes[name]}" if notes and notes[name] and top == y else ""
            drawn.append(
                f"<rect x='{left}' y='{top}' width='{wide:.1f}' height='13' fill='{colour}'/>"
                f"<text x='{left + wide + 6:.1f}' y='{top + 11}' fill='#1c2126'>{_seconds(value)} s{note}</text>"
            )
    key = f"<p class='small'><i style='background:{_HERE}'></i>{here} <i style='background:{_BESIDE}'></i>{there}</p>"
    return f"{key}<div class='wide'>{_svg(width, step * len(pairs) + 4, ''.join(drawn), f'{here} and {there}')}</div>"


def _svg(width: float, high: float, inside: str, what: str) -> str:
    size = f"width='{width:g}' height='{high:g}' viewBox='0 0 {width:g} {high:g}'"
    return f"<svg {size} role='img' aria-label=\"{html.escape(what)}\">{inside}</svg>"


def _seconds(value: float) -> str:
    return f"{value:.3f}"


def _ticks(most: float, about: int) -> list[float]:
    """Round numbers from 0 to `most`, about so many."""
    raw = most / about
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= raw)
    return [round(i * step, 9) for i in range(int(most / step) + 1)]
