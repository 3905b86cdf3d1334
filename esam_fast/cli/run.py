"""What ``segment`` and ``demo`` share: options, loading the segmenter, one image from file to files, errors."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from esam_fast._files import printable

if TYPE_CHECKING:
    from esam_fast.cli.inputs import Job
    from esam_fast.config import EsamConfig
    from esam_fast.pipeline import Esam

Command = TypeVar("Command", bound=Callable[..., Any])

FOLDER = click.Path(file_okay=False, writable=True, path_type=Path)
LABELS, RECORDS, OVERLAY, STEPS, PANOPTIC = ".png", ".json", "_overlay.jpg", "_steps.jpg", "_panoptic.png"

_MODEL_OPTIONS = [
    click.option(
        "--checkpoint", metavar="F", type=click.Path(exists=True), help="Weights: a file, or transformers' folder."
    ),
    click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda."),
    click.option("--dtype", default="auto", show_default=True, help="auto, float32, bfloat16 or float16."),
    click.option(
        "--backend",
        type=click.Choice(["native", "cuda", "numba", "torch"]),
        help="Of the kernels [default: the best].",
    ),
    click.option(
        "--set",
        "settings",
        metavar="K=V",
        multiple=True,
        help="Set a config value, as emr.delta=0.1 (repeatable; a wrong NAME lists all).",
    ),
    click.option(
        "--threads", type=click.IntRange(min=1), metavar="N", help="[default: the cores this process may use]"
    ),
    click.option("--debug", is_flag=True, help="Show a traceback when something fails."),
]

ids_option = click.option("--ids", is_flag=True, help="Write each entity's label into the overlay.")


def model_options(command: Command) -> Command:
    """Add the options of every command that segments."""
    for option in reversed(_MODEL_OPTIONS):
        command = option(command)
    return command


def configure(settings: tuple[str, ...], threads: int | None) -> EsamConfig:
    """The config that --set asks for; sets the threads that --threads asks for.

    Raises:
        click.BadParameter: an unknown name, or a value that its field refuses.
    """
    from esam_fast import EsamConfig, set_num_threads
    from esam_fast.cli.overrides import with_overrides

    if threads is not None:
        set_num_threads(threads)
    return with_overrides(EsamConfig(), settings)


def load(
    segmenter: str,
    checkpoint: str | None,
    device: str,
    dtype: str,
    backend: str | None,
    settings: tuple[str, ...],
    threads: int | None,
    debug: bool,
) -> Esam:
    """The pipeline as the options ask for it; says on stderr what "auto" took, and when the stand-in serves.

    Raises:
        click.UsageError: an option asks for something that is not there.
    """
    from esam_fast import Esam, load_segmenter

    config = configure(settings, threads)
    with one_line(click.UsageError, debug, f"--segmenter {segmenter}: "):
        answers = load_segmenter(segmenter, checkpoint, device, dtype)
    with one_line(click.UsageError, debug):
        esam = Esam(answers, config, backend)
    if answers.name == "regions":
        from esam_fast.segmenters.regions import NOTICE

        click.echo(NOTICE, err=True)
    elif segmenter == "auto":
        click.echo(f"segmenter {answers.name!r}: the largest whose weights are here and that fits", err=True)
    return esam


def results(*, steps: bool, panoptic: bool) -> tuple[str, ...]:
    """The suffixes of what is written for an image."""
    more = [STEPS] if steps else []
    more += [PANOPTIC, str(Path(PANOPTIC).with_suffix(".json"))] if panoptic else []
    return LABELS, RECORDS, OVERLAY, *more


def segment_file(esam: Esam, job: Job, *, ids: bool, steps: bool, panoptic: bool, stretch: bool = False) -> str:
    """Segment one image file and write its results beside the job's stem, all or none; returns the line to print.

    Raises:
        ImageError: the file cannot be read. OSError: a result cannot be written.
    """
    from esam_fast import _files, export, render
    from esam_fast.images import load_image

    start = time.perf_counter()
    stem = job.stem
    stem.parent.mkdir(parents=True, exist_ok=True)
    for suffix in results(steps=steps, panoptic=panoptic):
        _files.check_name(f"{stem}{suffix}")
    image = load_image(job.path, stretch=stretch)
    entities = esam.segment(image, keep_stages=steps)
    files = {
        LABELS: export.labels_png(entities.labels),
        RECORDS: export.as_json(export.coco_results(entities, job.image_id)),
        OVERLAY: export.picture(".jpg", render.overlay(image, entities.labels, ids=ids)),
    }
    if steps:
        files[STEPS] = export.picture(".jpg", render.steps(image, entities))
    if panoptic:
        png, described = export.panoptic(entities, job.image_id, job.file_name, f"{stem.name}{PANOPTIC}")
        files |= {PANOPTIC: png, str(Path(PANOPTIC).with_suffix(".json")): export.as_json(described)}
    _files.write_all({f"{stem}{suffix}": export.marked(data) for suffix, data in files.items()})
    covered = (entities.labels > 0).mean()
    seconds = time.perf_counter() - start
    noun = "entity" if len(entities) == 1 else "entities"
    return f"{job.path}: {len(entities)} {noun}, {covered:.1%} covered, {seconds:.2f} s -> {stem}{OVERLAY}"


def make_folder(out: Path) -> None:
    """Make the folder for results, with its parents.

    Raises:
        click.UsageError: that is not possible.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--out: cannot make the folder {out}: {error.strerror}") from error


@contextmanager
def one_line(kind: type[click.ClickException], debug: bool, prefix: str = "") -> Iterator[None]:
    """Turn any error into a click exception of this kind, whose message is one line; with debug, let it through."""
    try:
        yield
    except (click.ClickException, BrokenPipeError):  # nobody reads on: no fault of the input
        raise
    except Exception as error:
        if debug:
            raise
        raise kind(prefix + reason(error)) from error


@contextmanager
def warnings_in_a_line(write: Callable[[str], object]) -> Iterator[None]:
    """Show every warning about an image as one line."""
    from esam_fast.images import ImageWarning

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        write(printable(f"Warning: {message}"))

    with warnings.catch_warnings():
        warnings.simplefilter("always", ImageWarning)
        warnings.showwarning = show
        yield


def reason(error: Exception) -> str:
    """An error in one line."""
    from esam_fast import BackendUnavailable

    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return "out of memory"
    text = " ".join(str(error).split())
    if isinstance(error, (ValueError, ImportError, BackendUnavailable)) and text:
        return text
    return f"{type(error).__name__}: {text}"
