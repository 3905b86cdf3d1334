"""``esam-fast ablate``: Tables 3 and 4 of the paper, on a real segmenter or on a simulated SAM."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esam_fast.cli import evaluate as shared
from esam_fast.cli import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from esam_fast.config import EsamConfig


@click.command(short_help="Switch modules off, sweep settings (Tables 3 and 4).")
@shared.truth_options
@click.option("--images", required=True, metavar="DIR", type=shared.DIR, help="Folder of images.")
@click.option("--json", "out", required=True, metavar="OUT", type=shared.JSON, help="File for the numbers.")
@click.option(
    "--table", type=click.Choice(["3", "4", "gallery", "rules", "superpixels"]), default="3", show_default=True
)
@click.option("--compare", metavar="NAME,...", default="", help="Rows for other methods: those of esam-fast eval.")
@click.option("--simulated", is_flag=True, help="A simulated SAM over the annotations instead of a segmenter.")
@click.option("--regime", type=click.Choice(["blind", "entity"]), default="blind", show_default=True,
              help="Simulated scores know nothing of which level is the entity, or favour it.")  # fmt: skip
@click.option("--faults", type=click.FloatRange(min=0), default=1.0, show_default=True, metavar="X",
              help="Multiplies the simulated fault rates.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Of the simulation.")
@click.option("--segmenter", default="auto", show_default=True, help="auto is the best one here.")
@run.model_options
def ablate(
    annotations: Path,
    panoptic_masks: Path | None,
    annotator: int | None,
    limit: int | None,
    images: Path,
    out: Path,
    table: str,
    compare: str,
    simulated: bool,
    regime: str,
    faults: float,
    seeds: int,
    debug: bool,
    **model: Any,
) -> None:
    """Measure the rows of a table of the paper; every image is prompted once, so a row costs its stages alone.

    \b
    Table 3: modules on and off (M: MMG, E: EMR, U: USR)
    Table 4: theta_O, gamma_O, delta, tau, rho, points
    gallery: how many points of the gallery are asked
    rules: what the paper leaves open
    superpixels: Felzenszwalb against SLIC

    Intervals are 95 % over images drawn with replacement. Predictions are written to OUT.predictions.jsonl as they
    come, and a run that was stopped goes on where it was. An image that cannot be read counts as one without
    predictions, and the exit status is 1.
    """  # noqa: D301
    if seeds > 1 and not simulated:
        raise click.UsageError("--seeds needs --simulated")
    run.make_folder(out.parent, "--json")
    with run.one_line(click.ClickException, debug):
        from esam_fast import _files
        from esam_fast.evaluate import ablation, identity
        from esam_fast.evaluate.journal import Journal
        from esam_fast.evaluate.predict import predict

        dataset = shared.load_truth(annotations, panoptic_masks, annotator, limit, shared.names_in(images))
        about: dict[str, Any] = {"dataset": dataset.name, "table": table}
        if simulated:
            config, segmenter, rates = _simulated(model, regime, faults)
            about |= {"segmenter": "simulated", "regime": regime, "faults": rates, "seeds": seeds}
            answering = {"segmenter": "simulated", "regime": regime, "faults": rates}
        else:
            esam = run.load(debug=debug, **model)
            config = esam.config
            about |= {"segmenter": esam.segmenter.name, "checkpoint": model["checkpoint"], "dtype": model["dtype"]}
            answering = identity.of_segmenter(esam.segmenter, model["checkpoint"])

            def segmenter(truth: Any, seed: int) -> Any:
                return esam.segmenter

        rows = ablation.TABLES[table]
        others = [name for name in compare.split(",") if name]
        answer = ablation.answer(rows, config, segmenter, compare=others, backend=model["backend"])
        header = identity.of_run(dataset, config, answering, [*rows, *others])
        journal = Journal(out.with_suffix(".predictions.jsonl"), header)
        outcome = predict(dataset, images, [*rows, *others], answer, journal, rounds=seeds, strict=debug)
        report = ablation.measure(dataset, outcome.found, seeds=seeds)
        whole = {
            **about, "images": len(dataset), "notes": dataset.notes, "failed": outcome.failed, "rows": report,
        }  # fmt: skip
        _files.write_bytes(out, json.dumps(whole, indent=1, allow_nan=False).encode())
    click.echo(ablation.table(report))
    shared.end(outcome, len(dataset))


def _simulated(
    model: dict[str, Any], regime: str, factor: float
) -> tuple[EsamConfig, Callable[[Any, int], Any], dict[str, float]]:
    """The config of the model options, a simulated SAM for an image and a seed, and its fault rates."""
    from esam_fast.evaluate.simulated import REGIMES, SimulatedSegmenter

    faults = REGIMES[regime].scaled(factor)

    def segmenter(truth: Any, seed: int) -> SimulatedSegmenter:
        return SimulatedSegmenter(truth.label_map(), str(truth.image_id), faults, seed)

    return run.configure(model["settings"], model["threads"]), segmenter, dataclasses.asdict(faults)
