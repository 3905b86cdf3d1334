"""``esam-fast demo``: ``segment`` on the photograph that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from esam_fast._files import printable
from esam_fast.cli import run
from esam_fast.cli.segment import segment

PHOTO = Path(__file__).parents[1] / "demo" / "coffee.jpg"


@click.command(short_help="Segment the photograph that comes with esam-fast.")
@click.option(
    "--out",
    default="esam-fast-demo",
    show_default=True,
    metavar="DIR",
    type=run.FOLDER,
    help="Folder for the results.",
)
@click.option("--segmenter", default="regions", show_default=True, help="auto is the best one here.")
@run.model_options
@run.ids_option
@click.pass_context
def demo(context: click.Context, /, out: Path, **options: Any) -> None:
    """Segment the photograph that comes with esam-fast: needs no download. The same as segment --steps on it."""
    context.invoke(segment, inputs=(str(PHOTO),), out=out, steps=True, overwrite=True, **options)
    overlay, steps = (out / f"{PHOTO.stem}{suffix}" for suffix in (run.OVERLAY, run.STEPS))
    click.echo(printable(f"Look at {overlay} and, stage by stage, {steps}"))
