"""``esam-fast merge``: the files for all images of a run, from what its shards wrote."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from esam_fast._files import printable
from esam_fast.cli import run


@click.command(short_help="Make one coco.json of what shards wrote.")
@click.argument("out", metavar="DIR", type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path))
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
def merge(out: Path, debug: bool) -> None:
    """Make the files for all images of the run in DIR: coco.json, panoptic.json, cvat/annotations.xml, yolo/data.yaml
    and index.html.

    esam-fast segment does so itself at the end of a run; this is for runs in shards, and for those that were stopped.

    Exit status: 0 all is there, 1 something is missing (each shard, image and file is named).
    """

    def tell(line: str) -> None:
        click.echo(printable(f"Missing: {line}"), err=True)

    with run.one_line(click.ClickException, debug):
        from esam_fast.runs.collect import collect

        collected = collect(out, tell)
    for path in collected.made:
        click.echo(printable(f"{collected.images} images -> {path}"))
    for line in collected.missing:
        tell(line)
    if collected.failed or collected.missing:
        sys.exit(1)
