"""What `segment` takes for an image, what it calls it, and that nothing in a folder stops the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_commands import Fake, fake, files, results_of, run, save

import esam_fast
from esam_fast.export import is_result, marked
from esam_fast.runs import listing
from esam_fast.runs.walk import Teller

__all__ = ["fake"]
posix = pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows, and names have fewer letters")
pytestmark = pytest.mark.usefixtures("fake")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.png", "sub/c.png"):
        save(tmp_path / "D" / name)
    return tmp_path


def named(stderr: str, start: str) -> list[str]:
    return [line.strip() for line in stderr.splitlines() if line.strip().startswith(start)]


# Results are no inputs


@pytest.mark.parametrize("second", ["D/again", "again"])
def test_results_beside_the_photographs_are_recognised(photos, second):
    (photos / "D" / "b.png").rename(photos / "D" / "b.jpeg")
    (photos / "D" / "sub" / "c.png").rename(photos / "D" / "sub" / "c.tif")
    for _ in range(2):
        assert run("segment", "D", "--out", "D", "--steps", "--format", "labels,coco,panoptic").exit_code == 0
    result = run("segment", "D", "--out", second)
    assert result.exit_code == 0
    assert files(photos / second) == results_of("a", "b", "sub/c")
    assert "Note: D: passed over 9 .json, 1 .jsonl, 12 results of esam-fast\n" in result.stderr


def test_a_second_folder_of_results_inside(photos):
    for out in ("D/r1", "D/r2", "D/sub/r3"):
        assert run("segment", "D", "--out", out).exit_code == 0
        assert files(photos / out) == results_of("a", "b", "sub/c")
        assert json.loads((photos / out / "run.json").read_text())["inputs_inside"] is False


def test_results_moved_elsewhere_are_recognised(photos):
    run("segment", "D", "--out", "out")
    (photos / "out").rename(photos / "D" / "sub" / "old")
    (photos / "D" / "sub" / "old" / "sub" / "c_overlay.jpg").rename(photos / "D" / "holiday.jpg")
    result = run("segment", "D", "--out", "new")
    assert files(photos / "new") == results_of("a", "b", "sub/c")
    assert f"Note: {Path('D/sub/old')}: passed over, since it is a folder of results" in result.stderr
    assert "passed over 1 results of esam-fast" in result.stderr


def test_results_given_as_files_are_passed_over(photos):
    run("segment", "D/a.jpg", "--out", "D")
    result = run("segment", "D/*.[jp][pn]g", "D/a_overlay.jpg", "--out", "new")
    assert f"Note: {Path('D/a_overlay.jpg')}: passed over, since it is a result of esam-fast" in result.stderr
    assert files(photos / "new") == results_of("a", "b")


def test_photographs_beside_their_results_are_no_results(photos):
    assert run("segment", "D/a.jpg", "--out", "D").exit_code == 0
    assert json.loads(Path("D/run.json").read_text())["inputs_inside"] is True
    assert run("segment", "D", "--out", "new").exit_code == 0
    assert files(photos / "new") == results_of("a", "b", "sub/c")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_mark_changes_no_pixel(tmp_path, suffix):
    path = Path(save(tmp_path / f"a{suffix}"))
    before = np.asarray(Image.open(path))
    assert not is_result(path)
    path.write_bytes(marked(path.read_bytes()))
    assert is_result(path)
    assert np.array_equal(np.asarray(Image.open(path)), before)
    assert marked(b"[1, 2]") == b"[1, 2]"


def test_run_json_says_what_made_the_results(photos):
    run("segment", "D/a.jpg", "--out", "out", "--set", "emr.delta=0.25")
    record = json.loads((photos / "out" / "run.json").read_text())
    assert record["program"] == "esam-fast"
    assert record["version"] == esam_fast.__version__
    assert record["segmenter"] == "fake"
    assert (record["checkpoint"], record["sha256"], record["device"], record["dtype"]) == (None, None, "cpu", "float32")
    assert record["config"]["emr"]["delta"] == 0.25


def test_run_json_knows_the_checkpoint(photos, monkeypatch):
    (photos / "w.pth").write_bytes(b"abc")
    monkeypatch.setattr(Fake, "checkpoint", photos / "w.pth", raising=False)
    run("segment", "D/a.jpg", "--out", "out")
    record = json.loads((photos / "out" / "run.json").read_text())
    assert record["checkpoint"] == str(photos / "w.pth")
    assert record["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# Names and ids


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["a.jpg", "b.jpg"], ["a", "b"]),
        (["7.jpg", "000012.png"], [7, 12]),
        (["a.jpg", "a.png"], ["a.jpg", "a.png"]),
        (["a.jpg", "x/a.jpg", "x/b.jpg"], ["a", "x/a", "x/b"]),
        (["7.jpg", "007.jpg", "8.jpg"], ["7", "007", 8]),
        (["7.jpg", "x/7.jpg"], [7, "x/7"]),
        (["a.jpg", "a.png", "a.png.tif"], ["a.jpg", "a.png", "a.png.tif"]),
        (["run.jpg", "x/run.jpg"], ["run.jpg", "x/run"]),
        (["COCO.jpg"], ["COCO.jpg"]),
        (["yolo/a.jpg", "yolo_/a.jpg", "x/yolo/a.jpg"], ["yolo_/a", "yolo__/a", "x/yolo/a"]),
        (["9" * 30 + ".jpg"], ["9" * 30]),
    ],
)
def test_names_and_ids(photos, names, ids):
    for name in names:
        save(photos / "in" / name)
    jobs = list(listing.find(["in"], "out", Teller.silent()))
    assert {job.file_name: job.image_id for job in jobs} == dict(zip(names, ids, strict=True))
    assert [job.name for job in jobs] == [str(i) if isinstance(i, str) else Path(j.path).stem for i, j in
                                          zip([job.image_id for job in jobs], jobs, strict=True)]  # fmt: skip


def test_an_image_called_run_keeps_the_runs_own_file(photos):
    save(photos / "in" / "run.jpg")
    assert run("segment", "in", "--out", "out").exit_code == 0
    assert files(photos / "out") == results_of("run.jpg")
    assert json.loads((photos / "out" / "run.json").read_text())["program"] == "esam-fast"


def test_names_with_dots_stay_inside_the_folder(photos):
    save(photos / "E" / "a.jpg")
    assert run("segment", "D/../E", "D/a.jpg", "--out", "out").exit_code == 0
    assert files(photos / "out") == results_of("D/a", "E/a")


# What is passed over, and what fails


@posix
def test_what_is_passed_over_is_told(photos):
    for name in ("x.heic", "y.HEIC", "notes.txt", ".hidden.jpg", "Makefile"):
        (photos / "D" / name).touch()
    save(photos / "elsewhere" / "d.jpg")
    (photos / "D" / "album").symlink_to(photos / "elsewhere")
    (photos / "D" / "sub" / "up").symlink_to("..")
    (photos / "D" / "sub" / "self").symlink_to(".")
    result = run("segment", "D", "--out", "out")
    assert result.exit_code == 0
    assert files(photos / "out") == results_of("a", "b", "sub/c")
    assert named(result.stderr, "Note: ") == [
        "Note: D/album: passed over, since it is a link to a folder (give that as an INPUT if it is meant)",
        "Note: D/sub/self: passed over, since it is a link to a folder above it, a loop",
        "Note: D/sub/up: passed over, since it is a link to a folder above it, a loop",
        "Note: D: passed over 2 .heic (not read here: convert to JPEG or PNG), 1 .txt, 1 hidden, 1 without suffix",
    ]


@posix
def test_each_bad_image_fails_alone(photos):
    os.mkfifo(photos / "D" / "pipe.jpg")
    (photos / "D" / "loop.jpg").symlink_to("loop.jpg")
    (photos / "D" / "gone.jpg").symlink_to("nowhere.jpg")
    (photos / "D" / "text.jpg").write_text("dear diary")
    save(photos / "D" / "black.jpg", np.zeros((8, 8, 3), np.uint8))
    result = run("segment", "D", "none.jpg", "D/loop.jpg", "--out", "out")
    assert result.exit_code == 1
    assert files(photos / "out") == results_of("a", "b", "sub/c")
    told = [line.split(":")[1].strip() for line in named(result.stderr, "Error: ")]
    assert told == [f"D/{name}.jpg" for name in ("black", "gone", "loop", "pipe", "text")] + ["none.jpg"]
    assert result.stderr.endswith("6 of 9 inputs failed\n")


def test_a_folder_that_cannot_be_listed(photos, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    result = run("segment", "D", "--out", "out")
    assert result.exit_code == 1
    assert named(result.stderr, "Error: ") == [f"Error: {Path('D/sub')}: Permission denied"]
    assert files(photos / "out") == results_of("a", "b")


@pytest.mark.parametrize("text", ["", "x" * 5000])
def test_names_of_no_file(photos, text):
    result = run("segment", text, "D/a.jpg", "--out", "out")
    assert result.exit_code == 1
    assert files(photos / "out") == results_of("a")


# Names and terminals


@posix
def test_names_reach_the_terminal_as_escapes(photos):
    save(photos / "D" / "red\x1b[31m\nand\u202e.jpg")
    (photos / "D" / "bad\x1b[2J.jpg").write_text("no image")
    (photos / "D" / "links\x07").symlink_to(".")
    result = run("segment", "D", "D\x1b]0;x\x07", "--out", "out")
    assert not {"\x1b", "\x07", "\u202e"} & set(result.stdout + result.stderr)
    assert r"D/red\x1b[31m\nand\u202e.jpg: 2 entities" in result.stdout
    assert r"Error: D/bad\x1b[2J.jpg: expected an image" in result.stderr
    assert r"Error: D\x1b]0;x\x07: no such file" in result.stderr


@posix
def test_names_reach_the_terminal_as_escapes_in_bad_usage_too(photos):
    result = run("segment", "D", "--out", "D/a.jpg/\x1b[31m")
    assert result.exit_code == 2
    assert "\x1b" not in result.output
    assert run("segment", "D", "--out", "out", "--checkpoint", "no\x1b.pth").output.count("\x1b") == 0


@posix
@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_names_that_stdout_cannot_print(photos, encoding):
    names = ["\u65e5\u672c.jpg", "z.jpg", os.fsdecode(b"caf\xe9.jpg")]
    for name in names:
        save(photos / "J" / name)
    program = (
        "import sys; sys.path[:0] = [sys.argv.pop(1), sys.argv.pop(1)]; import esam_fast, test_commands\n"
        "esam_fast.load_segmenter, esam_fast.Esam = lambda *_, **__: test_commands.Fake, test_commands.Fake\n"
        "from esam_fast.cli import main; main()"
    )
    command = [sys.executable, "-c", program, *map(str, Path(__file__).parents[:2]), "segment", "J", "--out", "out"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path(esam_fast.__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
    assert len(files(photos / "out")) == 9
    assert b"caf\\udce9.jpg" in done.stdout
    assert (b"\\u65e5\\u672c.jpg" if encoding != "utf-8" else "\u65e5\u672c.jpg".encode()) in done.stdout


# Writing


@posix
def test_a_name_too_long_for_all_results_leaves_none(photos):
    save(photos / "D" / ("n" * 248 + ".jpg"))
    result = run("segment", "D", "--out", "out", "--segmenter", "vit_b")
    assert result.exit_code == 1
    assert files(photos / "out") == results_of("a", "b", "sub/c")
    assert "nnn_overlay.jpg: File name too long" in result.stderr


def test_a_result_that_is_a_folder_leaves_none(photos):
    (photos / "out" / "a_overlay.jpg").mkdir(parents=True)
    result = run("segment", "D/a.jpg", "--out", "out", "--segmenter", "vit_b")
    assert result.exit_code == 1
    assert "a_overlay.jpg: expected a file, got a folder" in result.stderr
    assert files(photos / "out") == set()


@posix
def test_what_killed_runs_left_is_cleared_away(photos):
    left = photos / "out" / "sub" / ".0123456789abcdef.tmp"
    left.parent.mkdir(parents=True)
    left.touch()
    (photos / "out" / ".mine.tmp").touch()
    assert run("segment", "D/a.jpg", "--out", "out").exit_code == 0
    assert files(photos / "out") == results_of("a") | {".mine.tmp"}


# Dark images


def test_dark_images_are_told_and_stretched(photos):
    values = np.random.default_rng(0).integers(0, 4096, (60, 60)).astype(np.uint16)
    Image.fromarray(values).save("D/dark.png")
    result = run("segment", "D/dark.png", "D/a.jpg", "--out", "out")
    assert result.exit_code == 0
    (told,) = named(result.stderr, "Warning: ")
    assert told.startswith(f"Warning: {Path('D/dark.png')}: nearly black, since its 16-bit values reach only 40")
    assert "--stretch" in told
    result = run("segment", "D/dark.png", "--out", "out2", "--stretch")
    assert "Warning" not in result.stderr
    assert json.loads(Path("out2/run.json").read_text())["stretch"] is True
    assert (
        np.asarray(Image.open("out2/dark_overlay.jpg")).mean()
        > 1.5 * np.asarray(Image.open("out/dark_overlay.jpg")).mean()
    )
