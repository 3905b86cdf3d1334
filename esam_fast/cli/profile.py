"""``esam-fast profile``: what every stage costs, and whether it became slower."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esam_fast._files import printable
from esam_fast.cli import run

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from esam_fast.pipeline import Esam

TABLE, PAGE, TRACE = "profile.md", "profile.html", "profile.trace.json"
SAMS = ("vit_b", "vit_l", "vit_h")
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(short_help="Time every stage, and compare with an earlier run.")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=FILE)
@click.option("--out", metavar="DIR", type=run.FOLDER, help="Folder for the page and the trace.")
@click.option("--json", "report", metavar="OUT", type=click.Path(dir_okay=False, writable=True, path_type=Path),
              help="File for the numbers.")  # fmt: skip
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True, help="Of each, after a warm-up.")
@click.option("--compare", "old", metavar="OLD", type=FILE, help="An earlier --json: exit status 1 if now slower.")
@click.option("--fail-above", type=click.FloatRange(min=0), metavar="PERCENT", default=10.0, show_default=True,
              help="With --compare: how much slower is too slow.")  # fmt: skip
@click.option("--load", type=click.Choice(["real", "simulated"]), default="real", show_default=True, help="See above.")
@click.option("--segmenter", default="auto", show_default=True, help="auto is the best one here.")
@run.model_options
def profile(
    images: tuple[Path, ...],
    out: Path | None,
    report: Path | None,
    runs: int,
    old: Path | None,
    fail_above: float,
    load: str,
    debug: bool,
    **model: Any,
) -> None:
    """Segment each IMAGE again and again, and print median and spread of every stage, floors and memory.

    The paper's seconds (Table 5) stand beside where the same was timed: SAM ViT-H at 32 and 64 points a side with
    emr.votes_per_cell=0. Else it is said what differs.

    \b
    Written into DIR:
      profile.md          the tables that are printed
      profile.html        the same with pictures, in one file
      profile.trace.json  every stage of every run, for ui.perfetto.dev

    With --compare, a stage or the total counts as slower if its median grew by more than PERCENT, and by more than
    a hundredth of the old total.

    With --load simulated, SAM's encoder and decoder run and are timed (with random weights where there are no
    others), every prompt decoded to the end, but the stages get the masks of a simulated SAM, so that they have as
    much to do as with trained weights.

    Exit status: 0 done, 1 slower than OLD or an image cannot be read, 2 bad usage.
    """  # noqa: D301
    if out is not None:
        run.make_folder(out)
    if report is not None:
        run.make_folder(report.parent, "--json")
    with run.one_line(click.ClickException, debug):
        from tqdm import tqdm

        from esam_fast import _files, profiling
        from esam_fast.export import write_bytes
        from esam_fast.images import load_image
        from esam_fast.runs import record

        pixels = [load_image(image) for image in images]
        before = None if old is None else _files.read_json(old, own=True)
        name, pipeline = _real(debug, model) if load == "real" else _simulated(debug, model)
        if before is not None:
            with run.one_line(click.UsageError, debug, f"--compare {old}: "):
                profiling.check_comparable(before, name, [f"{one.shape[1]} x {one.shape[0]}" for one in pixels])
        measured = []
        with tqdm(total=len(images) * (runs + 1), unit="run") as bar:
            for path, image in zip(images, pixels, strict=True):
                esam = pipeline(image)
                measured.append(profiling.measure(esam, image, runs, name=path.name, progress=bar.update))
        found = profiling.report(measured)
        compared = None if before is None else profiling.compare(found, before, fail_above)
        text = profiling.table(found, compared)
        if report is not None:
            write_bytes(report, json.dumps(found, indent=1).encode())
        if out is not None:
            record.write(out, record.made_by(esam), images)
            write_bytes(out / TABLE, f"{text}\n".encode())
            write_bytes(out / PAGE, profiling.page(found, compared, "" if old is None else old.name).encode())
            write_bytes(out / TRACE, json.dumps(profiling.trace(measured)).encode())
    click.echo(printable(text, keep="\n"))
    if compared is not None and compared["slower"]:
        sys.exit(1)


def _real(debug: bool, model: dict[str, Any]) -> tuple[str, Callable[[NDArray[np.uint8]], Esam]]:
    """The segmenter that the model options ask for, by its name, and the pipeline, whatever the image."""
    esam = run.load(debug=debug, **model)
    return esam.segmenter.name, lambda image: esam


def _simulated(debug: bool, model: dict[str, Any]) -> tuple[str, Callable[[NDArray[np.uint8]], Esam]]:
    """As `_real`, over `simulated_load`; its SAM has random weights where there are no others."""
    from esam_fast import Esam, load_segmenter, weights
    from esam_fast.evaluate.simulated_load import simulated_load
    from esam_fast.segmenters import require

    segmenter, checkpoint, device, dtype = (model[name] for name in ("segmenter", "checkpoint", "device", "dtype"))
    if segmenter not in SAMS:
        raise click.UsageError(f"--load simulated times a SAM: give --segmenter {', '.join(SAMS[:-1])} or {SAMS[-1]}")
    config = run.configure(model["settings"], model["threads"])
    with run.one_line(click.UsageError, debug, f"--segmenter {segmenter}: "):
        require("sam")
        if checkpoint is None and weights.find(segmenter) is None:
            from esam_fast.segmenters.sam import untrained

            timed: Any = untrained(segmenter, device, dtype, backend=model["backend"])
        else:
            timed = load_segmenter(segmenter, checkpoint, device, dtype, backend=model["backend"])
    with run.one_line(click.UsageError, debug):
        Esam(timed, config, model["backend"])  # what cannot be used is told before the first image
    return timed.name, lambda image: Esam(simulated_load(timed, image), config, model["backend"])
