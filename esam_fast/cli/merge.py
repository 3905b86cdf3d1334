"""``esam-fast merge``: the files for all images of a run, from what its shards wrote."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from esam_fast._files import printable
from esam_fast.cli import run


@click.command(short_help="Make one coco.json of what shards wrote.")
@click.argument("out", metavar="DIR", type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path))
@click.option("--partial", is_flag=True, help="Take what is there, though the run has not ended.")
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
def merge(out: Path, partial: bool, debug: bool) -> None:
    """Make the files for all images of the run in DIR: coco.json, panoptic.json, cvat/annotations.xml, yolo/data.yaml
    and index.html.

    esam-fast segment does so itself at the end of a run; this is for runs in shards, and with --partial for those that
    were stopped, or are at work.

    Exit status: 0 done; 1 images failed, files are missing, or the run has not ended and --partial was not given (then
    nothing is made). Each image, file and shard is named.
    """

    def tell(line: str) -> None:
        click.echo(printable(line), err=True)

    with run.one_line(click.ClickException, debug):
        from esam_fast.runs.collect import collect, unfinished

        for line in (left := unfinished(out)):
            tell(f"Unfinished: {line}")
        if left and not partial:
            raise ValueError(f"{out}: expected a run that has ended; give its command again, or take --partial")
        collected = collect(out, lambda line: tell(f"Failed: {line}"))
    for path in collected.made:
        click.echo(printable(f"{collected.images} images -> {path}"))
    for line in collected.missing:
        tell(f"Missing: {line}")
    if collected.failed or collected.missing:
        sys.exit(1)
