"""`esam-fast profile`: every stage is counted once, the load is the simulated one, the files open."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from xml.etree import ElementTree

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


def test_parts_are_every_stage_and_the_papers_sums_are_its_total():
    assert sorted(profiling.summary.PARTS.values()) == sorted(STAGES)
    papers = {name: paper for name, (_, paper) in profiling.summary.SUMS.items()}
    assert papers["encoder + decoder"] + papers["MMG"] + papers["EMR"] + papers["USR"] == pytest.approx(9.84)
    assert papers["total"] == pytest.approx(9.84)
    assert papers["superpixels + MMG + EMR + USR"] == pytest.approx(3.95)


def test_parts_sums_and_spread(measured):
    assert len(measured.runs) == len(measured.spans) == 3
    found = profiling.report([measured])
    rows = found["seconds"]
    for row in [*rows.values(), *found["sums"].values()]:
        assert row["min"] <= row["median"] <= row["max"]
    for run in range(3):  # the parts are the total
        parts = sum(row["runs"][run] for name, row in rows.items() if name != "total")
        assert parts == pytest.approx(rows["total"]["runs"][run])
    assert min(rows["other"]["runs"]) >= 0
    encoder = [run["embed"] + run["decode"] for run in measured.runs]
    assert found["sums"]["encoder + decoder"]["median"] == sorted(encoder)[1]
    drawing = rows["drawing"]
    assert drawing["share_of_floor"] == drawing["floor"] / drawing["median"] > 0
    assert rows["EMR"]["share_of_floor"] is None
    assert found["peak_bytes"]["process"] > 2**25


def test_several_images_are_one_mean(measured):
    half = dataclasses.replace(measured, runs=[{k: v / 2 for k, v in run.items()} for run in measured.runs])
    alone, both = profiling.report([measured]), profiling.report([measured, half])
    for name, row in both["seconds"].items():
        assert row["runs"] == pytest.approx([0.75 * run for run in alone["seconds"][name]["runs"]], abs=1e-9)
    totals = [image["total"]["median"] for image in both["images"]]
    assert totals == [alone["seconds"]["total"]["median"], alone["seconds"]["total"]["median"] / 2]


# The paper's seconds


def ran(segmenter="sam:vit_h", **changes):
    """What ran, as the paper has it but for these changes of the config."""
    config = dataclasses.asdict(EsamConfig(emr=EmrConfig(votes_per_cell=0)))
    for name, value in changes.items():
        section, _, field = name.partition("__")
        config[section][field] = value
    return {"segmenter": segmenter, "config": config}


@pytest.mark.parametrize(
    ("about", "differs"),
    [
        (ran(), None),
        (ran("sam:vit_h with random weights"), None),
        (ran("sam:vit_b"), "the segmenter must be sam:vit_h, here sam:vit_b"),
        (ran("regions"), "the segmenter must be sam:vit_h, here regions"),
        (ran(mmg__points_per_side=16), "mmg.points_per_side must be 32, here 16"),
        (ran(emr__points_per_side=32), "emr.points_per_side must be 64, here 32"),
        (ran(emr__votes_per_cell=4), "emr.votes_per_cell must be 0, here 4"),
        (ran(usr__enabled=False), "usr.enabled must be True, here False"),
    ],
)
def test_the_papers_seconds_stand_only_beside_the_same_work(measured, about, differs):
    found = profiling.report([dataclasses.replace(measured, about=measured.about | about)])
    table, page = profiling.table(found), profiling.page(found)
    assert found["paper_needs"] == ([] if differs is None else [differs])
    for text in (table, html.unescape(page)):
        assert ("Not beside the paper's Table 5" in text) == (differs is not None)
        assert differs is None or differs in text
        assert ("9.84" in text) == (differs is None)
        assert ("5.89" in text) == (differs is None)


# An earlier run


@pytest.fixture
def report(measured):
    return json.loads(json.dumps(profiling.report([measured])))


def made(report, **factors):
    """The report with these stages' medians times a factor."""
    rows = {name: row | {"median": row["median"] * factors.get(name, 1)} for name, row in report["seconds"].items()}
    return report | {"seconds": rows}


