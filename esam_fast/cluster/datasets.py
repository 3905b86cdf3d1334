"""Datasets in, datasets out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import ray
import ray.data

from esam_fast import _check
from esam_fast.cluster import inputs, resume
from esam_fast.cluster.crashes import count_crashes
from esam_fast.cluster.pool import BATCH, Pool, loader
from esam_fast.cluster.worker import Model, Worker
from esam_fast.config import EsamConfig
from esam_fast.runs.record import Settings
from esam_fast.segmenters import Segmenter
from esam_fast.views.windows import Views


def segment_dataset(
    dataset: ray.data.Dataset,
    *,
    segmenter: str | Segmenter | Callable[[], Segmenter],
    config: EsamConfig | None = None,
    concurrency: int | tuple[int, int] = 1,
    num_gpus: float = 0,
    num_cpus: float = 0.5,
    tile: int | None = None,
    overlap: int = 256,
    wrap: bool = False,
    done: str | None = None,
) -> ray.data.Dataset:
    """Segment every image of a dataset in a pool of Ray actors, each with a model of its own.

    Rows in have "path", a name that no two share: of a local file that every machine sees, or an address that pyarrow
    or fsspec reach (s3://, gs://, https://). Or the image itself comes with them: "bytes", the content of a file, or
    "image", an array as `Esam.segment` takes it. Rows come out in any order, one an image:

    ==========  =====================  ===========================================================
    path        string                 as it came
    height      int32                  pixels; null where the image failed, as all that follow
    width       int32                  pixels
    counts      list of string         COCO run-length code of each entity, of size [height, width]
    scores      list of float32        descending
    boxes       list of 4 int32        x0 y0 x1 y1, half-open, pixels
    areas       list of int64          pixels
    run_hash    string                 what made the row; the "hash" that run.json has for it
    error       string                 why the image failed; null where it did not
    ==========  =====================  ===========================================================

    An image that fails gives a row with its error. A process or machine that dies is replaced, and what it had begun is
    done again. An image in whose course the process died twice is given up with an error.

    Args:
        dataset: see above, and `images` and `webdataset`, which make one.
        segmenter: a name for `load_segmenter` ("auto": the largest SAM whose weights are on the driver's machine, else
            "regions"); or a function without arguments that gives a segmenter, called by every actor, as
            `functools.partial(load_segmenter, "vit_b", "/shared/vit_b.pth")`; or a segmenter, which is then pickled.
        config: every threshold.
        concurrency: actors, or the least and the most, between which Ray scales.
        num_gpus: GPUs of each actor, also a fraction.
        num_cpus: logical CPUs that each actor claims, and rounded up its threads. Those claimed are lost to the tasks
            that read and write, which need a whole one: with half a CPU an actor, there is one left as long as there
            are no more actors than CPUs, also when a machine goes.
        tile, overlap, wrap: see `Esam.segment`.
        done: address of a folder of Parquet files that earlier runs wrote. An image that has a row there with this
            run's hash and no error is left out; files that were cut off when they were written do not count. The model
            is then loaded once more, for its hash.

    Returns:
        A lazy dataset: `write_parquet(folder)`, `iter_rows()` and the like run it.

    Raises:
        TypeError, ValueError: an argument that cannot be used. When it runs, ray.exceptions.RayError: a column is
        missing, or a model cannot be loaded; with `done`, at once.
    """
    _check.instance("dataset", dataset, ray.data.Dataset)
    config = EsamConfig() if config is None else _check.instance("config", config, EsamConfig)
    Views(tile, overlap, wrap)
    pool = Pool(concurrency, num_gpus, num_cpus)
    model = Model(loader(segmenter), config, Settings(tile, overlap, wrap), pool.threads)
    columns = dataset.schema(fetch_if_missing=False)
    if columns is not None:
        inputs.check_columns(columns.names)
    known = None if done is None else ray.put(resume.finished(done, pool.made(model).hash))
    fetch = partial(inputs.fetch, done=known)
    rows = dataset.map_batches(fetch, batch_format="pyarrow", batch_size=BATCH)
    return pool.map(rows.repartition(target_num_rows_per_block=BATCH), Worker, model, count_crashes())
