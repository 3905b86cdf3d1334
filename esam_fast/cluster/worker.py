"""One actor of the pool: a model, and batches of images that become rows."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from esam_fast._backend import set_num_threads
from esam_fast.config import EsamConfig
from esam_fast.entities import EntityMap
from esam_fast.export import encode_labels
from esam_fast.images import decode_image
from esam_fast.pipeline import Esam
from esam_fast.segmenters import Segmenter

BATCH = 16  # images of a task, which are done again when its process dies
MAX_CRASHES = 2  # processes that an image may bring down
MAX_STARTS = 5  # processes of an actor that may die one after another before they begin an image
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


class Worker:
    """Made by Ray in each process of the pool, and called with one batch after another.

    Args:
        load: makes the model.
        config: of `Esam`.
        views: keyword arguments of `Esam.segment`.
        threads: of the kernels.
        run: hash of the run, for the rows.
        crashes: handle of the actor `Crashes`.

    Raises:
        RuntimeError: the processes before this one died while they loaded the model.
    """

    def __init__(
        self,
        load: Callable[[], Segmenter],
        config: EsamConfig,
        views: dict[str, Any],
        threads: int,
        run: str,
        crashes: Any,
    ) -> None:
        self._crashes, self._run, self._views = crashes, run, views
        self._actor = ray.get_runtime_context().get_actor_id()
        if ray.get(crashes.start.remote(self._actor)) > MAX_STARTS:
            raise RuntimeError(f"{MAX_STARTS} processes in a row died while they loaded the segmenter")
        set_num_threads(threads)
        self._esam = Esam(load(), config)

    def __call__(self, batch: dict[str, Any]) -> pa.Table:
        """Rows of SCHEMA for a batch of columns that `inputs.fetch` gave."""
        count = len(batch["path"])
        rows = [self._row({name: column[i] for name, column in batch.items()}) for i in range(count)]
        ray.get(self._crashes.rest.remote(self._actor))
        return pa.Table.from_pylist(rows, SCHEMA)

    def _row(self, image: dict[str, Any]) -> dict[str, Any]:
        path = str(image["path"])
        row = {"path": path, "run_hash": self._run}
        if image["error"]:
            return {**row, "error": image["error"]}
        if (died := ray.get(self._crashes.begin.remote(self._actor, path))) >= MAX_CRASHES:
            return {**row, "error": f"{path}: given up: {died} processes died at it"}
        try:
            return {**row, **columns(self._esam.segment(opened(image), **self._views))}
        except Exception as error:
            if "CUDA error" in str(error):
                os._exit(1)  # the process can use its GPU no more: Ray starts another, and the image is tried again
            return {**row, "error": reason(path, error)}


def opened(image: dict[str, Any]) -> Any:
    """What `Esam.segment` takes: an array, or the path of a file."""
    if image.get("image") is not None:
        return np.asarray(image["image"])
    data = image.get("bytes")
    return image["path"] if data is None else decode_image(data, str(image["path"]))


def columns(entities: EntityMap) -> dict[str, Any]:
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


def reason(path: str, error: Exception) -> str:
    """An error in one line that names the image."""
    text = " ".join(str(error).split())
    text = text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"
    return text if path in text else f"{path}: {text}"