@pytest.mark.parametrize(
    ("factors", "percent", "slower"),
    [
        ({}, 0, []),
        ({"total": 1.2}, 10, ["total"]),
        ({"total": 1.2}, 25, []),
        ({"total": 0.5, "encoder": 0.5}, 0, []),
        ({"encoder": 3.0, "total": 1.05}, 10, ["encoder"]),
        ({"other": 1e9}, 10, []),
        ({"drawing": 1.5}, 10, []),  # of next to nothing
    ],
)
def test_what_is_slower(report, factors, percent, slower):
    rows = report["seconds"]
    rows["encoder"]["median"], rows["total"]["median"], rows["drawing"]["median"] = 0.5, 1.0, 0.01
    compared = profiling.compare(made(report, **factors), report, percent)
    assert compared["slower"] == slower
    assert compared["unlike"] == []
    told = profiling.table(report, compared)
    assert (f"Slower by more than {percent} %" in told) == bool(slower)


def test_what_else_differs_is_told(report):
    old = json.loads(json.dumps(report)) | {"threads": 64}
    old["config"]["emr"]["delta"] = 0.5
    compared = profiling.compare(report, old, 10)
    assert compared["unlike"] == [f"threads: 64, now {report['threads']}", "emr.delta: 0.5, now 0.05"]
    assert "emr.delta: 0.5, now 0.05" in profiling.page(report, compared, "old.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seconds": {}}, "as esam-fast profile --json writes"),
        ({"seconds": {"total": {"median": 10**400}}}, "as esam-fast profile --json writes"),
        ({"images": 3}, "as esam-fast profile --json writes"),
        ({"segmenter": "vit_b"}, "expected the same segmenter as now, regions, got vit_b"),
        ({"images": [{"size": "10 x 10"}]}, "expected the same images as now, 96 x 64, got 10 x 10"),
    ],
)
def test_an_old_file_that_cannot_be_compared(report, photo, tmp_path, change, message):
    (tmp_path / "old.json").write_text(json.dumps(report | change))
    done = run(photo, "--segmenter", "regions", "--compare", tmp_path / "old.json")
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert "old.json" in done.output


@pytest.mark.parametrize(("factor", "status"), [(100, 0), (0.01, 1)])
def test_slower_than_before_is_exit_status_1(report, photo, tmp_path, factor, status):
    old = made(report, **dict.fromkeys(report["seconds"], factor))
    (tmp_path / "old.json").write_text(json.dumps(old))
    compare = ["--compare", tmp_path / "old.json", "--fail-above", 50, "--out", tmp_path / "out"]
    done = run(photo, "--segmenter", "regions", "--runs", 1, *compare)
    assert done.exit_code == status
    assert ("Slower by more than 50 %" in done.stdout) == bool(status)
    assert "Beside old.json" in (tmp_path / "out" / "profile.html").read_text()


# What ran


def test_the_kernels_that_ran_are_named(measured, backend):
    assert measured.about["kernels"].split()[0] == available()[0]  # none was asked for
    named = profiling.measure(Esam(load_segmenter("regions"), backend=backend), PHOTO, runs=1).about["kernels"]
    assert named.split()[0] == backend


@pytest.mark.parametrize("per_cell", [0, 2])
@pytest.mark.parametrize("enabled", [True, False])
def test_the_prompts_are_counted(enabled, per_cell):
    emr = EmrConfig(points_per_side=16, enabled=enabled, votes_per_cell=per_cell)
    esam = Esam(load_segmenter("regions"), EsamConfig(MmgConfig(points_per_side=8), emr))
    found = profiling.report([profiling.measure(esam, PHOTO, runs=1)])
    asked = esam.segment(PHOTO).prompts
    assert found["images"][0]["prompts"] == asked
    assert asked["mmg"] == 64
    assert asked["gallery"] == 256 * enabled if per_cell == 0 or not enabled else 0 < asked["gallery"] < 256
    assert f"64 (grid, 8 points a side) + {asked['gallery']} (gallery, of 16 a side) + " in profiling.table(found)


