"""Ours and its peers in one run, taking turns: before each timed round of ours, every peer runs once."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture


@dataclass
class Peer:
    """Another way to the same end.

    Attributes:
        run: does the work; one that runs in another process returns the seconds it took there, by the clock and of
            the processor, any other one what it likes.
        share: of ours that `run` does, for slow peers; their seconds are divided by it.
        rounds: at most so many.
        elsewhere: runs in another process.
    """

    run: Callable[[], Any]
    share: float = 1.0
    rounds: int = 100
    elsewhere: bool = False
    spent: list[tuple[float, float]] = field(default_factory=list)

    def turn(self) -> None:
        if len(self.spent) < self.rounds:
            start, cpu = time.perf_counter(), time.process_time()
            told = self.run()
            here = time.perf_counter() - start, time.process_time() - cpu
            seconds, cpu = told if self.elsewhere else here
            self.spent.append((seconds / self.share, cpu / self.share))

    def medians(self) -> tuple[float, float]:
        """Seconds by the clock and of the processor."""
        seconds, cpu = (statistics.median(times) for times in zip(*self.spent, strict=True))
        return seconds, cpu


def race(
    benchmark: BenchmarkFixture,
    ours: Callable[[], Any],
    peers: dict[str, Peer | str] | None = None,
    *,
    group: str,
    work: str,
    rounds: int = 9,
    size: int | None = None,
    amount: tuple[float, str] | None = None,
) -> Any:
    """Time `ours` and its peers; returns the answer of `ours`.

    Args:
        benchmark: the fixture, whose JSON benchmarks/table.py reads.
        ours: what is timed.
        peers: by name; a text says why a peer is missing, and stands in the table for its time.
        group: title of the table. work: what was done, for people.
        size: the n of a cost curve.
        amount: of work in one call, and its unit: ("pairs", ...) gives pairs a second.
    """
    here = {name: peer for name, peer in (peers or {}).items() if isinstance(peer, Peer)}
    cpu: list[float] = []

    def timed() -> Any:
        start = time.process_time()
        answer = ours()
        cpu.append(time.process_time() - start)
        return answer

    def turns() -> None:
        for peer in here.values():
            peer.turn()
        if here:
            time.sleep(0.01)  # until threads of peers that wait for work in a loop have gone to sleep

    answer = timed()
    benchmark.group = group
    benchmark.pedantic(timed, setup=turns, rounds=rounds)
    median = benchmark.stats.stats.median
    benchmark.extra_info |= {
        "work": work,
        "size": size,
        "cpu": statistics.median(cpu[1:]),
        "load": os.getloadavg()[0],
        "rate": None if amount is None else f"{_si(amount[0] / median)} {amount[1]}/s",
        "peers": {name: peer.medians() if isinstance(peer, Peer) else peer for name, peer in (peers or {}).items()},
    }
    return answer


def _si(value: float) -> str:
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.3g} "
