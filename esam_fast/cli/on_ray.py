"""``segment --ray``: the pool of actors that the options ask for."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from esam_fast.cli import run

if TYPE_CHECKING:
    from esam_fast.cluster.files import RayRun
    from esam_fast.runs.record import Settings

OPTIONS = [
    click.option("--ray", "on_ray", is_flag=True, help="Segment in a pool of Ray's actors, one model each."),
    click.option("--ray-address", metavar="A", help="Of the cluster [default: the one here, or a new one]."),
    click.option("--ray-actors", metavar="N", type=click.IntRange(min=1),
                 help="[default: one for each GPU of the cluster, or for each CPU but one]"),
]  # fmt: skip


def start(
    stack: ExitStack, model: dict[str, Any], settings: Settings, address: str | None, actors: int | None
) -> RayRun:
    """Connect to a cluster until the stack closes, and load the model once, there.

    Raises:
        click.UsageError: Ray is missing; or a device was asked for that the cluster lacks, or that Ray gives out.
        ConnectionError, and what loading the model raises.
    """
    try:
        import ray

        from esam_fast.cluster.files import RayRun
        from esam_fast.cluster.pool import Pool, named
        from esam_fast.cluster.worker import Model
    except ModuleNotFoundError as error:
        raise click.UsageError("--ray needs ray: pip install 'esam-fast[ray]'") from error
    from esam_fast.segmenters import load_segmenter

    device, checkpoint = model["device"], model["checkpoint"]
    if device not in ("auto", "cpu", "cuda"):
        raise click.UsageError(f"--device must be auto, cpu or cuda with --ray, which gives out GPUs, got {device}")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    stack.callback(ray.shutdown)
    for number, handler in handlers.items():  # Ray takes one for itself
        signal.signal(number, handler)
    ray.data.DataContext.get_current().enable_progress_bars = False
    name = model["segmenter"] if checkpoint else named(model["segmenter"])
    there = ray.cluster_resources()
    on_gpu = device == "cuda" or (device == "auto" and name != "regions" and there.get("GPU", 0) >= 1)
    if on_gpu and there.get("GPU", 0) < 1:
        raise click.UsageError("--device cuda: this cluster has no GPU")
    actors = actors or max(1, int(there["GPU"] if on_gpu else there.get("CPU", 2) - 1))
    pool = Pool(actors, num_gpus=int(on_gpu), num_cpus=model["threads"] or 0.5)
    load = partial(load_segmenter, name, checkpoint and os.path.abspath(checkpoint), device, model["dtype"])
    config = run.configure(model["settings"], None)
    return RayRun(Model(load, config, settings, pool.threads, model["backend"]), pool)
