"""The files for all images, read back with other tools."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from pycocotools.coco import COCO
from small_runs import CONFIG, save

from esam_fast.cli import main
from esam_fast.runs import collect as collecting
from esam_fast.runs.collect import collect, unfinished
from esam_fast.runs.listing import Shard
from esam_fast.runs.manifest import Conflict
from esam_fast.runs.outputs import Outputs

ALL = ["a.png", "b.png", "sub/a.png", "sub/c d.png"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with NumPy 2
def test_coco_json_equals_the_label_maps(segment):
    segment()
    assert collect("out").made == [Path("out/coco.json")]
    coco = COCO("out/coco.json")
    assert [(i, coco.imgs[i]["file_name"]) for i in sorted(coco.imgs)] == list(enumerate(ALL, start=1))
    assert sorted(coco.anns) == list(range(1, len(coco.anns) + 1))
    for number, image in coco.imgs.items():
        labels = np.asarray(Image.open(Path("out", image["file_name"])))
        assert labels.shape == (image["height"], image["width"])
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=number))
        assert len(annotations) == labels.max() > 1
        for label, annotation in enumerate(annotations, start=1):
            np.testing.assert_array_equal(coco.annToMask(annotation), labels == label)
            assert annotation["area"] == (labels == label).sum()
    assert coco.loadCats(coco.getCatIds())[0]["name"] == "entity"


def test_panoptic_json_in_cocos_layout(segment):
    segment(outputs=Outputs(("panoptic",), overlay=False))
    assert collect("out").made == [Path("out/panoptic.json")]
    found = json.loads(Path("out/panoptic.json").read_text())
    assert [(image["id"], image["file_name"]) for image in found["images"]] == list(enumerate(ALL, start=1))
    assert [(one["image_id"], one["file_name"]) for one in found["annotations"]] == list(enumerate(ALL, start=1))
    for one in found["annotations"]:
        digits = np.asarray(Image.open(Path("out/panoptic", one["file_name"]))).astype(int)
        labels, areas = np.unique(digits @ [1, 256, 65536], return_counts=True)
        told = {segment["id"]: segment["area"] for segment in one["segments_info"]}
        assert told == {label: area for label, area in zip(labels.tolist(), areas.tolist(), strict=True) if label}
    assert [(kind["id"], kind["isthing"]) for kind in found["categories"]] == [(1, 1)]


@pytest.mark.parametrize("truth", ["coco", "panoptic"])
def test_a_run_is_its_own_truth(segment, truth):
    segment(outputs=Outputs(("labels", "coco", "panoptic")))
    collect("out")
    command = ["eval", "--annotations", f"out/{truth}.json", "--results", "out", "--json", "numbers.json"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert json.loads(Path("numbers.json").read_text())["AP"] == pytest.approx(100)


def test_cvat_and_yolo(segment):
    segment(outputs=Outputs(("cvat", "yolo"), overlay=False))
    assert collect("out").made == [Path("out/cvat/annotations.xml"), Path("out/yolo/data.yaml")]
    root = ElementTree.parse("out/cvat/annotations.xml").getroot()
    images = root.findall("image")
    assert [(image.get("id"), image.get("name")) for image in images] == [(str(k), n) for k, n in enumerate(ALL)]
    assert [len(image.findall("polygon")) for image in images] == [3, 2, 4, 5]
    assert "0: entity" in Path("out/yolo/data.yaml").read_text()
    assert len(Path("out/yolo/sub/c d.txt").read_text().splitlines()) == 5


def test_the_page(segment):
    segment(outputs=Outputs(report=True))
    assert Path("out/index.html") in collect("out").made
    index = Path("out/report/index.js").read_text()
    assert all(f'"name": "{name}"' in index for name in ALL)
    assert '"title": "out: entities"' in index
    assert '"config.mmg.points_per_side": 4' in index


def test_shards_give_what_the_whole_run_gives(segment):
    segment(outputs=Outputs(("coco", "cvat")))
    collect("out")
    os.rename("out", "whole")
    for k in (2, 0):
        segment(outputs=Outputs(("coco", "cvat")), shard=Shard(k, 3))
    assert unfinished("out") == ["shard 1/3 has not begun (no manifest-1-of-3.jsonl)"]
    segment(outputs=Outputs(("coco", "cvat")), shard=Shard(1, 3))
    assert unfinished("out") == collect("out").missing == []
    for name in ("coco.json", "cvat/annotations.xml", "run.json"):
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()


def test_sorting_in_parts_gives_the_same(segment, monkeypatch):
    segment()
    collect("out")
    whole = Path("out/coco.json").read_bytes()
    for parts in (1, 2, 3):
        monkeypatch.setattr(collecting, "_CHUNK", parts)
        collect("out")
        assert Path("out/coco.json").read_bytes() == whole


def test_the_last_entry_of_an_image_counts(segment):
    segment()
    save(Path("in/a.png"), 6)
    segment()
    Path("in/b.png").write_text("no image")
    segment()
    told: list[str] = []
    found = collect("out", told.append)
    assert (found.images, found.failed) == (3, 1)
    assert [line.split(":")[0] for line in told] == [os.path.join("in", "b.png")]
    coco = COCO("out/coco.json")
    assert [image["file_name"] for image in coco.imgs.values()] == ["a.png", "sub/a.png", "sub/c d.png"]
    assert len(coco.getAnnIds(imgIds=1)) == 6


def test_files_that_are_missing_or_damaged_are_told(segment):
    segment()
    os.remove("out/a.json")
    Path("out/b.json").write_text("[")
    found = collect("out")
    assert found.missing[0] == f"{Path('out/a.json')}: No such file or directory"
    assert found.missing[1].startswith(f"{Path('out/b.json')}: not JSON: ")
    assert len(COCO("out/coco.json").imgs) == 4


@pytest.mark.parametrize("content", ["5", "[5]", '{"a": 1}', '[{"score": 1e999}]', "[" * 900 + "]" * 900])
def test_records_that_are_none_are_told(segment, content):
    segment()
    Path("out/a.json").write_text(content)
    found = collect("out")
    assert [line.partition(":")[0] for line in found.missing] == [str(Path("out/a.json"))]
    assert len(COCO("out/coco.json").imgs) == 4


def test_a_manifest_leads_to_no_file_outside(segment):
    segment()
    Path("secret.json").write_text('[{"secret": 1}]')
    path = Path("out/manifest.jsonl")
    path.write_text(path.read_text().replace('"a.json"', '"../secret.json"'))
    assert "expected a file name inside out" in collect("out").missing[0]
    assert "secret" not in Path("out/coco.json").read_text()


def test_outputs_of_another_number(segment):
    segment()
    path = Path("out/manifest.jsonl")
    path.write_text(path.read_text().replace('["a.json"]', "[]").replace('["b.json"]', '["b.json", "none.json"]'))
    assert collect("out").missing == [f"{Path('out/none.json')}: No such file or directory"]


@pytest.mark.skipif(sys.platform == "win32", reason="a backslash is no character of a name there")
def test_a_backslash_in_a_name(segment):
    save(Path("in/d\\e.png"))
    segment()
    assert collect("out").missing == []
    assert len(COCO("out/coco.json").getAnnIds(imgIds=3)) == 3


@pytest.mark.parametrize("name", ["0-of-999999999", "7-of-3", f"0-of-{'9' * 200}", "0-of-\u0663"])
def test_names_that_no_shard_writes(segment, name):
    segment()
    Path(f"out/manifest-{name}.jsonl").touch()
    assert unfinished("out") == collect("out").missing == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("name", ["sub", "yolo", "cvat", "cutouts", "report"])
def test_no_link_leads_out_of_the_folder(segment, name):
    Path("elsewhere").mkdir()
    Path("out").mkdir()
    Path("out", name).symlink_to("../elsewhere")
    outputs = Outputs(("labels", "coco", "yolo", "cvat"), cutouts=True, report=True)
    told = [entry["error"] for entry in segment(outputs=outputs) if "error" in entry]
    assert len(told) == (2 if name == "sub" else 4)
    assert all("expected a folder inside" in error for error in told)
    assert list(Path("elsewhere").iterdir()) == []


def test_no_run_at_all(photos):
    with pytest.raises(FileNotFoundError, match="expected a folder of a run, with its manifest, got none"):
        collect("in")


def stop(manifest):
    """As if the run had been killed after its last image."""
    path = Path("out", manifest)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def test_what_of_a_run_has_not_ended(segment):
    segment(shard=Shard(0, 3))
    segment(shard=Shard(2, 3))
    stop("manifest-2-of-3.jsonl")
    Path("out/manifest-0-of-2.jsonl").touch()  # stopped before its first image
    stopped = "it is at work, or was stopped"
    assert unfinished("out") == [
        f"shard 0/2 has not ended: {stopped} (manifest-0-of-2.jsonl)",
        "shard 1/2 has not begun (no manifest-1-of-2.jsonl)",
        "shard 1/3 has not begun (no manifest-1-of-3.jsonl)",
        f"shard 2/3 has not ended: {stopped} (manifest-2-of-3.jsonl)",
    ]
    segment()  # goes on from the shards
    assert unfinished("out") == []
    stop("manifest.jsonl")
    assert unfinished("out")[0] == f"the run has not ended: {stopped} (manifest.jsonl)"
    assert len(unfinished("out")) == 5
    segment()
    save(Path("in/z.png"))
    segment(shard=Shard(0, 3))  # over an image that is new
    assert unfinished("out")[0] == "shard 1/3 has not begun (no manifest-1-of-3.jsonl)"


def test_all_shards_of_another_number_end_what_was_stopped(segment):
    segment()
    stop("manifest.jsonl")
    segment(shard=Shard(0, 3))
    segment(shard=Shard(0, 2))
    assert [line.partition(" has ")[0] for line in unfinished("out")] == [
        "the run", "shard 1/2", "shard 1/3", "shard 2/3"
    ]  # fmt: skip
    segment(shard=Shard(1, 2))
    assert unfinished("out") == []


def test_shards_begin_anew_one_after_the_other(segment):
    """With another config: the others' results do not count, and are not taken for a run that has ended."""
    segment(shard=Shard(0, 2))
    segment(shard=Shard(1, 2))
    new = {"config": replace(CONFIG, min_region_area=3), "overwrite": True}
    first = segment(shard=Shard(0, 2), **new)
    assert [line.partition(" has ")[0] for line in unfinished("out")] == ["shard 1/2"]
    assert collect("out").images == len(first) < 4
    with pytest.raises(Conflict, match=r"another config: .* in manifest-1-of-2\.jsonl"):
        segment(shard=Shard(1, 2), config=new["config"])
    segment(shard=Shard(1, 2), **new)
    assert unfinished("out") == []
    assert collect("out").images == 4


