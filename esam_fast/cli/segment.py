"""``esam-fast segment``: files, folders, patterns and lists in; label maps, records and pictures out."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esam_fast.cli import on_ray, run
from esam_fast.cli.screen import Screen

if TYPE_CHECKING:
    from esam_fast.runs.manifest import Entry, Manifest
    from esam_fast.runs.names import Job
    from esam_fast.runs.outputs import Outputs
    from esam_fast.runs.record import Made, Settings
    from esam_fast.runs.stopping import Stop

_INPUT_OPTIONS = [
    click.option("--files-from", "listed", metavar="F",
                 help="A file with a path a line, from the current folder, or - for stdin."),
    click.option("--shard", metavar="I/N", help="Only part I (from 0) of N, by the SHA-256 of file_name."),
    click.option("--out", metavar="DIR", type=run.FOLDER, default="esam_results", show_default=True,
                 help="Folder for the results; made if missing."),
    click.option("--overwrite", is_flag=True, help="Begin anew, whatever is in DIR."),
]  # fmt: skip
_OUTPUT_OPTIONS = [
    click.option("--format", "formats", metavar="LIST", default="labels,coco", show_default=True,
                 help="Of labels, coco, panoptic, yolo, labelme, geojson, cvat."),
    click.option("--no-overlay", is_flag=True, help="Write no NAME_overlay.jpg."),
    run.ids_option,
    click.option("--steps", is_flag=True, help="Also write NAME_steps.jpg: image, MMG, EMR, USR side by side."),
    click.option("--cutouts", is_flag=True, help="Also write each entity alone: cutouts/NAME/LABEL.png."),
    click.option("--report", is_flag=True, help="Also write index.html, to be opened in a browser."),
    click.option("--jsonl", is_flag=True, help="Print one line of JSON an image, and nothing else, on stdout."),
    click.option("--quiet", is_flag=True, help="Tell errors only."),
]  # fmt: skip
_SETTINGS = [
    click.option("--min-area", metavar="PX", type=click.IntRange(min=0), default=0, show_default=True,
                 help="Leave smaller entities out, in pixels of the image."),
    click.option("--tile", metavar="PX", type=click.IntRange(min=1), help="Divide larger images into such tiles."),
    click.option("--overlap", metavar="PX", type=click.IntRange(min=0), default=256, show_default=True,
                 help="Pixels that neighbouring tiles share."),
    click.option("--wrap", is_flag=True, help="The images are panoramas: left goes on at the right."),
    click.option("--stretch", is_flag=True,
                 help="Spread the values of dark images, as 12 bits in 16, over the full range."),
    click.option("--devices", metavar="LIST", help="One process for each, from one list of images: cuda:0,cuda:1."),
]  # fmt: skip


def _options(command: Any) -> Any:
    for option in reversed([*_INPUT_OPTIONS, *_OUTPUT_OPTIONS, *_SETTINGS, *on_ray.OPTIONS]):
        command = option(command)
    return command


@click.command(short_help="Segment images.")
@click.argument("inputs", nargs=-1, metavar="[INPUT]...")
@_options
@click.option("--segmenter", default="auto", show_default=True, help="auto is the best one here.")
@run.model_options
def segment(
    inputs: tuple[str, ...],
    out: Path,
    listed: str | None,
    shard: str | None,
    overwrite: bool,
    jsonl: bool,
    quiet: bool,
    devices: str | None,
    debug: bool,
    **options: Any,
) -> None:
    """Segment every entity of each INPUT: an image file, a folder (with all below it) or a quoted glob.

    \b
    Written into DIR for each image:
      NAME.png          label map, 16-bit gray; 0: none, 1..K by score
                        (above 65,535 entities NAME.tif, 32-bit gray)
      NAME.json         COCO results: RLE, box, area, score; image_id is NAME,
                        as a number if it is one
      NAME_overlay.jpg  a picture to look at; hatched: no entity
      other formats     each in a folder of its own name
    and for the run:
      coco.json         all images, named relative to INPUT, with integer ids
                        (panoptic.json and cvat/annotations.xml likewise)
      run.json          what made the results
      manifest.jsonl    a line an image, and one at the end of a run; what is done
                        there is not done again

    NAME is the file's path below INPUT, without suffix; images of one folder that would get the same NAME (a.jpg and
    a.png) keep it. Of several INPUTs, names that would be equal get the folders by which they differ. With
    --files-from, NAMEs are relative to INPUT (a folder) or to the folder that all paths share.

    A run that was stopped goes on when the same command is given again. Shards may run at the same time and into one
    folder; when all have ended, esam-fast merge DIR makes the files for all images.

    Results are no inputs, wherever they lie. What else is passed over in a folder is told.

    Exit status: 0 done, 1 some inputs failed (each is named, the others are done), 2 bad usage, or DIR holds results
    of another config, 130 stopped by Ctrl-C.
    """  # noqa: D301
    from esam_fast.runs import listing, record
    from esam_fast.runs.manifest import Conflict, Manifest
    from esam_fast.runs.stopping import Stop
    from esam_fast.runs.walk import Teller

    if not inputs and listed is None:
        raise click.UsageError("Missing argument 'INPUT...' (or --files-from F).")
    if listed is not None and (len(inputs) > 1 or not all(map(os.path.isdir, inputs))):
        raise click.UsageError("--files-from takes at most one INPUT, the folder to which names are relative")
    if devices is not None and options["device"] != "auto":
        raise click.UsageError("give either --device or --devices")
    on_cluster = options["on_ray"] or options["ray_address"] is not None
    if on_cluster and (devices is not None or debug):
        raise click.UsageError("--ray gives out devices and has its own logs: not with --devices or --debug")
    if options["ray_actors"] is not None and not on_cluster:
        raise click.UsageError("--ray-actors needs --ray")
    with run.one_line(click.UsageError, debug, "--shard: "):
        part = None if shard is None else listing.Shard.parse(shard)
    outputs, settings = _asked(options)
    model = {name: options[name] for name in run.MODEL_OPTIONS} | {"segmenter": options["segmenter"]}
    screen = Screen(out, jsonl=jsonl, quiet=quiet)
    teller = Teller(screen.fail, screen.note)
    with Stop() as stop, closing(screen), run.one_line(click.ClickException, debug), ExitStack() as stack:
        try:
            found = listing.find(inputs, str(out), teller, listed=listed, shard=part, writes=outputs.beside)
            first = list(itertools.islice(found, 2))
            if first or (part and not screen.failed):  # a shard without images has ended too
                if on_cluster:
                    made, each, told = _on_ray(model, options, settings, outputs, out, screen, stack)
                else:
                    made, each = _pipeline(model, devices, settings, outputs, out, stop, screen, stack, debug)
                    told = {}
                if len(first) > 1:
                    screen.start_bar(partial(listing.count, inputs, str(out), listed=listed, shard=part))
                run.make_folder(out)
                manifest = stack.enter_context(closing(Manifest(out, made, part, overwrite=overwrite)))
                record.write(out, made, [*inputs, *(job.path for job in first)], **told)
                _work(each, itertools.chain(first, found), manifest, outputs, stop, screen)
                manifest.end()
                if part is None:
                    _collect(out, screen)
                else:
                    if not first:
                        screen.note(f"shard {shard} has none of these images")
                    screen.note(f"when all shards have ended, esam-fast merge {out} makes the files for all images")
        except (listing.Refused, Conflict) as error:
            raise click.UsageError(str(error)) from error
        except KeyboardInterrupt:
            screen.note(f"stopped; {screen.done} images are done, and the same command goes on with the others")
            sys.exit(128 + (stop.signal or signal.SIGINT))
    if screen.failed:
        click.echo(f"{screen.failed} of {screen.total} inputs failed", err=True)
        sys.exit(1)


def _asked(options: dict[str, Any]) -> tuple[Outputs, Settings]:
    """What is to be written, and how images are segmented."""
    from esam_fast.runs.outputs import Outputs
    from esam_fast.runs.record import Settings

    source = click.get_current_context().get_parameter_source("overlap")
    if options["tile"] is None and source is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("--overlap needs --tile")
    settings = Settings(*(options[name] for name in ("tile", "overlap", "wrap", "stretch", "min_area")))
    if settings.tile is not None and settings.overlap >= settings.tile:
        raise click.UsageError(f"--overlap must be less than --tile, got {settings.overlap} and {settings.tile}")
    if settings.views and options["steps"]:
        raise click.UsageError("--steps shows the stages of an image that is seen whole: not with --tile or --wrap")
    formats = tuple(name.strip() for name in options["formats"].split(",") if name.strip())
    flags = {name: options[name] for name in ("ids", "steps", "cutouts", "report")}
    with run.one_line(click.UsageError, False, "--format: "):
        return Outputs(formats, overlay=not options["no_overlay"], **flags), settings


def _pipeline(
    model: dict[str, Any],
    devices: str | None,
    settings: Settings,
    outputs: Outputs,
    out: Path,
    stop: Stop,
    screen: Screen,
    stack: ExitStack,
    debug: bool,
) -> tuple[Made, Callable[[Iterable[Job]], Iterator[Entry]]]:
    """What makes the results, and what segments images: in this process, or in one for each device."""
    from esam_fast._backend import cores
    from esam_fast.runs.devices import Devices, Load
    from esam_fast.runs.record import made_by
    from esam_fast.runs.work import Work

    if devices is None:
        esam = run.load(debug=debug, tell=screen.plain, **model)
        made = made_by(esam, settings)
        stack.enter_context(run.warnings_to(screen.warn))
        return made, partial(Work(esam, out, made.hash, outputs, settings, debug).each, held=stop.held)
    names = [name.strip() for name in devices.split(",") if name.strip()]
    threads = model["threads"] or max(1, cores() // max(1, len(names)))
    config = run.configure(model["settings"], None)
    rest = (model["segmenter"], model["checkpoint"], model["dtype"], config, model["backend"], threads)
    with run.one_line(click.UsageError, debug, "--devices: "):
        if not names:
            raise ValueError("expected one device or more, as cuda:0,cuda:1, got none")
        pool = stack.enter_context(closing(Devices([Load(name, *rest) for name in names], settings)))
    run.tell_segmenter(pool.made.decides["segmenter"], model["segmenter"], model["checkpoint"], screen.plain)
    return pool.made, partial(pool.each, out=out, outputs=outputs, strict=debug, warn=screen.warn)


def _on_ray(
    model: dict[str, Any],
    options: dict[str, Any],
    settings: Settings,
    outputs: Outputs,
    out: Path,
    screen: Screen,
    stack: ExitStack,
) -> tuple[Made, Callable[[Iterable[Job]], Iterator[Entry]], dict[str, Any]]:
    """The same on a cluster of Ray, and what run.json tells of it."""
    with run.one_line(click.UsageError, False, "--ray: "):
        pool = on_ray.start(stack, model, settings, options["ray_address"], options["ray_actors"])
    run.tell_segmenter(pool.made.decides["segmenter"], model["segmenter"], model["checkpoint"], screen.plain)
    return pool.made, partial(pool.each, out=out, outputs=outputs), {"ray": {"actors": pool.actors}}


def _work(
    each: Callable[[Iterable[Job]], Iterator[Entry]],
    jobs: Iterator[Job],
    manifest: Manifest,
    outputs: Outputs,
    stop: Stop,
    screen: Screen,
) -> None:
    """Segment what is not done yet, and write each image down as it is done."""
    for entry in each(manifest.undone(jobs, outputs, partial(screen.image, skipped=True))):
        with stop.held():
            manifest.add(entry)
            screen.image(entry)
    if screen.skipped:
        screen.note(f"{screen.skipped} of {screen.total} inputs were done before")


def _collect(out: Path, screen: Screen) -> None:
    """Make the files for all images."""
    from esam_fast.runs.collect import collect

    for line in collect(out).missing:
        screen.note(line)
