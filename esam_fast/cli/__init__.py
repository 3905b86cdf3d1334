"""The command ``esam-fast``. Commands import what they need when they run, so that --help is instant."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Any

import click

from esam_fast import __version__
from esam_fast._files import printable
from esam_fast.cli.ablate import ablate
from esam_fast.cli.compare import compare
from esam_fast.cli.demo import demo
from esam_fast.cli.evaluate import evaluate, resize_lr
from esam_fast.cli.info import info
from esam_fast.cli.merge import merge
from esam_fast.cli.profile import profile
from esam_fast.cli.segment import segment
from esam_fast.cli.weights import weights


class _Group(click.Group):
    """Prints names that are no text, or more than text, as escapes."""

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # its encoding may lack letters of a name
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            vars(error)["message"] = printable(error.message, keep="\n")
            raise


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="esam-fast")
def main() -> None:
    """Segment every entity of an image, without training.

    Exit status: 0 done, 1 some inputs failed (each is named), 2 bad usage, 130 stopped by Ctrl-C.
    """


main.add_command(segment)
main.add_command(merge)
main.add_command(demo)
main.add_command(compare)
main.add_command(profile)
main.add_command(info)
main.add_command(evaluate)
main.add_command(ablate)
main.add_command(resize_lr)
main.add_command(weights)
