"""Runs from the command line: stopped and gone on with, in shards, on several devices; what is printed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scene import scene as still_life
from small_runs import contents, entries, save
from test_commands import fake, files, results_of, run
from waiting import PATIENCE, until

import esam_fast
from esam_fast.cli.screen import Screen

__all__ = ["fake"]
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and links are others there")
QUICK = ["--set", "mmg.points_per_side=4", "--set", "emr.points_per_side=4", "--segmenter", "vit_b"]
# The command with a quick segmenter, after a pause of argv[2] seconds for each image; after argv[3] images it hangs.
PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv.pop(1))
pause, most = float(sys.argv.pop(1)), int(sys.argv.pop(1))
import painted, esam_fast
class Slow(painted.Painted):
    seen = 0
    def embed(self, image):
        self.seen += 1
        time.sleep(pause if self.seen <= most else 3600)
        return super().embed(image)
esam_fast.load_segmenter = lambda *_, **__: Slow()
from esam_fast.cli import main
main()
"""


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for k, name in enumerate(("b.png", "a.png", "sub/a.png", "sub/c d.png"), start=2):
        save(tmp_path / "in" / name, k)
    return tmp_path


def start(*arguments: object, pause: float = 0.0, most: int = 1000) -> subprocess.Popen[bytes]:
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-c", PROGRAM, str(tests), str(pause), str(most), *map(str, arguments), *QUICK]
    environment = {**os.environ, "PYTHONPATH": str(Path(esam_fast.__file__).parents[1])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out.decode(), err.decode()


def lines(path: Path) -> list[dict]:
    return entries(path) if path.exists() else []


def wait_for(count: int, path: Path) -> None:
    until(lambda: path.exists() and path.read_bytes().count(b"\n") >= count)


def left_over(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


# Stopped


@posix
def test_killed_again_and_again_the_results_are_those_of_an_unbroken_run(photos):
    for k in range(30):
        save(photos / "in" / f"{k}.png", 2 + k % 5)
    options = ("--format", "labels,coco,cvat", "--cutouts", "--report")
    assert finish(start("segment", "in", "--out", "out", *options))[0] == 0
    os.rename("out", "whole")  # the page has the folder's name for its title
    rng = random.Random(3)
    manifest = photos / "out" / "manifest.jsonl"
    for _ in range(5):
        before = len(lines(manifest))
        process = start("segment", "in", "--out", "out", *options, pause=0.01, most=6)
        wait_for(before + rng.randrange(4), manifest)
        time.sleep(rng.random() * 0.05)
        process.kill()
        process.communicate()
    done = len(lines(manifest)) if manifest.read_bytes().endswith(b"\n") else 0
    assert done <= 5 * 6
    status, _, err = finish(start("segment", "in", "--out", "out", *options))
    assert status == 0
    assert "of 34 inputs were done before" in err
    assert contents(photos / "out") == contents(photos / "whole")
    assert left_over(photos / "out") == []


@posix
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_by_a_signal(photos, number, status):
    for k in range(30):
        save(photos / "in" / f"{k}.png")
    process = start("segment", "in", "--out", "out", pause=0.3)
    wait_for(3, photos / "out" / "manifest.jsonl")
    process.send_signal(number)
    found, out, err = finish(process)
    assert found == status
    assert "Traceback" not in err
    done = lines(photos / "out" / "manifest.jsonl")
    assert 3 <= len(done) < 34
    assert f"Note: stopped; {len(done)} images are done, and the same command goes on with the others" in err
    assert len(out.splitlines()) == len(done)
    assert left_over(photos / "out") == []
    assert all((photos / "out" / path).exists() for entry in done for (path,) in entry["outputs"].values())
    assert finish(start("segment", "in", "--out", "out", "--quiet")) == (0, "", "")
    assert len(lines(photos / "out" / "manifest.jsonl")) == 34


@posix
def test_a_second_run_into_the_same_folder_is_refused(photos):
    process = start("segment", "in", "--out", "out", most=0)
    wait_for(0, photos / "out" / "manifest.jsonl")
    status, _, err = finish(start("segment", "in", "--out", "out"))
    assert status == 2
    assert f"{Path('out/manifest.jsonl')}: another run is writing into out; wait for it, or choose another" in err
    process.kill()
    process.communicate()
    assert finish(start("segment", "in", "--out", "out"))[0] == 0


@pytest.mark.usefixtures("fake")
def test_another_config_is_refused_and_overwritten(photos):
    assert run("segment", "in", "--out", "out").exit_code == 0
    changed = ["segment", "in", "--out", "out", "--set", "emr.delta=0.25"]
    result = run(*changed)
    assert result.exit_code == 2
    assert "out holds results of another config: config.emr.delta 0.05 there, 0.25 here; " in result.stderr
    result = run(*changed, "--overwrite")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 4


@pytest.mark.usefixtures("fake")
def test_what_is_done_is_not_done_again(photos):
    run("segment", "in", "--out", "out")
    result = run("segment", "in", "--out", "out")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Note: 4 of 4 inputs were done before\n" in result.stderr
    os.remove("out/sub/a.json")
    result = run("segment", "in", "--out", "out")
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [os.path.join("in", "sub", "a.png")]


# Many


@posix
def test_shards_at_the_same_time_and_merged(photos):
    assert finish(start("segment", "in", "--out", "whole"))[0] == 0
    shards = [start("segment", "in", "--out", "out", "--shard", f"{k}/3") for k in range(3)]
    assert [finish(shard)[0] for shard in shards] == [0, 0, 0]
    assert not (photos / "out" / "coco.json").exists()
    assert not {path.name for path in (photos / "out").glob("*.jsonl")} ^ {f"manifest-{k}-of-3.jsonl" for k in range(3)}
    assert run("merge", "out").exit_code == 0
    assert contents(photos / "out") == contents(photos / "whole")


@pytest.mark.usefixtures("fake")
def test_a_shard_without_images_has_ended_too(photos):
    told = [run("segment", "in/a.png", "--out", "out", "--shard", f"{k}/3").stderr for k in range(3)]
    assert sum(f"Note: shard {k}/3 has none of these images\n" in text for k, text in enumerate(told)) == 2
    assert all("esam-fast merge out makes the files for all images\n" in text for text in told)
    assert run("merge", "out").stdout == f"1 images -> {Path('out/coco.json')}\n"
    assert run("segment", "none*.png", "--out", "two", "--shard", "0/3").exit_code == 1
    assert not Path("two").exists()


@pytest.mark.usefixtures("fake")
def test_a_list_of_files(photos):
    Path("list.txt").write_text("in/sub/a.png\nin/none.png\nin/a.png\n")
    result = run("segment", "--files-from", "list.txt", "--out", "out")
    assert result.exit_code == 1
    assert files(photos / "out") == results_of("a", "sub/a")
    assert f"Error: {photos}/in/none.png: no such file" in result.stderr
    assert run("segment", "in/sub", "--files-from", "list.txt", "--out", "two").exit_code == 1
    assert files(photos / "two") == results_of("a")
    assert run("segment", "in/a.png", "--files-from", "list.txt").exit_code == 2


def test_several_devices_give_what_one_gives(photos):
    one = ["segment", "in", "--segmenter", "regions", "--report"]
    assert run(*one, "--out", "one").exit_code == 0
    result = run(*one, "--out", "two", "--devices", "cpu,cpu")
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) == 4
    same = contents(photos / "one"), contents(photos / "two")
    title = same[0].pop("report/index.js"), same[1].pop("report/index.js")
    assert title[0].replace(b"one", b"two") == title[1]
    assert same[0] == same[1]
    assert len(lines(photos / "two" / "manifest.jsonl")) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--devices", "cpu,bogus"], "Error: --devices: device bogus: "),
        (["--devices", ","], "Error: --devices: expected one device or more, as cuda:0,cuda:1, got none"),
        (["--devices", "cpu", "--device", "cpu"], "Error: give either --device or --devices"),
        (["--device", "bogus"], "device must be "),
        (["--device", "bogus", "--segmenter", "auto"], "device "),
        (["--shard", "2/2"], "Error: --shard: expected I/N with I from 0 to N - 1, and N below 100,000, got '2/2'"),
        (["--format", "labels,xml"], "Error: --format: formats must be one of labels, coco, "),
        (["--format", ""], "Error: --format: formats must hold at least one of labels, "),
        (["--tile", "64", "--overlap", "64"], "Error: --overlap must be less than --tile, got 64 and 64"),
        (["--wrap", "--steps"], "Error: --steps shows the stages of an image that is seen whole"),
        (["--files-from", "none.txt"], "Error: --files-from none.txt: No such file or directory"),
    ],
)
def test_bad_usage(photos, options, message):
    chosen = [] if "--segmenter" in options else ["--segmenter", "regions"]
    result = run("segment", "in", "--out", "out", *chosen, *options)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert not (photos / "out").exists()


