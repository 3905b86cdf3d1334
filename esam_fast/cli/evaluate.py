"""``esam-fast eval`` and ``esam-fast resize-lr``: AP^e of E-SAM, of its baselines, or of anybody's results."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esam_fast.cli import run

if TYPE_CHECKING:
    from esam_fast.evaluate.predict import Outcome
    from esam_fast.evaluate.truth import Dataset

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


def load_truth(
    annotations: Path,
    panoptic_masks: Path | None,
    annotator: int | None,
    limit: int | None,
    image_names: Collection[str],
) -> Dataset:
    """The dataset that the options name; says on stderr what was left out of it or taken for something."""
    from esam_fast.evaluate import datasets

    dataset = datasets.load(annotations, panoptic_masks=panoptic_masks, annotator=annotator, image_names=image_names)
    tell(dataset.notes)
    return dataset.limited(limit)


def names_in(folder: Path) -> set[str]:
    """The names of the files in a folder, without suffix."""
    return {path.stem for path in folder.iterdir()}


def tell(notes: Collection[str]) -> None:
    """Write notes to stderr."""
    from esam_fast._files import printable

    for note in notes:
        click.echo(printable(f"Note: {note}"), err=True)


def end(outcome: Outcome, images: int) -> None:
    """Exit with status 1 if images failed."""
    if outcome.failed:
        click.echo(f"{len(outcome.failed)} of {images} images failed; each counts as one without predictions", err=True)
        sys.exit(1)


@click.command("eval", short_help="Measure AP^e on annotated images.")
@truth_options
@click.option("--images", metavar="DIR", type=DIR, help="Folder of images: predict, then measure.")
@click.option("--results", metavar="RES", type=PATH, help="COCO results, or a folder from segment: measure those.")
@click.option("--json", "out", metavar="OUT", type=JSON, help="File for the numbers.")
@click.option("--method", default="esam", show_default=True, metavar="NAME", help="See METHOD above.")
@click.option("--keep-ids", is_flag=True, help="Keep annotation ids, as stock COCOeval does (id 0 counts as a miss).")
@click.option("--published", type=click.Choice(["auto", "hr", "lr", "none"]), default="auto", show_default=True,
              help="The paper's numbers beside: EntitySeg in high or low resolution.")  # fmt: skip
@click.option("--segmenter", default="auto", show_default=True, help="auto is the best one here.")
@run.model_options
def evaluate(
    annotations: Path,
    panoptic_masks: Path | None,
    annotator: int | None,
    limit: int | None,
    images: Path | None,
    results: Path | None,
    out: Path | None,
    method: str,
    keep_ids: bool,
    published: str,
    debug: bool,
    **model: Any,
) -> None:
    """Measure AP^e, panoptic quality and covering: of E-SAM on --images, or of --results.

    AP^e is class-agnostic COCO mask AP of predictions that do not overlap: the higher score paints over the lower.
    All numbers are percent; -1 where no annotation has that size. Where predictions overlapped, "raw" holds their
    AP as they were. Intervals are 95 % over images drawn with replacement.

    --results is a file of COCO results, or a folder that esam-fast segment wrote: NAME.json belongs to the image of
    that file name.

    With --images and --json, predictions are written to OUT.predictions.jsonl as they come, and a run that was stopped
    goes on where it was when the same command is given again. An image that cannot be read counts as one without
    predictions, and the exit status is 1.

    The paper's numbers are shown where "entity" is in the name of the annotations: those of low resolution if all
    images have that size (short side 800, long side at most 1333), unless --published says which.

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
        came = "neither" if images is None else "both"
        raise click.UsageError(f"expected --images (predict, then measure) or --results (measure those), got {came}")
    if out is not None:
        run.make_folder(out.parent, "--json")
    with run.one_line(click.ClickException, debug):
        from esam_fast import _files
        from esam_fast.evaluate import bootstrap, metric, table
        from esam_fast.evaluate import results as result_files
        from esam_fast.evaluate.predict import Outcome

        about: dict[str, Any]
        if results is not None:
            given = result_files.read(results)
            dataset = load_truth(annotations, panoptic_masks, annotator, limit, given.image_names())
            about = {"dataset": dataset.name, "method": results.absolute().stem}
            predictions, notes = given.matched(dataset)
            tell(notes)
            outcome = Outcome({method: predictions})
        else:
            assert images is not None
            dataset = load_truth(annotations, panoptic_masks, annotator, limit, names_in(images))
            esam = run.load(debug=debug, **model)
            about = {"dataset": dataset.name, "method": method, "segmenter": esam.segmenter.name}
            outcome, notes = _predictions(dataset, images, method, esam, out, model["checkpoint"], debug), []
        found = outcome.found[method]
        report = {**about, **metric.evaluate(dataset, found, keep_ids=keep_ids)}
        report["interval"] = bootstrap.interval(bootstrap.draw(dataset, found))
        report |= {"notes": [*dataset.notes, *notes], "failed": outcome.failed}
        if out is not None:
            _files.write_bytes(out, json.dumps(report, indent=1, allow_nan=False).encode())
    click.echo(table.report(about["method"], report))
    click.echo(f"\n95 % intervals over images: {table.intervals(report)}")
    _show_published(dataset, published, report)
    if report["images_without_predictions"]:
        click.echo(f"{report['images_without_predictions']} of {report['images']} images have no predictions", err=True)
    end(outcome, len(dataset))


