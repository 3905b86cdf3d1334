"""A report of times as text with Markdown tables, for a terminal and a file."""

from __future__ import annotations

import textwrap
from typing import Any

from esam_fast.evaluate.table import markdown
from esam_fast.profiling.summary import SUMS

FLOOR_NOTE = (
    "The floor is the least time that this machine could need, measured beside: for the encoder its matrix products "
    "alone, at the rate of one large product; for drawing each plane read and each label written once, at the rate of "
    "a plain copy. Where floor / median is 100 %, nothing is left to gain; for other stages no floor is known."
)
SUPERPIXEL_NOTE = "Superpixels made while a GPU encodes and decodes count only as far as they are waited for."
PAPER_NOTE = (
    "Paper: Table 5, ViT-H, seconds for a high-resolution image on its authors' hardware. Its encoder stage must hold "
    "the prompt decodings too, and its MMG, EMR and USR the superpixels; drawing is not listed there."
)


def about(found: dict[str, Any]) -> list[str]:
    """What ran on which images, in lines."""
    memory = ", ".join(f"{name} {size / 2**30:.2f} GiB" for name, size in found["peak_bytes"].items())
    runs = "1 run" if found["runs"] == 1 else f"{found['runs']} runs"
    return [
        *(_image(image, found["config"]) for image in found["images"]),
        f"segmenter {found['segmenter']}, {found['dtype']}; {runs} after a warm-up"
        + ("" if len(found["images"]) == 1 else " of each; seconds are the mean of the images"),
        f"{found['device']}, {found['cores']} cores, {found['threads']} threads, kernels {found['kernels']}",
        f"esam_fast {found['version']}, {found['date']}; peak memory: {memory or 'not measured'}",
    ]


def _image(image: dict[str, Any], config: dict[str, Any]) -> str:
    asked, sides = image["prompts"], [config[section]["points_per_side"] for section in ("mmg", "emr")]
    return (
        f"{image['name']}: {image['size']} pixels, {image['entities']} entities; masks: {image['masks']}; "
        f"{sum(asked.values()):,} prompts = {asked['mmg']:,} (grid, {sides[0]} points a side) + "
        f"{asked['gallery']:,} (gallery, of {sides[1]} a side) + {asked['usr']:,} (USR)"
    )


def sums(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The sums to show: all of the paper's where it compares, else those of more than one stage."""
    return {name: row for name, row in found["sums"].items() if not found["paper_needs"] or len(SUMS[name][0]) > 1}


def paper(found: dict[str, Any]) -> str:
    """What the paper's numbers are, or why they are not shown."""
    if not found["paper_needs"]:
        return PAPER_NOTE
    return f"Not beside the paper's Table 5, which timed something else: {'; '.join(found['paper_needs'])}."


def table(found: dict[str, Any], compared: dict[str, Any] | None = None) -> str:
    """A report (see `summary.report`) and, if given, what `summary.compare` found, as text with Markdown tables."""
    total = found["seconds"]["total"]["median"]
    stages = [
        [
            name,
            *(f"{row[key]:.3f}" for key in ("median", "min", "max")),
            f"{row['median'] / total:.0%}",
            "" if row["floor"] is None else f"{row['floor']:.3f}",
            "" if row["floor"] is None else f"{row['share_of_floor']:.0%}",
        ]
        for name, row in found["seconds"].items()
    ]
    spread = ["median", "min", "max"]
    papers = [] if found["paper_needs"] else ["paper"]
    more = [
        [name, *(f"{row[key]:.3f}" for key in spread), *(f"{row[key]:.2f}" for key in papers)]
        for name, row in sums(found).items()
    ]
    parts = [
        "\n".join(about(found)),
        markdown(["seconds", *spread, "of total", "floor", "floor / median"], stages),
        markdown(["sums of these", *spread, *papers], more),
        textwrap.fill(paper(found), 120),
        textwrap.fill(f"{FLOOR_NOTE} {SUPERPIXEL_NOTE}", 120),
    ]
    if len(found["images"]) > 1:
        parts.insert(2, images(found))
    if compared is not None:
        parts.append(comparison(compared))
    return "\n\n".join(parts)


def images(found: dict[str, Any]) -> str:
    """Each image's total."""
    rows = [
        [image["name"], image["size"], f"{image['entities']}", f"{sum(image['prompts'].values()):,}",
         *(f"{image['total'][key]:.3f}" for key in ("median", "min", "max"))]
        for image in found["images"]
    ]  # fmt: skip
    return markdown(["total seconds", "pixels", "entities", "prompts", "median", "min", "max"], rows)


def comparison(compared: dict[str, Any]) -> str:
    """The old seconds beside the new ones, and what became slower."""
    rows = [
        [name, f"{row['old']:.3f}", f"{row['new']:.3f}", change(row["change"])]
        for name, row in compared["rows"].items()
    ]
    return "\n\n".join([markdown(["median seconds", "old", "new", "change"], rows), *verdict(compared)])


def change(percent: float | None) -> str:
    """A change in percent, with its sign."""
    return "" if percent is None else f"{percent:+.0f} %"


def verdict(compared: dict[str, Any]) -> list[str]:
    """What became slower, and what else differs between the two runs."""
    limit = f"{compared['percent']:g} %"
    slower = ", ".join(f"{name} {change(compared['rows'][name]['change'])}" for name in compared["slower"])
    told = [f"Slower by more than {limit}: {slower}" if slower else f"Nothing is slower by more than {limit}."]
    return told + ([f"The runs differ: {'; '.join(compared['unlike'])}"] if compared["unlike"] else [])
