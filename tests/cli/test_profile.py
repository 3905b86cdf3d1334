"""`esam-fast profile`: every stage is counted once, the load is the simulated one, the files open."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scene import scene

from esam_fast import Esam, EsamConfig, MaskGrid, load_segmenter, profiling
from esam_fast._backend import available
from esam_fast.cli import main
from esam_fast.config import EmrConfig, MmgConfig
from esam_fast.evaluate.simulated import SimulatedSegmenter
from esam_fast.evaluate.simulated_load import simulated_load
from esam_fast.pipeline import STAGES

PHOTO = scene(96, 64)


@pytest.fixture(scope="module")
def measured():
    return profiling.measure(Esam(load_segmenter("regions")), PHOTO, runs=3)


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def run(*arguments):
    return CliRunner().invoke(main, ["profile", *map(str, arguments)])


def test_rows_cover_every_stage_and_the_papers_total():
    shown = [stage for stages, _ in profiling.ROWS.values() for stage in stages]
    assert set(shown) == {*STAGES, "total"}
    papers = [profiling.ROWS[name][1] for name in ("encoder stage = encoder + decoder", "MMG", "EMR", "USR", "total")]
    assert sum(papers[:4]) == pytest.approx(papers[4]) == 9.84


def test_sums_and_spread(measured):
    assert len(measured.runs) == len(measured.spans) == 3
    found = profiling.report(measured)
    for row in found["seconds"].values():
        assert 0 <= row["min"] <= row["median"] <= row["max"]
    for timings in measured.runs:
        assert sum(timings[stage] for stage in STAGES) <= timings["total"]
    encoder = [run["embed"] + run["decode"] for run in measured.runs]
    assert found["seconds"]["encoder stage = encoder + decoder"]["median"] == sorted(encoder)[1]
    drawing = found["seconds"]["drawing"]
    assert drawing["share_of_floor"] == drawing["floor"] / drawing["median"] > 0
    assert found["seconds"]["EMR"]["share_of_floor"] is None
    assert found["peak_bytes"]["process"] > 2**25


def test_the_kernels_that_ran_are_named(measured, backend):
    assert measured.about["kernels"].split()[0] == available()[0]  # none was asked for
    named = profiling.measure(Esam(load_segmenter("regions"), backend=backend), PHOTO, runs=1).about["kernels"]
    assert named.split()[0] == backend


@pytest.mark.parametrize("per_cell", [0, 2])
@pytest.mark.parametrize("enabled", [True, False])
def test_the_prompts_are_counted(enabled, per_cell):
    emr = EmrConfig(points_per_side=16, enabled=enabled, votes_per_cell=per_cell)
    esam = Esam(load_segmenter("regions"), EsamConfig(MmgConfig(points_per_side=8), emr))
    found = profiling.report(profiling.measure(esam, PHOTO, runs=1))
    asked = esam.segment(PHOTO).prompts
    assert found["prompts"] == asked
    assert asked["mmg"] == 64
    assert asked["gallery"] == 256 * enabled if per_cell == 0 or not enabled else 0 < asked["gallery"] < 256
    assert f"64 (grid, 8 points a side) + {asked['gallery']} (gallery, of 16 a side) + " in profiling.table(found)


def test_the_trace_is_what_ran(measured):
    events = json.loads(json.dumps(profiling.trace(measured)))["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert all(set(event) >= {"name", "ts", "dur", "pid", "tid"} and event["dur"] >= 0 for event in spans)
    runs = [event for event in spans if event["name"].startswith("run ")]
    assert [event["name"] for event in runs] == ["run 1", "run 2", "run 3"]
    for run_, timings in zip(runs, measured.runs, strict=True):
        end = run_["ts"] + run_["dur"]
        inside = [e for e in spans if e is not run_ and run_["ts"] <= e["ts"] < end]
        assert all(e["ts"] + e["dur"] <= end + 1e-3 for e in inside)
        for stage in STAGES:
            spent = sum(e["dur"] for e in inside if e["name"] == stage)
            assert spent == pytest.approx(timings[stage] * 1e6)
        starts = [e["ts"] for e in inside]
        assert starts == sorted(starts)


def test_redrawing_counts_as_decoding():
    class Slow(SimulatedSegmenter):
        def logits(self, embedding, points, channels):
            raise RuntimeError("asked")

    labels = np.repeat(np.arange(1, 5, dtype=np.int32), 16)[:, None].repeat(96, 1)
    esam = Esam(SimulatedSegmenter(labels, "x"))
    names = [name for name, _, _ in esam.segment(PHOTO).spans]
    assert names[-2:] == ["decode", "draw"]
    with pytest.raises(RuntimeError, match="asked"):
        Esam(Slow(labels, "x")).segment(PHOTO)


class Timed:
    """On SAM's grid; answers with nothing."""

    name = "timed"
    score_threshold = stability_threshold = 0.5

    def __init__(self, grid):
        self.grid, self.asked = grid, []

    def embed(self, image):
        self.asked.append("embed")
        self.features = np.ones((8, 43, 64), np.float32)
        return self

    def masks(self, embedding, points, *, min_score=None):
        assert embedding is self
        self.asked.append(("masks", len(points), min_score))

    def logits(self, embedding, points, channels):
        self.asked.append(("logits", len(points)))


