"""What the commands that segment share: options, loading the segmenter, errors."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from esam_fast.config import EsamConfig
    from esam_fast.pipeline import Esam

Command = TypeVar("Command", bound=Callable[..., Any])

FOLDER = click.Path(file_okay=False, writable=True, path_type=Path)
OVERLAY, STEPS = "_overlay.jpg", "_steps.jpg"

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

MODEL_OPTIONS = ("checkpoint", "device", "dtype", "backend", "settings", "threads")

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
    tell: Callable[[str], object] | None = None,
) -> Esam:
    """The pipeline as the options ask for it; tells, else on stderr, what "auto" took, and when the stand-in serves.

    Raises:
        click.UsageError: an option asks for something that is not there.
    """
    from esam_fast import Esam, _backend, load_segmenter

    config = configure(settings, threads)
    with one_line(click.UsageError, debug):
        _backend.check(backend)  # before the segmenter's own errors
    with one_line(click.UsageError, debug, f"--segmenter {segmenter}: "):
        answers = load_segmenter(segmenter, checkpoint, device, dtype, backend=backend)
    with one_line(click.UsageError, debug):
        esam = Esam(answers, config, backend)
    tell_segmenter(answers.name, segmenter, checkpoint, tell or partial(click.echo, err=True))
    return esam


def tell_segmenter(name: str, asked: str, checkpoint: str | None, tell: Callable[[str], object]) -> None:
    """Say what "auto" took, and when the stand-in serves."""
    if name == "regions":
        from esam_fast.segmenters.regions import NOTICE

        tell(NOTICE)
    elif asked == "auto":
        why = "the largest whose weights are here and that fits" if checkpoint is None else "told by its checkpoint"
        tell(f"segmenter {name!r}: {why}")


def make_folder(out: Path, option: str = "--out") -> None:
    """Make the folder that an option asks for, with its parents, before any work.

    Raises:
        click.UsageError: that is not possible, or nothing can be written into it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"{option}: cannot make the folder {out}: {error.strerror}") from error
    if not os.access(out, os.W_OK):
        raise click.UsageError(f"{option}: cannot write into the folder {out}")


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
def warnings_to(tell: Callable[[str], object]) -> Iterator[None]:
    """Tell every warning about an image, as one line."""
    from esam_fast.images import ImageWarning

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        tell(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", ImageWarning)
        warnings.showwarning = show
        yield


def reason(error: Exception) -> str:
    """An error in one line."""
    from esam_fast import _errors

    return _errors.reason(error)