# What is written


@pytest.mark.usefixtures("fake")
def test_every_format_and_cutouts(photos):
    every = "labels,coco,panoptic,yolo,labelme,geojson,cvat"
    assert run("segment", "in/a.png", "--out", "out", "--format", every, "--cutouts", "--no-overlay").exit_code == 0
    assert files(photos / "out") == {
        "a.png", "a.json", "panoptic/a.png", "panoptic/a.json", "yolo/a.txt", "yolo/data.yaml", "labelme/a.json",
        "geojson/a.geojson", "cvat/images/a.xml", "cvat/annotations.xml", "cutouts/a/1.png", "cutouts/a/2.png",
    }  # fmt: skip
    labels = np.asarray(Image.open("out/a.png"))
    cut, photo = np.asarray(Image.open("out/cutouts/a/2.png")), np.asarray(Image.open("in/a.png"))
    rows, columns = np.nonzero(labels == 2)
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    np.testing.assert_array_equal(cut[..., :3], photo[box])
    np.testing.assert_array_equal(cut[..., 3] > 0, (labels == 2)[box])


def test_small_entities_are_left_out(photos):
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, 30:] = 200
    picture[4:12, 4:12] = (255, 0, 0)
    Image.fromarray(picture).save("in/a.png")
    options = ["--out", "out", "--segmenter", "regions", "--min-area", "100", "--steps", "--report"]
    assert run("segment", "in/a.png", *options).exit_code == 0
    records = json.loads(Path("out/a.json").read_text())
    assert min(record["area"] for record in records) >= 100
    assert len(records) == np.asarray(Image.open("out/a.png")).max()
    assert Path("out/a_steps.jpg").exists()