def test_one_works_and_the_simulation_answers():
    grid = MaskGrid(256, 256, 170.75, 256.0, 64, 96)
    timed = Timed(grid)
    config = EsamConfig()
    measured = profiling.measure(Esam(simulated_load(timed, PHOTO), config), PHOTO, runs=2)
    assert measured.about["segmenter"] == "timed"
    assert re.fullmatch(r"simulated SAM over \d+ regions of the image", measured.about["masks"])
    assert timed.asked.count("embed") == 3
    prompts = [each for each in timed.asked if each[0] == "masks"]
    assert prompts[0] == ("masks", 32**2, None)
    assert sum(n for _, n, _ in prompts) == 3 * sum(
        Esam(simulated_load(timed, PHOTO), config).segment(PHOTO).prompts.values()
    )
    assert measured.about["entities"] > 1
    with pytest.raises(ValueError, match="must answer on SAM's grid"):
        Esam(simulated_load(Timed(MaskGrid(64, 64, 42.7, 64.0, 64, 96)), PHOTO), config).segment(PHOTO)


def test_files_and_output(photo, tmp_path):
    out = tmp_path / "new" / "out"
    done = run(photo, "--segmenter", "regions", "--runs", 2, "--out", out, "--json", tmp_path / "p.json")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "p.json").read_text())
    assert (found["runs"], found["image"], found["segmenter"]) == (2, "96 x 64", "regions")
    assert set(found["seconds"]) == set(profiling.ROWS)
    assert sorted(path.name for path in out.iterdir()) == [
        "profile.html", "profile.md", "profile.png", "profile.trace.json", "run.json",
    ]  # fmt: skip
    table = (out / "profile.md").read_text()
    assert table in done.output
    for name in (*profiling.ROWS, "9.84", "masks: regions", "peak memory"):
        assert name in table
    page = (out / "profile.html").read_text()
    assert not re.search(r"https?:|src=|<link|<script", page)
    assert page.count("class='bars'") == len(profiling.ROWS)
    with Image.open(out / "profile.png") as picture:
        pixels = np.asarray(picture)
    blue, grey = ((pixels == colour).all(axis=2).sum(axis=1) for colour in ((31, 111, 180), (184, 184, 184)))
    assert blue.any()
    assert grey.max() > 500  # the paper's total is the longest bar
    assert json.loads((out / "profile.trace.json").read_text())["traceEvents"]


def test_without_out_nothing_is_written(photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(photo, "--segmenter", "regions", "--runs", 1).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runs", "0"], "0 is not in the range x>=1"),
        (["--load", "heavy"], "'heavy' is not one of 'real', 'simulated'"),
        (["--load", "simulated", "--segmenter", "regions"], "give --segmenter vit_b, vit_l or vit_h"),
        (["--set", "emr.epsilon=1"], "no setting 'emr.epsilon'"),
        (["--segmenter", "vit_x"], "name must be one of"),
    ],
)
def test_bad_usage(photo, arguments, message):
    done = run(photo, *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_what_cannot_be_read(tmp_path):
    assert run(tmp_path / "none.png").exit_code == 2
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    done = run(tmp_path / "broken.png", "--segmenter", "regions")
    assert done.exit_code == 1
    assert "broken.png" in done.output
