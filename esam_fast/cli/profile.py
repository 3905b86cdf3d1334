"""``esam-fast profile``: what every stage costs on one image, beside the paper's Table 5."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esam_fast.cli import run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from esam_fast.pipeline import Esam

TABLE, PAGE, CHART, TRACE = "profile.md", "profile.html", "profile.png", "profile.trace.json"
SAMS = ("vit_b", "vit_l", "vit_h")


@click.command(short_help="Time every stage beside the paper's Table 5.")
@click.argument("image", metavar="IMAGE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", metavar="DIR", type=run.FOLDER, help="Folder for the pictures and the trace.")
@click.option("--json", "report", metavar="OUT", type=click.Path(dir_okay=False, writable=True, path_type=Path),
              help="File for the numbers.")  # fmt: skip
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True, help="After a warm-up run.")
@click.option("--load", type=click.Choice(["real", "simulated"]), default="real", show_default=True, help="See below.")
@click.option("--segmenter", default="auto", show_default=True, help="auto is the best one here.")
@run.model_options
def profile(
    image: Path, out: Path | None, report: Path | None, runs: int, load: str, debug: bool, **model: Any
) -> None:
    """Segment IMAGE again and again, and print median and spread of every stage, memory, and the paper's seconds.

    \b
    Written into DIR:
      profile.md          the table that is printed
      profile.html        the same with bars, in one file
      profile.png         the bars as a picture
      profile.trace.json  every stage of every run, for ui.perfetto.dev

    With --load simulated, SAM's encoder and decoder run and are timed (with random weights where there are no
    others), every prompt decoded to the end, but the stages get the masks of a simulated SAM, so that they have as
    much to do as with trained weights.
    """  # noqa: D301
    if out is not None:
        run.make_folder(out)
    with run.one_line(click.ClickException, debug):
        from esam_fast import profiling
        from esam_fast.export import marked, picture, write_bytes
        from esam_fast.images import load_image
        from esam_fast.runs import record

        pixels = load_image(image)
        esam = run.load(debug=debug, **model) if load == "real" else _simulated(pixels, debug, model)
        measured = profiling.measure(esam, pixels, runs)
        found = profiling.report(measured)
        text = profiling.table(found)
        if report is not None:
            write_bytes(report, json.dumps(found, indent=1).encode())
        if out is not None:
            record.write(out, record.made_by(esam), [image])
            write_bytes(out / TABLE, f"{text}\n".encode())
            write_bytes(out / PAGE, profiling.page(found).encode())
            write_bytes(out / CHART, marked(picture(".png", profiling.chart(found))))
            write_bytes(out / TRACE, json.dumps(profiling.trace(measured)).encode())
    click.echo(text)


def _simulated(image: NDArray[np.uint8], debug: bool, model: dict[str, Any]) -> Esam:
    """The pipeline over `simulated_load` by the model options; its SAM has random weights where there are no others."""
    from esam_fast import Esam, load_segmenter, weights
    from esam_fast.evaluate.simulated_load import simulated_load

    segmenter, checkpoint, device, dtype = (model[name] for name in ("segmenter", "checkpoint", "device", "dtype"))
    if segmenter not in SAMS:
        raise click.UsageError(f"--load simulated times a SAM: give --segmenter {', '.join(SAMS[:-1])} or {SAMS[-1]}")
    config = run.configure(model["settings"], model["threads"])
    with run.one_line(click.UsageError, debug, f"--segmenter {segmenter}: "):
        if checkpoint is None and weights.find(segmenter) is None:
            from esam_fast.segmenters.sam import untrained

            timed: Any = untrained(segmenter, device, dtype)
        else:
            timed = load_segmenter(segmenter, checkpoint, device, dtype)
    with run.one_line(click.UsageError, debug):
        return Esam(simulated_load(timed, image), config, model["backend"])
