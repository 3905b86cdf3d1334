"""``esam-fast segment``: files, folders and globs in; label maps, records and pictures out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from esam_fast._files import printable
from esam_fast.cli import run


@click.command(short_help="Segment images.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--out",
    required=True,
    metavar="DIR",
    type=run.FOLDER,
    help="Folder for the results; made if missing.",
)
@click.option("--segmenter", default="auto", show_default=True, help="auto is the best one here.")
@run.model_options
@run.ids_option
@click.option("--steps", is_flag=True, help="Also write NAME_steps.jpg: image, MMG, EMR, USR side by side.")
@click.option("--panoptic", is_flag=True, help="Also write NAME_panoptic.png and .json in COCO panoptic format.")
@click.option(
    "--stretch", is_flag=True, help="Spread the values of dark images, as 12 bits in 16, over the full range."
)
def segment(
    inputs: tuple[str, ...], out: Path, ids: bool, steps: bool, panoptic: bool, stretch: bool, debug: bool, **model: Any
) -> None:
    """Segment every entity of each INPUT: an image file, a folder (with all below it) or a quoted glob.

    \b
    Written for each image:
      NAME.png          label map, 16-bit gray; 0: none, 1..K by score
      NAME.json         COCO results: RLE, box, area, score; image_id is the
                        file's stem, as a number if it is one
      NAME_overlay.jpg  a picture to look at
    and for the run: run.json, what made them.

    NAME is the file's name without suffix, with its folders below INPUT if that is a folder. If two images
    would get the same NAME, all keep the folders by which they differ; if they still do (a.jpg and a.png), those
    keep their suffix (a.jpg.png). Images that would get the same image_id have their NAME instead.

    Results are no inputs, wherever they lie. What else is passed over in a folder is told.

    Exit status: 0 done, 1 some inputs failed (each is named, the others are done), 2 bad usage.
    """  # noqa: D301
    from tqdm import tqdm

    from esam_fast.cli import record
    from esam_fast.cli.inputs import plan

    planned = plan(inputs, out, run.results(steps=steps, panoptic=panoptic))
    jobs, failures = planned.jobs, planned.failures
    total = len(jobs) + len(failures)
    for note in planned.notes:
        click.echo(printable(f"Note: {note}"), err=True)
    for failure in failures:
        click.echo(printable(f"Error: {failure}"), err=True)
    if jobs:
        esam = run.load(debug=debug, **model)
        run.make_folder(out)
        with run.one_line(click.ClickException, debug):
            record.write(out, esam, [job.path for job in jobs], stretch=stretch)
    with (
        tqdm(jobs, unit="image", disable=len(jobs) < 2) as bar,
        run.warnings_in_a_line(lambda line: bar.write(line, file=sys.stderr)),
    ):
        for job in bar:
            try:
                with run.one_line(click.ClickException, debug):
                    line = run.segment_file(esam, job, ids=ids, steps=steps, panoptic=panoptic, stretch=stretch)
                    bar.write(printable(line), file=sys.stdout)
            except click.ClickException as error:
                failures.append(str(job.path))
                named = error.message if str(job.path) in error.message else f"{job.path}: {error.message}"
                bar.write(printable(f"Error: {named}"), file=sys.stderr)
    if failures:
        click.echo(f"{len(failures)} of {total} inputs failed", err=True)
        sys.exit(1)
