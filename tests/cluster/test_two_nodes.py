"""A cluster of two nodes on one machine: what dies in the middle of a run, and an image that kills."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cluster_runs import MEMORY, Lost, Poisoned, Slow, by_path, deadly, expected, pictures, poison, ray, without_hash
from painted import Painted
from PIL import Image

from esam_fast import Esam, EsamConfig
from esam_fast.cluster import images, segment_dataset
from esam_fast.cluster.files import RayRun
from esam_fast.cluster.pool import Pool
from esam_fast.cluster.worker import Model
from esam_fast.runs.names import Job
from esam_fast.runs.outputs import Outputs
from esam_fast.runs.record import Settings, made_by
from esam_fast.runs.work import Work

pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("ignore")]  # warnings are Ray's own
segment = partial(segment_dataset, concurrency=2)


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 2, "object_store_memory": MEMORY}
    nodes = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        nodes.add_node(**node)
        ray.init(address=nodes.address, log_to_driver=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()


@pytest.mark.parametrize("how", ["exit", "fault"])
def test_images_that_kill_are_named_and_all_others_done(cluster: Any, tmp_path: Path, how: str) -> None:
    paths = pictures(tmp_path / "in", 40)
    deadly = [poison(tmp_path / "in" / f"{name}.png") for name in ("005 a", "005 b", "030 a")]
    rows = by_path(segment(images(tmp_path / "in"), segmenter=partial(Poisoned, how)).take_all())
    for path in deadly:
        assert rows.pop(path)["error"] == f"{path}: given up: 2 processes died at it"
    assert without_hash(rows) == expected(paths)


def test_a_process_killed_in_the_middle(cluster: Any, tmp_path: Path) -> None:
    paths, notes = pictures(tmp_path / "in", 60), tmp_path / "notes"
    notes.mkdir()
    killed, rows = False, []
    for row in segment(images(tmp_path / "in"), segmenter=partial(Slow, 0.1, notes)).iter_rows():
        rows.append(row)
        if not killed:
            os.kill(int(next(notes.iterdir()).name), signal.SIGKILL)
            killed = True
    assert killed
    assert len(list(notes.iterdir())) == 3
    assert without_hash(by_path(rows)) == expected(paths)


def test_a_node_removed_in_the_middle(cluster: Any, tmp_path: Path) -> None:
    paths, notes, out = pictures(tmp_path / "in", 100), tmp_path / "notes", str(tmp_path / "out")
    notes.mkdir()
    second = cluster.list_all_nodes()[1]
    rows = []
    for row in segment(images(tmp_path / "in"), segmenter=partial(Slow, 0.1, notes)).iter_rows():
        rows.append(row)
        if second is not None:
            cluster.remove_node(second, allow_graceful=False)
            second = None
    assert len(list(notes.iterdir())) >= 3
    assert without_hash(by_path(rows)) == expected(paths)

    segment(images(tmp_path / "in"), segmenter=partial(Slow, 0, notes), done=out).write_parquet(out)
    assert without_hash(by_path(ray.data.read_parquet(out).take_all())) == expected(paths)


def test_files_of_a_run_in_which_a_node_and_an_image_go(cluster: Any, tmp_path: Path) -> None:
    """Byte for byte those of one process, and an entry for each image, the one that kills named."""
    paths = pictures(tmp_path / "in", 60)
    deadly = poison(tmp_path / "in" / "poison.png")
    jobs = [Job(path, Path(path).name, Path(path).stem, i) for i, path in enumerate([*paths[:9], deadly, *paths[9:]])]
    outputs, config, settings = Outputs(), EsamConfig(), Settings()
    one = Esam(Painted())
    alone = Work(one, tmp_path / "alone", made_by(one).hash, outputs, settings)
    want = list(alone.each(job for job in jobs if job.path != deadly))

    pool = RayRun(Model(partial(Poisoned, "exit"), config, settings), Pool(2))
    second, found = cluster.list_all_nodes()[1], []
    for entry in pool.each(iter(jobs), tmp_path / "out", outputs):
        found.append(entry)
        if second is not None:
            cluster.remove_node(second, allow_graceful=False)
            second = None
    entries = {entry["path"]: entry for entry in found}
    assert len(entries) == len(found) == 61
    assert entries.pop(deadly)["error"] == f"{deadly}: given up: 2 processes died at it"
    assert {path: entry["outputs"] for path, entry in entries.items()} == {e["path"]: e["outputs"] for e in want}
    for name in (name for entry in want for names in entry["outputs"].values() for name in names):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name


def test_a_gpu_lost_costs_a_process_and_no_image(cluster: Any, tmp_path: Path) -> None:
    paths = pictures(tmp_path / "in", 20)
    last = poison(tmp_path / "in" / "010 a.png")
    Image.open(paths[0]).resize((34, 21), Image.Resampling.NEAREST).save(last)
    rows = by_path(segment(images(tmp_path / "in"), segmenter=partial(Lost, tmp_path)).take_all())
    assert (tmp_path / "lost").exists()
    assert without_hash(rows) == expected([*paths, last])


def test_processes_that_die_while_they_load_end_the_run(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(ray.exceptions.RayError, match="5 processes in a row died while they loaded the segmenter"):
        segment(images(*pictures(tmp_path / "in", 1)), segmenter=deadly).take_all()
