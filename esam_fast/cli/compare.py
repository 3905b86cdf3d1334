"""``esam-fast compare``: what two settings make of one image, as a page to swipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esam_fast._files import printable
from esam_fast.cli import run

if TYPE_CHECKING:
    from esam_fast.config import EsamConfig

_KINDS = ("split", "merged", "came", "went", "resized", "kept")


@click.command(short_help="Two settings on one image, as a page with a divider.")
@click.argument("image", metavar="IMAGE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--a", metavar="K=V,...", multiple=True, help="Settings of one side, repeatable [default: none].")
@click.option("--b", metavar="K=V,...", multiple=True, help="Settings of the other side, repeatable [default: none].")
@click.option("--out", default="esam-fast-compare", show_default=True, metavar="DIR", type=run.FOLDER,
              help="Folder for the page.")  # fmt: skip
@click.option("--segmenter", default="auto", show_default=True, help="auto is the best one here.")
@run.model_options
def compare(image: Path, a: tuple[str, ...], b: tuple[str, ...], out: Path, debug: bool, **model: Any) -> None:
    """Segment IMAGE with two settings, and write DIR/compare.html: one result on each side of a divider to drag, and
    the list of what split, merged, came and went from the first to the second.

    The image is embedded once and no point is asked twice. --set holds for both sides.

    \b
    esam-fast compare photo.jpg --b emr.enabled=false
    esam-fast compare photo.jpg --a emr.delta=0.05 --b emr.delta=0.2,usr.enabled=false
    """  # noqa: D301
    shared = run.configure(model["settings"], None)
    configs = [_with(shared, name, given) for name, given in (("--a", a), ("--b", b))]
    if configs[0] == configs[1]:
        raise click.UsageError("--a and --b must differ, got the same settings")
    esam = run.load(debug=debug, **model)
    run.make_folder(out)
    with run.one_line(click.ClickException, debug):
        from esam_fast import Esam, load_image, report
        from esam_fast.evaluate.caching import CachingSegmenter
        from esam_fast.runs import record
        from esam_fast.segmenters.protocol import gpu

        pixels = load_image(image)
        remembers = CachingSegmenter(esam.segmenter, gpu(esam.segmenter))
        first, second = (Esam(remembers, config, esam.backend).segment(pixels) for config in configs)
        names = (_name(model["settings"], a), _name(model["settings"], b))
        record.write(out, record.made_by(esam), [image], a=",".join(a), b=",".join(b))
        page = report.compare(out, pixels, first, second, names)
        found = report.changes(first.labels, second.labels)._asdict()
    for side, name, result in zip("ab", names, (first, second), strict=True):
        click.echo(printable(f"{side}: {result}, {name}"))
    click.echo(", ".join(f"{len(found[kind])} {kind}" for kind in _KINDS))
    click.echo(printable(f"Open {page}"))


def _name(settings: tuple[str, ...], given: tuple[str, ...]) -> str:
    """A side as the page calls it, by the settings of both sides and its own."""
    return ", ".join([*settings, *_listed(given)]) or "defaults"


def _listed(given: tuple[str, ...]) -> list[str]:
    return [setting.strip() for text in given for setting in text.split(",") if setting.strip()]


def _with(config: EsamConfig, option: str, given: tuple[str, ...]) -> EsamConfig:
    """The config with every "section.field=value,..." of an option applied."""
    from esam_fast.cli.overrides import with_overrides

    try:
        return with_overrides(config, _listed(given))
    except click.BadParameter as error:
        raise click.BadParameter(error.message, param_hint=f"'{option}'") from None
