"""``esam-fast demo``: the whole on a picture of the program's own making."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from esam_fast.cli import run


@click.command(short_help="Draw a small scene, segment it, write the pictures.")
@click.option(
    "--out",
    default="esam-fast-demo",
    show_default=True,
    metavar="DIR",
    type=run.FOLDER,
    help="Folder for the pictures.",
)
@click.option("--segmenter", default="regions", show_default=True, help="auto is the best one here.")
@run.model_options
@run.ids_option
def demo(out: Path, ids: bool, debug: bool, **model: Any) -> None:
    """Draw a small still life, segment it and write the pictures: needs no photo and no download."""
    esam = run.load(debug=debug, **model)
    run.make_folder(out)
    with run.one_line(click.ClickException, debug):
        from esam_fast.export import write_image
        from esam_fast.scene import scene

        picture = out / "scene.png"
        write_image(picture, scene())
        click.echo(run.segment_file(esam, picture, out / "entities", ids=ids, steps=True, panoptic=False))
    click.echo(f"Look at {out / f'entities{run.OVERLAY}'} and, stage by stage, {out / f'entities{run.STEPS}'}")
