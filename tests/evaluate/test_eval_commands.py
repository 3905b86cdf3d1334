"""The commands eval and ablate: files in and out, resuming after SIGKILL, what mistakes say."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from pycocotools import mask as official_mask
from test_metric import QUARTERS, partition
from waiting import PATIENCE

from esam_fast.cli import main

# A segmenter that knows the truth: each image is its own label map, painted.
DRIVER = """
import sys, numpy as np, esam_fast
from esam_fast.evaluate.simulated import SimulatedSegmenter

class Painted:
    name, score_threshold, stability_threshold = "painted", 0.88, 0.95
    def embed(self, image):
        self.inner = SimulatedSegmenter(image[..., 0].astype(np.int32), "x")
        return self.inner.embed(image)
    def masks(self, *a, **k): return self.inner.masks(*a, **k)
    def logits(self, *a): return self.inner.logits(*a)

esam_fast.load_segmenter = lambda *_, **__: Painted()
from esam_fast.cli import main
main(sys.argv[1:], prog_name="esam-fast")
"""
SMALL = ["--set", "mmg.points_per_side=12", "--set", "emr.points_per_side=16", "--threads", "1"]
KEYS = ["AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"]


@pytest.fixture
def painted(tmp_path):
    """A folder of label maps and the images that show them."""
    for folder in ("labels", "images"):
        (tmp_path / folder).mkdir()
    for i in range(6):
        labels = partition(np.random.default_rng(i), 60, 90, 5) + 1
        Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "labels" / f"{i}_0.png")
        Image.fromarray(np.stack([labels * 30] * 3, axis=-1).astype(np.uint8)).save(tmp_path / "images" / f"{i}.png")
    return tmp_path


def arguments(folder, command, out, *more):
    truth = ["--annotations", str(folder / "labels"), "--images", str(folder / "images")]
    return [command, *truth, "--json", str(folder / out), *SMALL, *more]


def drive(*args, **options):
    return subprocess.run(
        [sys.executable, "-c", DRIVER, *args], capture_output=True, text=True, timeout=PATIENCE, **options
    )


def run(*args):
    return CliRunner().invoke(main, [str(a) for a in args])


@pytest.mark.parametrize(
    ("command", "more"),
    [("eval", []), ("ablate", ["--simulated", "--seeds", "2", "--limit", "2"])],
    ids=["eval", "ablate"],
)
def test_killed_and_started_again_it_ends_as_an_unbroken_run(painted, command, more):
    whole = drive(*arguments(painted, command, "whole.json", *more))
    assert whole.returncode == 0, whole.stderr
    broken = arguments(painted, command, "broken.json", *more)
    journal = painted / "broken.predictions.jsonl"
    with subprocess.Popen([sys.executable, "-c", DRIVER, *broken], stderr=subprocess.DEVNULL) as process:
        while not (journal.exists() and journal.read_bytes().count(b"\n") >= 3):
            time.sleep(0.002)
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    first = journal.read_bytes()
    assert not (painted / "broken.json").exists()
    with journal.open("ab") as file:
        file.write(first.splitlines()[-1][:50])  # a line cut short, too
    again = drive(*broken)
    assert again.returncode == 0, again.stderr
    assert again.stdout == whole.stdout
    assert (painted / "broken.json").read_bytes() == (painted / "whole.json").read_bytes()
    assert journal.read_bytes().startswith(first[: first.rfind(b"\n") + 1])


def test_eval_of_images(painted):
    done = drive(*arguments(painted, "eval", "a.json"))
    assert done.returncode == 0, done.stderr
    report = json.loads((painted / "a.json").read_text())
    assert report["AP"] > 30
    assert (report["images"], report["method"], report["segmenter"]) == (6, "esam", "painted")
    assert set(KEYS) < set(report)
    assert "| esam |" in done.stdout
    other = drive(*arguments(painted, "eval", "a.json", "--set", "usr.enabled=false"))
    assert other.returncode == 1
    assert "predictions of another run (other config)" in other.stderr


@pytest.mark.parametrize("method", ["amg", "object", "best", "superpixels"])
def test_baselines(painted, method):
    done = drive(*arguments(painted, "eval", "a.json", "--method", method, "--limit", "3"))
    assert done.returncode == 0, done.stderr
    report = json.loads((painted / "a.json").read_text())
    assert report["images"] == 3
    assert report["AP50"] > 5
    if method == "amg":  # every level at once: many masks overlap
        assert set(KEYS) == set(report["raw"])
        assert "overlapping (not AP^e)" in done.stdout


def test_what_eval_of_images_refuses(painted):
    unknown = drive(*arguments(painted, "eval", "a.json", "--method", "magic"))
    assert unknown.returncode == 2
    assert "method must be one of esam, amg" in unknown.stderr
    Image.new("RGB", (60, 90)).save(painted / "images" / "3.png")
    wrong = drive(*arguments(painted, "eval", "a.json"))
    assert wrong.returncode == 1
    assert "3.png: expected 60 x 90 pixels (height x width, as annotated), got 90 x 60" in wrong.stderr
    assert "1 of 6 images failed; each counts as one without predictions" in wrong.stderr
    assert (painted / "a.predictions.jsonl").read_text().count("\n") == 6  # the header, and the other five
    report = json.loads((painted / "a.json").read_text())
    assert list(report["failed"]) == ["3"]
    assert (report["images"], report["images_without_predictions"]) == (6, 1)
    for path in (painted / "images").iterdir():
        path.write_bytes(b"no image")
    none = drive(*arguments(painted, "eval", "b.json"))
    assert none.returncode == 1
    assert "all 6 images failed, the first with: " in none.stderr
    assert not (painted / "b.json").exists()


def results_of_another_tool(tmp_path):
    """Written with pycocotools alone, as detectron2 writes them: bbox, bytes decoded, float scores."""
    entries, records = [], []
    for k in (1, 2, 3, 4):
        code = official_mask.encode(np.asfortranarray(k == QUARTERS, np.uint8))
        code["counts"] = code["counts"].decode()
        entries.append({"id": k, "image_id": 8, "category_id": 1, "segmentation": code, "area": 600.0, "iscrowd": 0})
        box = official_mask.toBbox(code).tolist()
        records.append({"image_id": 8, "category_id": 44, "bbox": box, "score": 0.1 * k, "segmentation": code})
    image = {"id": 8, "height": 40, "width": 60, "file_name": "8.jpg"}
    truth = {"images": [image], "annotations": entries, "categories": [{"id": 1, "name": "entity"}]}
    (tmp_path / "entity_val.json").write_text(json.dumps(truth))
    (tmp_path / "mask2former.json").write_text(json.dumps(records))
    return tmp_path / "entity_val.json", tmp_path / "mask2former.json"


def test_eval_of_results(tmp_path):
    truth, results = results_of_another_tool(tmp_path)
    done = run("eval", "--annotations", truth, "--results", results, "--json", tmp_path / "o.json")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "o.json").read_text())
    assert [report[k] for k in KEYS] == pytest.approx([100, 100, 100, 100, -1, -1])
    assert report["method"] == "mask2former"
    assert "CropFormer Swin-L (published)" in done.output
    assert not (tmp_path / "o.predictions.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "size", "more", "shown"),
    [
        ("entityv2_010203_entity_val", (40, 60), [], "Table 1"),
        ("entityv2_010203_entity_val_lr", (800, 1200), [], "Table 2"),
        ("entity_val", (1333, 700), [], "Table 2"),
        ("val", (800, 1200), [], None),
        ("val", (800, 1200), ["--published", "hr"], "Table 1"),
        ("entity_val", (40, 60), ["--published", "lr"], "Table 2"),
        ("entity_val", (40, 60), ["--published", "none"], None),
    ],
)
def test_which_of_the_papers_numbers_are_shown(tmp_path, name, size, more, shown):
    image = {"id": 1, "height": size[0], "width": size[1]}
    (tmp_path / f"{name}.json").write_text(json.dumps({"images": [image], "annotations": []}))
    (tmp_path / "r.json").write_text("[]")
    done = run("eval", "--annotations", tmp_path / f"{name}.json", "--results", tmp_path / "r.json", *more)
    assert done.exit_code == 0, done.output
    assert [table for table in ("Table 1", "Table 2") if table in done.output] == ([shown] if shown else [])


def test_the_flag_that_keeps_ids(tmp_path):
    truth, results = results_of_another_tool(tmp_path)
    content = json.loads(truth.read_text())
    content["annotations"][3]["id"] = 0
    truth.write_text(json.dumps(content))
    for flags, expected in (([], True), (["--keep-ids"], False)):
        run("eval", "--annotations", truth, "--results", results, "--json", tmp_path / "o.json", *flags)
        assert (json.loads((tmp_path / "o.json").read_text())["AP"] > 99) == expected


def test_mistakes(tmp_path):
    truth, results = results_of_another_tool(tmp_path)
    out = tmp_path / "o.json"
    neither = run("eval", "--annotations", truth, "--json", out)
    assert (neither.exit_code, "got neither" in neither.output) == (2, True)
    both = run("eval", "--annotations", truth, "--json", out, "--results", results, "--images", tmp_path)
    assert both.exit_code == 2
    records = json.loads(results.read_text())
    records[2]["segmentation"]["size"] = [60, 40]
    results.write_text(json.dumps(records))
    wrong = run("eval", "--annotations", truth, "--json", out, "--results", results)
    assert wrong.exit_code == 1
    assert "prediction 3 for image 8: expected a mask of 40 x 60" in wrong.output
    assert not out.exists()
    seeds = run("ablate", "--annotations", truth, "--images", tmp_path, "--json", out, "--seeds", 2)
    assert (seeds.exit_code, "--seeds needs --simulated" in seeds.output) == (2, True)


def test_ablate(painted):
    more = ["--simulated", "--limit", "3", "--compare", "amg,object"]
    done = run(*arguments(painted, "ablate", "t.json", *more))
    assert done.exit_code == 0, done.output
    report = json.loads((painted / "t.json").read_text())
    assert list(report["rows"]) == ["none", "M", "E", "U", "E+U", "M+U", "M+E", "M+E+U", "amg", "object"]
    full = report["rows"]["M+E+U"]
    assert full["published"] == [43.6, 60.8, 43.1]
    assert full["interval"][0][0] <= full["AP"] <= full["interval"][0][1]
    assert report["faults"]["join"] > 0
    assert "43.6 / 60.8 / 43.1" in done.output
    half = run(*arguments(painted, "ablate", "t.json", *more, "--faults", "0.5"))
    assert "another run (other faults)" in half.output


def test_superpixels_side_by_side(painted):
    done = run(*arguments(painted, "ablate", "s.json", "--simulated", "--limit", "2", "--table", "superpixels"))
    assert done.exit_code == 0, done.output
    assert list(json.loads((painted / "s.json").read_text())["rows"]) == ["felzenszwalb", "slic"]
