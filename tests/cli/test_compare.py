"""`esam-fast compare`: two settings on one embedding, what is printed and written, and what each mistake says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

import esam_fast
from esam_fast import Esam, EsamConfig, load_image, load_segmenter
from esam_fast.changes import changes
from esam_fast.cli import main
from esam_fast.cli.demo import PHOTO
from esam_fast.config import MmgConfig


class Counting:
    """The regions segmenter, which counts what it is asked."""

    def __init__(self) -> None:
        self.inner = load_segmenter("regions")
        self.name, self.score_threshold = self.inner.name, self.inner.score_threshold
        self.stability_threshold = self.inner.stability_threshold
        self.embedded, self.points = 0, []

    def embed(self, image):
        self.embedded += 1
        return self.inner.embed(image)

    def masks(self, embedding, points, *, min_score=None):
        self.points += map(tuple, points.tolist())
        return self.inner.masks(embedding, points)

    def logits(self, embedding, points, channels):
        return self.inner.logits(embedding, points, channels)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.open(PHOTO).resize((300, 200)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_two_settings_on_one_embedding(photo, tmp_path, monkeypatch):
    counting = Counting()
    monkeypatch.setattr(esam_fast, "load_segmenter", lambda *_, **__: counting)
    out = tmp_path / "new" / "out"
    done = run(photo, "--a", "usr.enabled=false", "--b", "mmg.score_threshold=0.75, usr.enabled=false", "--out", out)
    assert done.exit_code == 0, done.output
    assert counting.embedded == 1
    assert len(set(counting.points)) == len(counting.points) >= 1024

    off = esam_fast.UsrConfig(enabled=False)
    a, b = (
        Esam(counting.inner, EsamConfig(MmgConfig(score_threshold=floor), usr=off)).segment(load_image(photo))
        for floor in (None, 0.75)
    )
    assert 0 < len(b) < len(a)
    found = changes(a.labels, b.labels)
    assert f"a: {a}, usr.enabled=false\n" in done.stdout
    assert f"b: {b}, mmg.score_threshold=0.75, usr.enabled=false\n" in done.stdout
    assert f"{len(found.split)} split, {len(found.merged)} merged, {len(found.came)} came, " in done.stdout
    assert f"{len(found.went)} went, {len(found.resized)} resized, {len(found.kept)} kept\n" in done.stdout
    assert f"Open {out / 'compare.html'}\n" in done.stdout
    assert "usr.enabled=false" in (out / "report" / "compare" / "data.js").read_text()
    assert json.loads((out / "run.json").read_text())["b"].startswith("mmg.score_threshold")


def test_a_side_left_out_has_the_defaults_and_set_holds_for_both(photo, tmp_path):
    few = ["--segmenter", "regions", "--set", "mmg.points_per_side=8", "--out", tmp_path / "out"]
    done = run(photo, *few, "--b", "usr.enabled=false")
    assert done.exit_code == 0, done.output
    names = [line.rpartition("covered), ")[2] for line in done.stdout.splitlines()[:2]]
    assert names == ["mmg.points_per_side=8", "mmg.points_per_side=8, usr.enabled=false"]


def test_a_side_given_twice_has_both_settings(photo, tmp_path):
    few = ["--segmenter", "regions", "--set", "mmg.points_per_side=8", "--out", tmp_path / "out"]
    done = run(photo, *few, "--b", "usr.enabled=false", "--b", "emr.delta=0.2")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1].endswith("mmg.points_per_side=8, usr.enabled=false, emr.delta=0.2")
    assert json.loads((tmp_path / "out" / "run.json").read_text())["b"] == "usr.enabled=false,emr.delta=0.2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--a and --b must differ, got the same settings"),
        (["--a", "emr.delta=0.05"], "--a and --b must differ"),  # the default
        (["--a", "emr.dleta=0.1"], "'--a': there is no setting 'emr.dleta'. Did you mean emr.delta?"),
        (["--b", "emr.delta"], "'--b': expected NAME=VALUE, got 'emr.delta'"),
        (["--b", "emr.delta=much"], "'--b': emr.delta must be a number, got 'much'"),
    ],
)
def test_bad_usage(photo, tmp_path, arguments, message):
    done = run(photo, "--segmenter", "regions", "--out", tmp_path / "out", *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()


def test_an_image_that_cannot_be_read(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    done = run(tmp_path / "broken.png", "--segmenter", "regions", "--b", "usr.enabled=false", "--out", tmp_path / "o")
    assert done.exit_code == 1
    assert "broken.png" in done.output
    assert not (tmp_path / "o" / "compare.html").exists()
