"""``esam-fast eval`` and ``esam-fast resize-lr``: AP^e of E-SAM, of its baselines, or of anybody's results file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from esam_fast.cli import run

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
PATH = click.Path(exists=True, path_type=Path)
DIR = click.Path(exists=True, file_okay=False, path_type=Path)
JSON = click.Path(dir_okay=False, writable=True, path_type=Path)

_TRUTH_OPTIONS = [
    click.option("--annotations", required=True, metavar="GT", type=PATH, help="COCO JSON, or folder of label maps."),
    click.option("--panoptic-masks", metavar="DIR", type=DIR, help="PNGs of a panoptic JSON [default: beside it]."),
    click.option("--annotator", type=int, metavar="K", help="Of label maps ID_K.png [default: the median one]."),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The first N images only."),
]


def truth_options(command: Any) -> Any:
    """Add the options that name the ground truth."""
    for option in reversed(_TRUTH_OPTIONS):
        command = option(command)
    return command


def load_truth(annotations: Path, panoptic_masks: Path | None, annotator: int | None, limit: int | None) -> Any:
    """The dataset that the options name."""
    from esam_fast.evaluate import datasets

    return datasets.load(annotations, panoptic_masks=panoptic_masks, annotator=annotator).limited(limit)


@click.command("eval", short_help="Measure AP^e on annotated images.")
@truth_options
@click.option("--images", metavar="DIR", type=DIR, help="Folder of images: predict, then measure.")
@click.option("--results", metavar="RES", type=FILE, help="COCO results of any method: measure those.")
@click.option("--json", "out", required=True, metavar="OUT", type=JSON, help="File for the numbers.")
@click.option("--method", default="esam", show_default=True, metavar="NAME", help="See below.")
@click.option("--keep-ids", is_flag=True, help="Keep annotation ids, as stock COCOeval does (id 0 counts as a miss).")
@click.option("--segmenter", default="auto", show_default=True, help="auto is the best one here.")
@run.model_options
def evaluate(
    annotations: Path,
    panoptic_masks: Path | None,
    annotator: int | None,
    limit: int | None,
    images: Path | None,
    results: Path | None,
    out: Path,
    method: str,
    keep_ids: bool,
    debug: bool,
    **model: Any,
) -> None:
    """Measure AP^e, panoptic quality and covering: of E-SAM on --images, or of a file of --results.

    AP^e is class-agnostic COCO mask AP of predictions that do not overlap: the higher score paints over the lower.
    All numbers are percent; -1 where no annotation has that size. Where predictions overlapped, "raw" holds their
    AP as they were.

    With --images, predictions are written to OUT.predictions.jsonl as they come, and a run that was stopped goes
    on where it was when the same command is given again.

    \b
    METHOD
      esam          E-SAM; modules go off with --set mmg.enabled=false
                    (emr, usr likewise)
      amg           SAM's automatic masks on the mask grid
      amg-official  the same from segment_anything's own generator (SAM only)
      object, best  the object level, or each point's best level, alone
      superpixels   the best mask at each superpixel's centre
    """  # noqa: D301
    if (images is None) == (results is None):
        raise click.UsageError("give either --images or --results")
    with run.one_line(click.ClickException, debug):
        from esam_fast.evaluate import metric, table
        from esam_fast.evaluate.results import load_results
        from esam_fast.export import write_bytes

        dataset = load_truth(annotations, panoptic_masks, annotator, limit)
        about: dict[str, Any]
        if results is not None:
            about = {"dataset": dataset.name, "method": results.stem}
            predictions = load_results(results, dataset)
        else:
            assert images is not None
            esam = run.load(debug=debug, **model)
            about = {"dataset": dataset.name, "method": method, "segmenter": esam.segmenter.name}
            kept = {**about, "checkpoint": model["checkpoint"], "dtype": model["dtype"]}
            predictions = _predictions(dataset, images, method, esam, out, kept)
        report = {**about, **metric.evaluate(dataset, predictions, keep_ids=keep_ids)}
        write_bytes(out, json.dumps(report, indent=1).encode())
    click.echo(table.report(about["method"], report))
    if "entity" in dataset.name:
        click.echo(f"\nBeside the paper's Table 1 (EntitySeg, high resolution):\n\n{table.compared('here', report)}")
    if report["images_without_predictions"]:
        click.echo(f"{report['images_without_predictions']} of {report['images']} images have no predictions", err=True)


def _predictions(dataset: Any, images: Path, name: str, esam: Any, out: Path, about: dict[str, Any]) -> Any:
    import dataclasses

    from esam_fast import __version__
    from esam_fast.evaluate import baselines, session

    header = {**about, "version": __version__, "config": dataclasses.asdict(esam.config)}
    try:
        predict = baselines.method(name, esam)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return session.predict(dataset, images, predict, out.with_suffix(".predictions.jsonl"), header)


@click.command("resize-lr", short_help="Make the low-resolution twin of a dataset (EntitySeg-LR).")
@click.option("--annotations", required=True, metavar="GT", type=FILE, help="COCO or EntitySeg JSON.")
@click.option("--images", required=True, metavar="DIR", type=DIR, help="Folder of its images.")
@click.option("--out", required=True, metavar="DIR", type=run.FOLDER, help="For images_lr/ and NAME_lr.json.")
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
def resize_lr(annotations: Path, images: Path, out: Path, debug: bool) -> None:
    """Bring images and annotations to EntitySeg-LR's size: short side 800, long side at most 1333 pixels."""
    run.make_folder(out)
    with run.one_line(click.ClickException, debug):
        from esam_fast.evaluate.lowres import shrink_dataset

        click.echo(shrink_dataset(annotations, images, out))
