"""One process of the pool: a model, and batches of images that become rows, or files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from esam_fast._backend import set_num_threads
from esam_fast._errors import named, reason
from esam_fast._files import Pathish
from esam_fast.cluster.crashes import MAX_STARTS, given_up
from esam_fast.config import EsamConfig
from esam_fast.entities import EntityMap
from esam_fast.export import as_json, encode_labels
from esam_fast.images import decode_image
from esam_fast.pipeline import Esam
from esam_fast.runs.manifest import Entry
from esam_fast.runs.names import Job
from esam_fast.runs.outputs import Outputs
from esam_fast.runs.record import Made, Settings, made_by
from esam_fast.runs.work import Work, failed
from esam_fast.segmenters import Segmenter

SCHEMA = pa.schema(
    {
        "path": pa.string(),
        "height": pa.int32(),
        "width": pa.int32(),
        "counts": pa.list_(pa.string()),
        "scores": pa.list_(pa.float32()),
        "boxes": pa.list_(pa.list_(pa.int32(), 4)),
        "areas": pa.list_(pa.int64()),
        "run_hash": pa.string(),
        "error": pa.string(),
    }
)
ENTRIES = pa.schema({"entry": pa.string()})


@dataclass(frozen=True)
class Model:
    """How a process makes its pipeline, and what it says of the results.

    Attributes:
        load: makes the segmenter.
        config, backend: of `Esam`.
        settings: how images are segmented.
        threads: of the kernels.
    """

    load: Callable[[], Segmenter]
    config: EsamConfig
    settings: Settings
    threads: int = 1
    backend: str | None = None

    def __call__(self) -> Esam:
        set_num_threads(self.threads)
        return Esam(self.load(), self.config, self.backend)

    def made(self) -> Made:
        """What makes the results; loads the model."""
        return made_by(self(), self.settings)


class Worker:
    """Made by Ray in each process of the pool, and called with one batch after another.

    Args:
        model: of this process.
        crashes: handle of the actor `Crashes`.
        run: the hash that the model must have, where the driver knows it.

    Raises:
        RuntimeError: the processes before this one died while they loaded the model; or it is another one here.
    """

    _schema = SCHEMA

    def __init__(self, model: Model, crashes: Any, run: str | None = None) -> None:
        self._crashes, self._settings = crashes, model.settings
        self._actor = ray.get_runtime_context().get_actor_id()
        if ray.get(crashes.start.remote(self._actor)) > MAX_STARTS:
            raise RuntimeError(f"{MAX_STARTS} processes in a row died while they loaded the segmenter")
        self._esam = model()
        self._run = made_by(self._esam, model.settings).hash
        if run not in (None, self._run):
            raise RuntimeError("every process must make the same results, got another segmenter or weights in this one")

    def __call__(self, batch: dict[str, Any]) -> pa.Table:
        """The rows of a batch, whose columns are arrays."""
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        done = [self._row(row) for row in rows]
        ray.get(self._crashes.rest.remote(self._actor))
        return pa.Table.from_pylist(done, self._schema)

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        path = str(row["path"])
        about = {"path": path, "run_hash": self._run}
        if refused := row["error"] or self._begin(path):
            return {**about, "error": refused}
        try:
            found = self._esam.segment(_opened(row), **self._settings.views)
            return {**about, **_columns(found)}
        except Exception as error:
            return {**about, "error": _survived(named(path, reason(error)))}

    def _begin(self, path: str) -> str | None:
        """Take an image in hand; an error if it has brought down too many processes."""
        return given_up(path, ray.get(self._crashes.begin.remote(self._actor, path)))


class FileWorker(Worker):
    """A worker that writes each image's files, and gives their entries for the manifest.

    Args:
        out: the run's folder, which every machine sees.
        outputs: what is written.
        others: of `Worker`.
    """

    _schema = ENTRIES

    def __init__(self, out: Pathish, outputs: Outputs, *others: Any) -> None:
        super().__init__(*others)
        self._work = Work(self._esam, out, self._run, outputs, self._settings)

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        job = Job(*json.loads(row["job"]))
        if refused := self._begin(job.path):
            entry: Entry = failed(job, self._run, refused)
        else:
            entry = self._work.one(job)
            _survived(entry.get("error", ""))
        return {"entry": as_json(entry).decode()}


def _survived(error: str) -> str:
    """An error, if the process can go on: after one of CUDA's own it can use its GPU no more.

    Ray starts another process then, in which the image is tried again.
    """
    if "CUDA error" in error:
        os._exit(1)
    return error


def _opened(row: dict[str, Any]) -> Any:
    """What `Esam.segment` takes: an array, or the path of a file."""
    if row.get("image") is not None:
        return np.asarray(row["image"])
    data = row.get("bytes")
    return row["path"] if data is None else decode_image(data, str(row["path"]))


def _columns(entities: EntityMap) -> dict[str, Any]:
    """The columns of SCHEMA that tell of the entities."""
    height, width = entities.labels.shape
    return {
        "height": height,
        "width": width,
        "counts": [code["counts"] for code in encode_labels(entities.labels, len(entities))],
        "scores": entities.scores.tolist(),
        "boxes": entities.boxes.tolist(),
        "areas": entities.areas.tolist(),
    }
