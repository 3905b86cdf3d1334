"""``esam-fast weights``: the official checkpoints of SAM and SAM 2.1."""

from __future__ import annotations

import click

from esam_fast import weights as store

_NAME = click.argument("name", metavar="NAME", type=click.Choice(list(store.MODELS)))


@click.group(short_help="List, find or download official weights of SAM and SAM 2.1.")
def weights() -> None:
    """List, find or download the official weights of SAM and SAM 2.1.

    They are kept in the user's cache directory, or in the folder that ESAM_WEIGHTS_DIR names; the cache of the Hugging
    Face hub is looked into as well. NAME is one that `list` shows.
    """


@weights.command("list")
def list_() -> None:
    """Show the official models, and which of them are here."""
    here = store.available()
    click.echo(f"in {store.folder()}")
    for name, model in store.MODELS.items():
        found = here.get(name)
        state = "not here" if found is None else found.name if found.parent == store.folder() else str(found)
        click.echo(f"{name:<22}  {model.size / 1e6:>6.0f} MB  {state:<26}  {model.url}")


@weights.command()
@_NAME
def path(name: str) -> None:
    """Print the file of a model that is here."""
    try:
        click.echo(store.path(name))
    except store.WeightsError as error:
        raise click.ClickException(str(error)) from error


@weights.command()
@_NAME
def download(name: str) -> None:
    """Download a model and verify it; an interrupted download is continued."""
    try:
        click.echo(store.download(name))
    except store.WeightsError as error:
        raise click.ClickException(str(error)) from error