def test_the_trace_is_what_ran(measured):
    events = json.loads(json.dumps(profiling.trace([measured])))["traceEvents"]
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
    assert re.fullmatch(r"simulated SAM over \d+ regions of the image", measured.image["masks"])
    assert timed.asked.count("embed") == 3
    prompts = [each for each in timed.asked if each[0] == "masks"]
    assert prompts[0] == ("masks", 32**2, None)
    assert sum(n for _, n, _ in prompts) == 3 * sum(
        Esam(simulated_load(timed, PHOTO), config).segment(PHOTO).prompts.values()
    )
    assert measured.image["entities"] > 1
    with pytest.raises(ValueError, match="must answer on SAM's grid"):
        Esam(simulated_load(Timed(MaskGrid(64, 64, 42.7, 64.0, 64, 96)), PHOTO), config).segment(PHOTO)


def test_files_and_output(photo, tmp_path):
    out = tmp_path / "new" / "out"
    second = tmp_path / "<i>second.png"
    Image.fromarray(scene(60, 90)).save(second)
    done = run(photo, second, "--segmenter", "regions", "--runs", 2, "--out", out, "--json", tmp_path / "p.json")
    assert done.exit_code == 0, done.output
    assert "6/6" in done.stderr  # progress: a warm-up and two runs of each
    found = json.loads((tmp_path / "p.json").read_text())
    assert (found["runs"], found["segmenter"]) == (2, "regions")
    assert [image["size"] for image in found["images"]] == ["96 x 64", "60 x 90"]
    written = {"profile.html", "profile.md", "profile.trace.json", "run.json"}
    assert written <= {path.name for path in out.iterdir()}
    assert not list(out.glob("*.png"))
    table = (out / "profile.md").read_text()
    assert table in done.output
    for name in (*found["seconds"], "encoder + decoder", "masks: regions", "peak memory", "photo.png", "floor"):
        assert name in table
    runs = [e["name"] for e in json.loads((out / "profile.trace.json").read_text())["traceEvents"]]
    assert [name for name in runs if name.startswith("run ")] == [
        f"run {k} of {image}" for image in ("photo.png", second.name) for k in (1, 2)
    ]


def test_the_page_needs_nothing_else_and_draws_what_was_measured(measured):
    photo = dataclasses.replace(measured, image=measured.image | {"name": "<script>x</script>.png"})
    page = profiling.page(profiling.report([photo]))
    assert not re.search(r"https?:|src=|<link|<script|url\(", page)
    assert "&lt;script&gt;x" in page
    stack, *spreads = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    seconds = profiling.report([photo])["seconds"]
    widths = [float(rect.get("width")) + 1 for rect in stack.iter("rect")]
    medians = [row["median"] for name, row in seconds.items() if name != "total"]
    for width, median in zip(widths, medians, strict=True):
        assert width == pytest.approx(958 * median / sum(medians), abs=1.1)
    assert len(spreads) == len(medians)
    assert [len(list(svg.iter("circle"))) for svg in spreads] == [3] * len(medians)


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


def test_json_that_cannot_be_written_is_told_before_any_work(photo, monkeypatch):
    monkeypatch.setattr(profiling, "measure", lambda *_, **__: pytest.fail("measured"))
    done = run(photo, "--segmenter", "regions", "--json", photo / "new" / "numbers.json")
    assert done.exit_code == 2
    assert f"--json: cannot make the folder {photo}/new: Not a directory" in done.output


def test_a_simulated_load_without_sam_says_what_to_install(photo, monkeypatch):
    monkeypatch.setattr("esam_fast.segmenters._missing", lambda family: ["segment_anything"])
    done = run(photo, "--segmenter", "vit_b", "--load", "simulated")
    assert done.exit_code == 2
    assert "SAM needs segment_anything: pip install 'esam-fast[sam]'" in done.output


def test_what_cannot_be_read(tmp_path):
    assert run(tmp_path / "none.png").exit_code == 2
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    done = run(tmp_path / "broken.png", "--segmenter", "regions")
    assert done.exit_code == 1
    assert "broken.png" in done.output