def test_tiles_and_panoramas(photos):
    save(Path("in/wide.png"), 12)
    run("segment", "in/wide.png", "--out", "out", "--segmenter", "regions", "--tile", "48", "--overlap", "16", "--wrap")
    about = json.loads(Path("out/run.json").read_text())
    assert (about["tile"], about["overlap"], about["wrap"]) == (48, 16, True)
    assert len(json.loads(Path("out/wide.json").read_text())) > 1


def test_a_tiff_file_is_read_by_windows_where_it_is_divided(photos, monkeypatch):
    picture = still_life(200, 150, 3)
    tifffile.imwrite("in/a.tif", picture, tile=(32, 32), compression="zlib")
    options = ["--segmenter", "regions", "--tile", "100", "--overlap", "32", "--report", "--cutouts"]
    with monkeypatch.context() as patched:
        patched.setattr("esam_fast.images.load_image", None)
        assert run("segment", "in/a.tif", "--out", "out", *options).exit_code == 0
    Image.fromarray(picture).save("in/a.png")
    Path("in/a.tif").unlink()
    assert run("segment", "in/a.png", "--out", "expected", *options).exit_code == 0
    assert Path("out/a.json").read_bytes() == Path("expected/a.json").read_bytes()
    for name in ("a.png", "a_overlay.jpg", "cutouts/a/1.png"):
        assert np.array_equal(Image.open(Path("out", name)), Image.open(Path("expected", name))), name


