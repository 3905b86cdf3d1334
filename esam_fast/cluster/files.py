"""A run into a folder by a pool: its actors write each image's files, the driver the manifest."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator

import pyarrow as pa
import ray
import ray.data

from esam_fast._files import Pathish
from esam_fast.cluster.crashes import count_crashes
from esam_fast.cluster.pool import BATCH, Pool
from esam_fast.cluster.worker import FileWorker, Model
from esam_fast.runs.manifest import Entry
from esam_fast.runs.names import Job
from esam_fast.runs.outputs import Outputs

_ROUND = 10_000  # images an actor between two starts of the pool: what is listed before the first one is segmented


class RayRun:
    """Segments images into a folder that every machine sees.

    Args:
        model: of each actor.
        pool: the actors.

    Attributes:
        made: what makes the results.
        actors: how many do.

    Raises:
        Exception: what loading the model raised, in a process of the pool.
    """

    def __init__(self, model: Model, pool: Pool) -> None:
        self._model, self._pool = model, pool
        self.made, self.actors = pool.made(model), pool.most

    def each(self, jobs: Iterable[Job], out: Pathish, outputs: Outputs) -> Iterator[Entry]:
        """Segment images and write their files; yield the entry of each, in any order.

        Raises:
            ray.exceptions.RayError: the pool cannot go on.
        """
        jobs, crashes = iter(jobs), count_crashes()
        while these := list(itertools.islice(jobs, _ROUND * self._pool.most)):
            typed = {job.file_name: job.path for job in these}
            dataset = ray.data.from_arrow([_table(these[i : i + BATCH]) for i in range(0, len(these), BATCH)])
            arguments = (os.path.abspath(out), outputs, self._model, crashes, self.made.hash)
            for row in self._pool.map(dataset, FileWorker, *arguments).iter_rows():
                entry: Entry = json.loads(row["entry"])
                path = typed[entry["file_name"]]
                if "error" in entry:
                    entry["error"] = entry["error"].replace(entry["path"], path)
                yield {**entry, "path": path}


def _table(jobs: list[Job]) -> pa.Table:
    return pa.table({"job": [json.dumps(job._replace(path=os.path.abspath(job.path))) for job in jobs]})
