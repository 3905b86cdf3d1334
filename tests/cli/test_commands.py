"""The command line: what is written where, what each mistake says, and that no file is lost."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from entity_maps import FullDisk, entity_map, stages
from PIL import Image
from scene import scene

import esam_fast
from esam_fast import EsamConfig, _files
from esam_fast.cli import main
from esam_fast.cli.overrides import field_types, with_overrides

PHOTO = scene(96, 64)
RESULTS = [".png", ".json", "_overlay.jpg"]


class Fake:
    """Stands in for both segmenter and pipeline: every image has a left and a right entity."""

    name = "fake"
    last: Fake

    def __init__(self, segmenter, config, backend):
        self.segmenter, self.config, self.backend = segmenter, config, backend
        Fake.last = self

    def segment(self, image, *, keep_stages=False):
        if image.max() == 0:
            raise ValueError("segmenter 'fake': scores must be finite, got NaN or infinity")
        labels = np.ones(image.shape[:2], np.int32)
        labels[:, labels.shape[1] // 2 :] = 2
        labels[:8] = 0
        entities = entity_map(labels)
        return dataclasses.replace(entities, stages=stages()) if keep_stages else entities


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(esam_fast, "load_segmenter", lambda *_, **__: Fake)
    monkeypatch.setattr(esam_fast, "Esam", Fake)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder `in` with photos in it and below, other files and hidden ones; the current folder is its parent."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.JPG", "sub/a.png", "sub/deep/c.tif", ".hidden.png", ".cache/d.png"):
        save(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("not a photo")
    return tmp_path


def save(path: Path, pixels: np.ndarray = PHOTO) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return str(path)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def files(folder: Path) -> set[str]:
    """All files but the run's own."""
    own = {"run.json", "coco.json", "panoptic.json", "manifest.jsonl"}
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - own


def results_of(*stems: str, suffixes=RESULTS) -> set[str]:
    return {stem + suffix for stem in stems for suffix in suffixes}


# Start


def test_help_imports_nothing_heavy():
    program = "import sys, esam_fast.cli; print({'numpy', 'cv2', 'numba', 'PIL', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("command", [[], ["segment"], ["demo"], ["info"]])