def _show_published(dataset: Dataset, asked: str, report: dict[str, Any]) -> None:
    """The paper's numbers beside these, if the dataset is one of the paper's."""
    from esam_fast.evaluate import lowres, table

    if asked == "auto":
        is_low = lowres.is_low_resolution(dataset)
        asked = "none" if "entity" not in dataset.name.lower() else "lr" if is_low else "hr"
    if asked == "hr":
        click.echo(f"\nBeside the paper's Table 1 (EntitySeg, high resolution):\n\n{table.compared('here', report)}")
    if asked == "lr":
        click.echo(
            f"\nBeside the paper's Table 2 (EntitySeg, low resolution):\n\n{table.compared('here', report, low=True)}"
        )


def _predictions(
    dataset: Dataset, images: Path, name: str, esam: Any, out: Path | None, checkpoint: str | None, debug: bool
) -> Outcome:
    from esam_fast.evaluate import baselines, identity
    from esam_fast.evaluate.journal import Journal
    from esam_fast.evaluate.predict import predict

    try:
        method = baselines.method(name, esam)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    header = {}
    if out is not None:
        header = identity.of_run(dataset, esam.config, identity.of_segmenter(esam.segmenter, checkpoint), [name])
    journal = Journal(out and out.with_suffix(".predictions.jsonl"), header)
    return predict(dataset, images, [name], lambda _, __, image: {name: method(image)}, journal, strict=debug)


@click.command("resize-lr", short_help="Make the low-resolution twin of a dataset (EntitySeg-LR).")
@click.option("--annotations", required=True, metavar="GT", type=FILE, help="COCO or EntitySeg JSON.")
@click.option("--images", required=True, metavar="DIR", type=DIR, help="Folder of its images.")
@click.option("--out", required=True, metavar="DIR", type=run.FOLDER, help="For images_lr/ and NAME_lr.json.")
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
def resize_lr(annotations: Path, images: Path, out: Path, debug: bool) -> None:
    """Bring images and annotations to EntitySeg-LR's size: short side 800, long side at most 1333 pixels.

    A run that was stopped goes on when the same command is given again: an image is made again if its source, or the
    small image, is no longer what it was. An image that cannot be read is named, and the exit status is 1.
    """
    run.make_folder(out)
    with run.one_line(click.ClickException, debug):
        from esam_fast.evaluate.lowres import shrink_dataset

        click.echo(shrink_dataset(annotations, images, out))