def test_label_maps_of_32_bits_replace_no_picture(photos, monkeypatch):
    monkeypatch.setattr("esam_fast.export.MOST_IN_PNG", 0)
    command = ["segment", "in/a.png", "--out", "out", "--segmenter", "regions"]
    assert run(*command).exit_code == 0
    assert tifffile.imread("out/a.tif").max() > 0
    assert "2 results of esam-fast" in run("segment", "out", "--out", "other").output
    foreign = Path("photos/a.tif")
    foreign.parent.mkdir()
    tifffile.imwrite(foreign, np.zeros((20, 20), np.uint8))
    content = foreign.read_bytes()
    result = run("segment", "in/a.png", "--out", "photos", "--segmenter", "regions", "--format", "labels")
    assert result.exit_code == 1
    assert "photos/a.tif: expected a result of esam-fast, got another picture" in result.output
    assert foreign.read_bytes() == content


# What is printed


@pytest.mark.usefixtures("fake")
def test_lines_of_json(photos):
    Path("in/bad.png").write_text("no image")
    for skipped in (False, True):
        result = run("segment", "in", "--out", "out", "--jsonl")
        assert result.exit_code == 1
        found = [json.loads(line) for line in result.stdout.splitlines()]
        assert sorted(entry["file_name"] for entry in found) == [
            "a.png",
            "b.png",
            "bad.png",
            "sub/a.png",
            "sub/c d.png",
        ]
        assert [entry["file_name"] for entry in found if "error" in entry] == ["bad.png"]
        assert {entry["skipped"] for entry in found if "error" not in entry} == {skipped}


@pytest.mark.usefixtures("fake")
def test_quiet_tells_errors_only(photos):
    Path("in/bad.png").write_text("no image")
    Path("in/notes.txt").touch()
    result = run("segment", "in", "--out", "out", "--quiet")
    assert (result.exit_code, result.stdout) == (1, "")
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["Error", "1 of 5 inputs failed"]


@pytest.mark.usefixtures("fake")
def test_results_have_a_folder_of_their_own_name(photos):
    assert run("segment", "in/a.png").exit_code == 0
    assert files(photos / "esam_results") == results_of("a")


@pytest.mark.usefixtures("fake")
def test_an_address_is_no_file(photos):
    result = run("segment", "https://example.org/a.jpg", "in/a.png", "--out", "out")
    assert result.exit_code == 1
    refused = "expected a file or a folder, got an address; download it first, or use esam_fast.cluster"
    assert f"Error: https://example.org/a.jpg: {refused}\n" in result.stderr
    assert files(photos / "out") == results_of("a")


@pytest.mark.usefixtures("fake")
def test_no_other_picture_is_replaced(photos):
    save(photos / "out" / "a.png")
    before = (photos / "out" / "a.png").read_bytes()
    result = run("segment", "in", "--out", "out")
    assert result.exit_code == 1
    assert (
        f"Error: {Path('in/a.png')}: {Path('out/a.png')}: expected a result of esam-fast, got another picture"
        in result.stderr
    )
    assert (photos / "out" / "a.png").read_bytes() == before


def test_the_module_is_the_command():
    environment = {**os.environ, "PYTHONPATH": str(Path(esam_fast.__file__).parents[1])}
    command = [sys.executable, "-m", "esam_fast", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert esam_fast.__version__ in done.stdout


def test_the_bar_of_a_stopped_run_shows_how_many_are_left(tmp_path, capsys, monkeypatch):
    class AtOnce:
        def __init__(self, target, daemon):
            self.start = target

    monkeypatch.setattr("esam_fast.cli.screen.threading.Thread", AtOnce)
    screen = Screen(tmp_path, jsonl=False, quiet=False)
    screen.start_bar(lambda: 4)
    screen.image({"path": "a.png", "entities": 1, "covered": 1.0, "seconds": 1.0, "outputs": {}})
    screen.close()
    assert capsys.readouterr().err.rpartition("\r")[2].startswith(" 25%")