def test_merge(segment):
    segment(shard=Shard(0, 2))
    shard = Path("out/manifest-0-of-2.jsonl").read_text()
    stop("manifest-0-of-2.jsonl")
    done = CliRunner().invoke(main, ["merge", "out"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "Unfinished: shard 0/2 has not ended: it is at work, or was stopped (manifest-0-of-2.jsonl)\n"
        "Unfinished: shard 1/2 has not begun (no manifest-1-of-2.jsonl)\n"
        "Error: out: expected a run that has ended; give its command again, or take --partial\n"
    )
    assert not Path("out/coco.json").exists()
    done = CliRunner().invoke(main, ["merge", "out", "--partial"])
    assert (done.exit_code, done.stderr.count("Unfinished")) == (0, 2)
    assert len(COCO("out/coco.json").imgs) == shard.count("file_name")
    Path("out/manifest-0-of-2.jsonl").write_text(shard)
    segment(shard=Shard(1, 2))
    done = CliRunner().invoke(main, ["merge", "out"])
    assert (done.exit_code, done.stdout) == (0, f"4 images -> {Path('out/coco.json')}\n")
    done = CliRunner().invoke(main, ["merge", "in"])
    assert (done.exit_code, done.stderr) == (
        1, "Error: in: expected a folder of a run, with its manifest, got none\n"
    )  # fmt: skip
