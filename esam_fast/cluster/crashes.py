"""What every process of the pool had in hand when it died, so that no image brings one down for ever."""

from __future__ import annotations

from collections import Counter
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

MAX_CRASHES = 2  # processes that an image may bring down
MAX_STARTS = 5  # processes of an actor that may die one after another before they begin an image


class Crashes:
    """One actor beside the pool, which outlives the processes of the pool.

    Ray starts a process that died anew, as the same actor, and gives it the same batch: without this, an image that
    crashes its process would do so for ever.
    """

    def __init__(self) -> None:
        self._in_hand: dict[str, str] = {}
        self._crashes = Counter[str]()
        self._starts = Counter[str]()

    def start(self, actor: str) -> int:
        """A process of this actor starts; returns how many have since it last began an image, this one included."""
        image = self._in_hand.pop(actor, None)
        if image is not None:
            self._crashes[image] += 1
        self._starts[actor] += 1
        return self._starts[actor]

    def begin(self, actor: str, image: str) -> int:
        """The actor begins an image, and has finished what it had before; returns how many died at this image."""
        self._starts.pop(actor, None)
        self._in_hand[actor] = image
        return self._crashes[image]

    def rest(self, actor: str) -> None:
        """The actor has nothing in hand."""
        self._in_hand.pop(actor, None)


def count_crashes() -> Any:
    """The handle of a new actor `Crashes`, on the driver's machine: with that one, the run ends anyway."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    settings = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": here}
    return ray.remote(Crashes).options(**settings).remote()


def given_up(image: str, died: int) -> str | None:
    """Why an image at which this many processes died is not tried again; None: it is."""
    return None if died < MAX_CRASHES else f"{image}: given up: {died} processes died at it"