def test_help(command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")


def test_version():
    assert esam_fast.__version__ in run("--version").output


# Results


@pytest.mark.usefixtures("fake")
def test_one_photo(tmp_path):
    result = run("segment", save(tmp_path / "000042.png"), "--out", tmp_path / "new" / "out", "--segmenter", "vit_b")
    assert result.exit_code == 0
    assert files(tmp_path / "new" / "out") == results_of("000042")
    out = tmp_path / "new" / "out"
    labels = np.asarray(Image.open(out / "000042.png"))
    assert labels.dtype == np.uint16
    assert set(np.unique(labels)) == {0, 1, 2}
    records = json.loads((out / "000042.json").read_text())
    assert [r["image_id"] for r in records] == [42, 42]
    assert size_of(out / "000042_overlay.jpg") == (96, 64)
    line = rf"{tmp_path}/000042\.png: 2 entities, 87\.5% covered, [0-9.]+ s -> {out}/000042_overlay\.jpg\n"
    assert re.fullmatch(line, result.stdout)
    assert result.stderr == ""


@pytest.mark.usefixtures("fake")
def test_image_id_is_the_stem(tmp_path):
    run("segment", save(tmp_path / "dog.v2.png"), "--out", tmp_path / "out")
    assert files(tmp_path / "out") == results_of("dog.v2")
    assert json.loads((tmp_path / "out" / "dog.v2.json").read_text())[0]["image_id"] == "dog.v2"


@pytest.mark.usefixtures("fake")
def test_exif_rotation_is_in_the_results(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg", exif=exif)
    run("segment", tmp_path / "a.jpg", "--out", tmp_path / "out")
    assert size_of(tmp_path / "out" / "a.png") == (64, 96)
    assert json.loads((tmp_path / "out" / "a.json").read_text())[0]["segmentation"]["size"] == [96, 64]


@pytest.mark.usefixtures("fake")
def test_steps_and_panoptic(tmp_path):
    formats = ["--format", "labels,coco,panoptic"]
    result = run("segment", save(tmp_path / "a.png"), "--out", tmp_path / "out", "--steps", *formats, "--ids")
    assert result.exit_code == 0
    more = {"panoptic/a.png", "panoptic/a.json"}
    assert files(tmp_path / "out") == results_of("a", suffixes=[*RESULTS, "_steps.jpg"]) | more


@pytest.mark.usefixtures("fake")
def test_a_folder_keeps_its_shape(photos):
    result = run("segment", "in", "--out", "out")
    assert result.exit_code == 0
    assert files(photos / "out") == results_of("a", "b", "sub/a", "sub/deep/c")
    assert len(result.stdout.splitlines()) == 4


@pytest.mark.usefixtures("fake")
def test_results_inside_the_folder_are_not_taken_for_photos(photos):
    for _ in range(2):
        assert run("segment", "in", "--out", "in/out").exit_code == 0
        assert files(photos / "in" / "out") == results_of("a", "b", "sub/a", "sub/deep/c")


@pytest.mark.usefixtures("fake")
def test_glob(photos):
    assert run("segment", "in/**/*.tif", "in/b.*", "--out", "out").exit_code == 0
    assert files(photos / "out") == results_of("c", "b")


@pytest.mark.usefixtures("fake")
def test_a_file_whose_name_looks_like_a_pattern(tmp_path):
    assert run("segment", save(tmp_path / "a[1].png"), "--out", tmp_path / "out").exit_code == 0
    assert files(tmp_path / "out") == results_of("a[1]")


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    "inputs", [["in/a.png", "in/sub/a.png"], ["in/sub/a.png", "in/a.png"], ["in/**/a.png"], ["in/a.png", "in/sub"]]
)
def test_same_name_in_different_folders(photos, inputs):
    assert run("segment", *inputs, "--out", "out").exit_code == 0
    expected = results_of("a", "sub/a") | (results_of("sub/deep/c") if "in/sub" in inputs else set())
    assert files(photos / "out") == expected


@pytest.mark.usefixtures("fake")
def test_same_name_in_two_folders_given(photos):
    save(photos / "more" / "a.png")
    assert run("segment", "in/sub", "more", "--out", "out").exit_code == 0
    assert files(photos / "out") == results_of("in/sub/a", "in/sub/deep/c", "more/a")


@pytest.mark.usefixtures("fake")
def test_same_name_with_different_suffix(tmp_path):
    inputs = [save(tmp_path / name) for name in ("a.png", "a.jpg", "b.jpg")]
    assert run("segment", *inputs, "--out", tmp_path / "out").exit_code == 0
    assert files(tmp_path / "out") == results_of("a.png", "a.jpg", "b")


@pytest.mark.usefixtures("fake")
def test_an_input_given_twice_is_done_once(photos):
    result = run("segment", "in/a.png", "in/../in/a.png", photos / "in" / "a.png", "--out", "out")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 1
    assert files(photos / "out") == results_of("a")


@pytest.mark.usefixtures("fake")
def test_names_that_look_like_others_results(tmp_path):
    inputs = [save(tmp_path / name) for name in ("a.png", "a.jpg", "a.png.tif")]
    assert run("segment", *inputs, "--out", tmp_path / "out").exit_code == 0
    assert files(tmp_path / "out") == results_of("a.png", "a.jpg", "a.png.tif")


@pytest.mark.usefixtures("fake")
def test_a_result_never_replaces_an_input(photos):
    before = (photos / "in" / "a.png").read_bytes()
    result = run("segment", "in", "--out", "in")
    assert result.exit_code == 2
    assert re.search(r"in/a\.png is an input and would be replaced; choose another folder for --out", result.stderr)
    assert (photos / "in" / "a.png").read_bytes() == before


@pytest.mark.usefixtures("fake")
def test_progress_bar_only_for_more_than_one(photos):
    assert "image/s" not in run("segment", "in/a.png", "--out", "out").stderr
    assert "4/4" in run("segment", "in", "--out", "out").stderr


# Inputs that fail


@pytest.mark.usefixtures("fake")
def test_bad_inputs_are_named_and_the_others_done(photos):
    (photos / "text.jpg").write_text("dear diary, nothing happened today")
    (photos / "empty").mkdir()
    save(photos / "black.png", np.zeros_like(PHOTO))
    result = run("segment", "text.jpg", "in/a.png", "no.jpg", "empty", "*.gif", "black.png", "in/b.JPG", "--out", "out")
    assert result.exit_code == 1
    assert files(photos / "out") == results_of("a", "b")
    errors = [line.strip() for line in result.stderr.splitlines() if line.startswith("Error")]
    assert errors == [
        "Error: empty: expected images, got a folder without any",
        "Error: *.gif: expected images, got a pattern that matches no file",
        "Error: text.jpg: expected an image (JPEG, PNG, TIFF, WEBP, BMP, GIF, PPM, JPEG2000, AVIF), "
        "got a file of another kind",
        "Error: no.jpg: no such file",
        "Error: black.png: segmenter 'fake': scores must be finite, got NaN or infinity",
    ]
    assert result.stderr.endswith("5 of 7 inputs failed\n")
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("fake")
def test_nothing_to_do(tmp_path):
    result = run("segment", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert f"Error: {tmp_path}: expected images, got a folder without any" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("fake")
def test_disk_full(tmp_path, monkeypatch):
    locked = _files.locked
    monkeypatch.setattr(_files, "locked", FullDisk)
    result = run("segment", save(tmp_path / "a.png"), "--out", tmp_path / "out", "--segmenter", "vit_b")
    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path}/out/run.json: No space left on device\n"
    full = {"a.png", "a.json", "a_overlay.jpg"}
    temporary = {f".{hashlib.sha256(name.encode()).hexdigest()[:16]}.tmp" for name in full}
    monkeypatch.setattr(_files, "locked", lambda path: (FullDisk if path.name in temporary else locked)(path))
    result = run("segment", save(tmp_path / "a.png"), "--out", tmp_path / "out", "--segmenter", "vit_b")
    assert result.exit_code == 1
    line = f"Error: {tmp_path}/a.png: {tmp_path}/out/a.png: No space left on device\n"
    assert result.stderr == line + "1 of 1 inputs failed\n"
    assert files(tmp_path / "out") == set()


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("command", ["segment", "demo"])
def test_out_is_a_file(tmp_path, command):
    (tmp_path / "out").write_text("precious")
    inputs = [save(tmp_path / "a.png")] if command == "segment" else []
    result = run(command, *inputs, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert re.search(r"Invalid value for '--out': Directory '.*out' is a file", result.stderr)
    assert (tmp_path / "out").read_text() == "precious"


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("command", ["segment", "demo"])
def test_out_is_below_a_file(tmp_path, command):
    photo = save(tmp_path / "a.png")
    result = run(command, *([photo] if command == "segment" else []), "--out", tmp_path / "a.png" / "out")
    assert result.exit_code == 2
    assert re.search(r"--out: cannot make the folder .*out: Not a directory", result.stderr)


@pytest.mark.usefixtures("fake")
def test_out_cannot_be_made(tmp_path, monkeypatch):
    def refuse(path, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    result = run("demo", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert f"Error: --out: cannot make the folder {tmp_path}/out: Permission denied\n" in result.stderr


@pytest.mark.usefixtures("fake")
def test_out_cannot_be_written_to(tmp_path, monkeypatch):
    photo = save(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    result = run("segment", photo, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert f"Invalid value for '--out': Directory '{tmp_path}/out' is not writable.\n" in result.stderr


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("option", "message"), [("--overlap", "--overlap needs --tile"), ("--ray-actors", "--ray-actors needs --ray")]
)
def test_options_of_other_options(tmp_path, option, message):
    result = run("segment", save(tmp_path / "a.png"), "--out", tmp_path / "out", option, 64)
    assert (result.exit_code, f"Error: {message}\n" in result.stderr) == (2, True)


@pytest.mark.usefixtures("fake")
def test_debug_shows_the_error_itself(tmp_path):
    photo = save(tmp_path / "black.png", np.zeros_like(PHOTO))
    assert isinstance(run("segment", photo, "--out", tmp_path / "out").exception, SystemExit)
    assert isinstance(run("segment", photo, "--out", tmp_path / "out", "--debug").exception, ValueError)


# Options


def test_missing_arguments():
    assert run("segment", "--out", "x").exit_code == 2
    assert run("segment").exit_code == 2
    assert run("segment", "x.jpg", "--out", "x", "--checkpoint", "no.pth").exit_code == 2
    assert run("segment", "x.jpg", "--out", "x", "--threads", "0").exit_code == 2
    assert run("nonsense").exit_code == 2


def test_unknown_segmenter(tmp_path):
    result = run("segment", save(tmp_path / "a.png"), "--out", tmp_path / "out", "--segmenter", "tuna")
    assert result.exit_code == 2
    assert "Error: --segmenter tuna: name must be one of auto, regions" in result.stderr
    assert not (tmp_path / "out").exists()


def test_backend_that_is_not_here(tmp_path):
    asked = ["--segmenter", "regions", "--backend", "cuda"]
    result = run("segment", save(tmp_path / "a.png"), "--out", tmp_path / "out", *asked)
    assert result.exit_code == 2
    assert "backend 'cuda' is not available here; available: " in result.stderr


@pytest.mark.usefixtures("fake")
def test_settings_backend_and_threads_arrive(tmp_path):
    before = esam_fast.get_num_threads()
    try:
        options = ["--set", "emr.delta=0.25", "--set", "min_area=3", "--backend", "numba", "--threads", "1"]
        assert run("segment", save(tmp_path / "a.png"), "--out", tmp_path / "out", *options).exit_code == 0
        assert Fake.last.config == dataclasses.replace(
            EsamConfig(), emr=dataclasses.replace(EsamConfig().emr, delta=0.25), min_area=3
        )
        assert Fake.last.backend == "numba"
        assert esam_fast.get_num_threads() == 1
    finally:
        esam_fast.set_num_threads(before)


@pytest.mark.usefixtures("fake")
def test_wrong_setting_lists_the_right_ones(tmp_path):
    result = run("segment", save(tmp_path / "a.png"), "--out", tmp_path / "out", "--set", "emr.dleta=0.1")
    assert result.exit_code == 2
    assert "Invalid value for '--set': there is no setting 'emr.dleta'. Did you mean emr.delta?" in result.stderr
    for name in field_types(EsamConfig):
        assert name in result.stderr
    assert not (tmp_path / "out").exists()


def value_of(config, name):
    for part in name.split("."):
        config = getattr(config, part)
    return config


@pytest.mark.parametrize("name", field_types(EsamConfig))
def test_every_field_can_be_set(name):
    config = EsamConfig()
    default = value_of(config, name)
    if isinstance(default, bool):
        text, expected = "False", False
    elif isinstance(default, int):
        text, expected = str(default + 1), default + 1
    elif isinstance(default, str):
        text, expected = "slic", "slic"
    else:
        text, expected = "0.625", 0.625
    changed = with_overrides(config, [f"{name}={text}"])
    assert value_of(changed, name) == expected
    assert type(value_of(changed, name)) is type(expected)
    others = [other for other in field_types(EsamConfig) if other != name]
    assert [value_of(changed, o) for o in others] == [value_of(config, o) for o in others]


def test_none_and_the_last_of_two():
    config = with_overrides(EsamConfig(), ["mmg.score_threshold=0.3", "emr.tau=1", "mmg.score_threshold=None"])
    assert config.mmg.score_threshold is None
    assert config.emr.tau == 1.0


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("emr.delta", "expected NAME=VALUE, got 'emr.delta'"),
        ("delta=1", "there is no setting 'delta'. Did you mean emr.delta?"),
        ("emr=1", "'emr' is a group of settings: emr.enabled, emr.points_per_side, "),
        ("usr.theta_o=1", "there is no setting 'usr.theta_o'. Did you mean "),
        ("emr.delta=much", "emr.delta must be a number, got 'much'"),
        ("emr.top_k=1.5", "emr.top_k must be a whole number, got '1.5'"),
        ("emr.enabled=perhaps", "emr.enabled must be true or false, got 'perhaps'"),
        ("mmg.score_threshold=", "mmg.score_threshold must be a number or none, got ''"),
        ("emr.delta=3", "emr.delta must lie in [0, 1], got 3.0"),
        ("emr.delta=nan", "emr.delta must lie in [0, 1], got nan"),
        ("superpixels.method=tiles", "superpixels.method must be one of felzenszwalb, slic, got 'tiles'"),
        ("min_area=-1", "min_area must be at least 0, got -1"),
    ],
)
def test_bad_settings(setting, complaint):
    with pytest.raises(click.BadParameter) as caught:
        with_overrides(EsamConfig(), [setting])
    assert complaint in caught.value.message


# The whole, with the segmenter that runs anywhere


def test_demo(tmp_path, monkeypatch):
    from esam_fast.segmenters.regions import NOTICE

    monkeypatch.chdir(tmp_path)
    result = run("demo")
    assert result.exit_code == 0, result.output
    assert results_of("coffee", suffixes=[*RESULTS, "_steps.jpg"]) <= files(tmp_path / "esam-fast-demo")
    assert result.stderr == NOTICE + "\n"
    assert "Look at esam-fast-demo/coffee_overlay.jpg" in result.stdout
    labels = np.asarray(Image.open("esam-fast-demo/coffee.png"))
    assert labels.shape == (400, 600)
    assert (labels > 0).mean() > 0.9


def test_auto_says_what_it_took(fake, tmp_path):
    photo = save(tmp_path / "a.png")
    assert "segmenter 'fake': the largest whose weights" in run("segment", photo, "--out", tmp_path / "out").stderr
    named = run("segment", photo, "--out", tmp_path / "other", "--segmenter", "vit_b")
    assert named.exit_code == 0
    assert named.stderr == ""


def test_stand_in_says_so(tmp_path):
    from esam_fast.segmenters.regions import NOTICE

    result = run("segment", save(tmp_path / "a.png"), "--out", tmp_path / "out", "--segmenter", "regions")
    assert result.exit_code == 0
    assert result.stderr == NOTICE + "\n"


def test_info():
    from esam_fast.segmenters.regions import NOTICE

    result = run("info")
    assert result.exit_code == 0
    shown = dict(re.findall(r"^([^:]+): +(.*)$", result.stdout, re.M))
    assert shown["esam-fast"] == esam_fast.__version__
    assert shown["backends"] == ", ".join(esam_fast.build_info()["backends"])
    assert shown["numpy"] == np.__version__
    assert "regions" in shown["segmenters"]
    assert {"simd", "threads", "cuda built", "torch", "opencv", "python", "weights"} <= set(shown)
    assert NOTICE in result.stdout
