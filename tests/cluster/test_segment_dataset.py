"""`segment_dataset` on one machine: rows, inputs, errors, and going on with a run."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cluster_runs import MEMORY, by_path, expected, pictures, ray, unloadable, without_hash
from painted import Painted
from PIL import Image
from small_runs import entries
from waiting import PATIENCE

from esam_fast import Esam, EsamConfig, UsrConfig, load_image
from esam_fast.cluster import images, segment_dataset, webdataset
from esam_fast.cluster.inputs import _list, fetch
from esam_fast.runs.record import made_by

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own
segment = partial(segment_dataset, segmenter=Painted)


@pytest.fixture(scope="module", autouse=True)
def local() -> Iterator[None]:
    ray.init("local", num_cpus=2, object_store_memory=MEMORY, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


def test_rows_are_those_of_one_process_whatever_the_images_come_as(tmp_path: Path) -> None:
    paths = pictures(tmp_path / "in" / "deep", 5)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "in")
    want = expected(paths)
    items = [{"path": path, "bytes": Path(path).read_bytes()} for path in paths]
    arrays = [{"path": path, "image": load_image(path)} for path in paths]
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        for path in paths:
            shard.add(path, Path(path).name)
            note = tarfile.TarInfo(f"{Path(path).stem}.json")
            shard.addfile(note, io.BytesIO(b""))
    ray.data.from_items(items).write_parquet(str(tmp_path / "parquet"))
    given = {
        "folder": images(tmp_path / "in"),
        "arrays": ray.data.from_items(arrays),
        "parquet": ray.data.read_parquet(str(tmp_path / "parquet")),
        "shards": webdataset(str(tmp_path / "shard.tar")),
    }
    for name, dataset in given.items():
        rows = without_hash(by_path(segment(dataset).take_all()))
        found = {Path(path).name: {**row, "path": 0} for path, row in rows.items()}
        assert found == {Path(path).name: {**row, "path": 0} for path, row in want.items()}, name
        assert name == "shards" or set(rows) == set(paths), name


@pytest.mark.parametrize("name", ["a b.png", "50%25.png", "q?x=1.png", "h#1.png", "pl+us@k:l.png", "日本.png"])
def test_an_address_is_a_name_whatever_it_holds(tmp_path: Path, name: str) -> None:
    import pyarrow as pa

    (tmp_path / name).write_bytes(b"content")
    table = pa.table({"path": [f"file://{tmp_path}/{name}"]})
    assert fetch(table)["bytes"].to_pylist() == [b"content"]
    (listed,) = _list(pa.table({"path": [f"file://{tmp_path}"]}))
    assert listed["path"].to_pylist() == [f"file://{tmp_path}/{name}"]


def test_what_fsspec_alone_knows(tmp_path: Path) -> None:
    import fsspec
    import pyarrow as pa

    fsspec.filesystem("memory").pipe("/pictures/a b.png", b"content")
    (listed,) = _list(pa.table({"path": ["memory://pictures"]}))
    assert listed.to_pylist() == [{"path": "memory:///pictures/a b.png", "error": None}]
    assert fetch(listed)["bytes"].to_pylist() == [b"content"]


def test_an_image_that_fails_gives_a_row_and_the_next_run_takes_it_up(tmp_path: Path) -> None:
    paths = pictures(tmp_path / "in", 20)
    broken, missing, remote = (str(tmp_path / name) for name in ("broken.png", "missing.png", "remote.png"))
    remote, there = f"file://{remote}", f"file://{paths[3]}"
    Path(broken).write_bytes(b"no image")
    out = str(tmp_path / "out")
    given = [*paths[:9], broken, missing, remote, there, *paths[9:]]
    dataset = ray.data.from_items([{"path": path} for path in given])
    segment(dataset, done=out).write_parquet(out)
    rows = by_path(ray.data.read_parquet(out).take_all())
    errors = {path: row["error"] for path, row in rows.items() if row["error"] is not None}
    assert set(errors) == {broken, missing, remote}
    assert "broken.png: expected an image" in errors[broken]
    assert errors[missing] == f"{missing}: no such file"
    assert errors[remote] == f"{remote}: cannot be read: no such file"
    assert [rows[broken][name] for name in ("height", "counts", "scores")] == [None, None, None]
    assert rows.pop(there)["counts"] == rows[paths[3]]["counts"]
    assert {row["run_hash"] for row in rows.values()} == {made_by(Esam(Painted())).hash}
    assert without_hash({path: rows[path] for path in paths}) == expected(paths)

    Image.fromarray(load_image(paths[0])).save(broken)
    (tmp_path / "out" / "cut off.parquet").write_bytes(b"PAR1")
    again = by_path(segment(dataset, done=out).take_all())
    assert set(again) == {broken, missing, remote}
    assert again[broken]["error"] is None
    other = segment(dataset, done=out, config=EsamConfig(usr=UsrConfig(enabled=False))).take_all()
    assert len(by_path(other)) == len(given)


def test_the_command_writes_what_one_process_writes(tmp_path: Path) -> None:
    paths = pictures(tmp_path / "in" / "deep", 3)
    (tmp_path / "in" / "broken.png").write_bytes(b"no image")
    address = ray.get_runtime_context().gcs_address

    def run(out: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        given = ["in", "--segmenter", "regions", "--format", "labels,coco,yolo", "--out", out, *arguments]
        code = f"import sys; from esam_fast.cli import main; sys.argv[1:] = {['segment', *given]}\n"
        code += "try: main()\nfinally: print('torch' in sys.modules)"
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=PATIENCE
        )

    for out, arguments in {"plain": [], "ray": ["--ray-address", address, "--ray-actors", "2"]}.items():
        done = run(out, *arguments)
        assert done.returncode == 1, done.stderr
        assert "broken.png: expected an image" in done.stderr
    assert done.stdout.endswith("False\n")
    folders = [tmp_path / "plain", tmp_path / "ray"]
    plain, on_ray = ({path.relative_to(folder): path for path in folder.rglob("*.*")} for folder in folders)
    assert plain.keys() == on_ray.keys()
    assert Path("deep/000_overlay.jpg") in plain
    for name in plain.keys() - {Path("run.json"), Path("manifest.jsonl")}:
        assert plain[name].read_bytes() == on_ray[name].read_bytes(), name
    about = json.loads(on_ray[Path("run.json")].read_text())
    assert about.pop("ray") == {"actors": 2}
    assert about == json.loads(plain[Path("run.json")].read_text())
    times = ("time", "seconds", "timings")
    told = [
        {e["path"]: {k: v for k, v in e.items() if k not in times} for e in entries(folder / "manifest.jsonl")}
        for folder in folders
    ]
    assert told[0] == told[1]
    again = run("ray", "--ray-address", address, "--ray-actors", "1")
    assert f"{len(paths)} of 4 inputs were done before" in again.stderr


def test_a_model_that_cannot_be_loaded_ends_the_run(tmp_path: Path) -> None:
    dataset = images(*pictures(tmp_path / "in", 1))
    with pytest.raises(ray.exceptions.RayError, match="no such weights"):
        segment(dataset, segmenter=unloadable).take_all()


def test_the_driver_never_imports_torch(tmp_path: Path) -> None:
    """With the extra "sam" installed, too, and with a segmenter by its name."""
    pictures(tmp_path / "in", 2)
    code = (
        "import sys, ray; from esam_fast.cluster import images, segment_dataset;"
        f"ray.init(address={ray.get_runtime_context().gcs_address!r}, log_to_driver=False);"
        f"rows = segment_dataset(images({str(tmp_path / 'in')!r}), segmenter='regions').take_all();"
        "print(len(rows), [row['error'] for row in rows], {'torch', 'numba'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.split("\n")[-2] == "2 [None, None] set()", done.stderr


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dataset": ["a.png"]}, TypeError, "dataset must be a Dataset, got list"),
        ({"segmenter": "vit_x"}, ValueError, "segmenter must be one of auto, regions, .* got 'vit_x'"),
        ({"segmenter": 3}, TypeError, "segmenter must be a name, a segmenter or a function, got int"),
        ({"config": {}}, TypeError, "config must be an EsamConfig, got dict"),
        ({"concurrency": 0}, ValueError, "concurrency must be at least 1, got 0"),
        ({"concurrency": (3, 2)}, ValueError, "concurrency must be at least 3, got 2"),
        ({"concurrency": 1.5}, TypeError, "concurrency must be a whole number, got float"),
        ({"num_gpus": -1}, ValueError, "num_gpus must be at least 0 and finite, got -1"),
        ({"tile": 5}, ValueError, "overlap must be less than tile, 5, got 256"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        segment(**{"dataset": ray.data.from_items([{"path": "a.png"}]), **arguments})


def test_a_dataset_without_paths_is_refused() -> None:
    with pytest.raises(ValueError, match="dataset must have a column 'path', got name, size"):
        segment(ray.data.from_items([{"name": "a.png", "size": 3}]))
