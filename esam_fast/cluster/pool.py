"""The pool's part in a pipeline of Ray Data: its size, its model, and what every process of it is made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
import ray.data

from esam_fast import _check
from esam_fast.cluster.worker import Model, Worker
from esam_fast.runs.record import Made
from esam_fast.segmenters import NAMES, Segmenter, load_segmenter, usable

BATCH = 16  # images of a task, which are done again when its process dies


@dataclass(frozen=True)
class Pool:
    """Actors of Ray, one model each.

    Attributes:
        concurrency: actors, or the least and the most.
        num_gpus, num_cpus: what each claims.

    Raises:
        TypeError, ValueError: no such numbers.
    """

    concurrency: int | tuple[int, int] = 1
    num_gpus: float = 0
    num_cpus: float = 0.5

    def __post_init__(self) -> None:
        least = _check.integer("concurrency", self._both[0], 1)
        _check.integer("concurrency", self._both[1], least)
        _check.at_least("num_gpus", self.num_gpus, 0)
        _check.at_least("num_cpus", self.num_cpus, 0)

    @property
    def threads(self) -> int:
        """Of each actor's kernels."""
        return max(1, math.ceil(self.num_cpus))

    @property
    def most(self) -> int:
        """Actors at most."""
        return self._both[1]

    @property
    def _both(self) -> tuple[int, int]:
        given: Any = self.concurrency
        return given if isinstance(given, tuple) and len(given) == 2 else (given, given)

    def made(self, model: Model) -> Made:
        """What makes the results, as a process of the pool says that loads the model for it.

        Raises:
            Exception: what loading the model raised, there.
        """
        ask = ray.remote(num_cpus=self.num_cpus, num_gpus=self.num_gpus, max_retries=1)(Model.made)
        try:
            return ray.get(ask.remote(model))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error

    def map(self, dataset: ray.data.Dataset, worker: type[Worker], *arguments: Any) -> ray.data.Dataset:
        """The rows of a dataset through a worker, made with these arguments; its blocks hold BATCH rows at most."""
        least, most = self._both
        return dataset.map_batches(
            worker,
            fn_constructor_args=arguments,
            compute=ray.data.ActorPoolStrategy(min_size=least, max_size=most),
            batch_format="numpy",
            batch_size=BATCH,
            num_cpus=self.num_cpus,
            num_gpus=self.num_gpus,
        )


def loader(segmenter: Any) -> Callable[[], Segmenter]:
    """What every process calls for its segmenter.

    Raises:
        ValueError: an unknown name. TypeError: neither a name, nor a segmenter, nor a function.
    """
    if isinstance(segmenter, str):
        return partial(load_segmenter, named(_check.choice("segmenter", segmenter, NAMES)))
    if hasattr(segmenter, "embed") and not isinstance(segmenter, type):
        return partial(_given, segmenter)
    if not callable(segmenter):
        raise TypeError(f"segmenter must be a name, a segmenter or a function, got {type(segmenter).__name__}")
    return segmenter


def named(segmenter: str) -> str:
    """The name that "auto" stands for, told without torch by what is on this machine; every process takes the same."""
    return next(iter(usable()), "regions") if segmenter == "auto" else segmenter


def _given(segmenter: Segmenter) -> Segmenter:
    return segmenter
