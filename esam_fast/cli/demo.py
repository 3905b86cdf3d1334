"""``esam-fast demo``: the whole on a picture of the program's own making."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from esam_fast._files import printable
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
        from esam_fast.runs import record
        from esam_fast.runs.names import Job
        from esam_fast.runs.outputs import Outputs
        from esam_fast.runs.work import Work
        from esam_fast.scene import scene

        picture, made = out / "scene.png", record.made_by(esam)
        record.write(out, made, [picture])
        write_image(picture, scene())
        work = Work(esam, out, made.hash, Outputs(ids=ids, steps=True), strict=True)
        work.one(Job(str(picture), picture.name, "entities", "scene"))
    looked = [out / f"entities{suffix}" for suffix in (run.OVERLAY, run.STEPS)]
    click.echo(printable(f"Look at {looked[0]} and, stage by stage, {looked[1]}"))
