"""The journal that a killed run leaves behind: whose it is, who may write it, and what it may hold."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from test_eval_commands import DRIVER, arguments, drive, painted
from waiting import PATIENCE

from esam_fast.evaluate.journal import Journal, JournalError

assert painted  # a fixture


def test_a_journal_goes_on_where_it_was(tmp_path):
    path = tmp_path / "x.jsonl"
    for key, known in (("a", []), ("b", ["a"]), ("c", ["a", "b"])):
        book = Journal(path, {"run": 1, "config": (1, 2)})
        assert [k for k in "abc" if book.find(k, 7) == [k]] == known
        book.add(key, 7, [key])
        book.close()
        with path.open("ab") as file:
            file.write(b'{"key": "torn", "val')  # killed while it wrote
    Journal(path, {"run": 1, "config": (1, 2)}).close()
    assert path.read_bytes().endswith(b'"value": ["c"]}\n')


def test_work_on_another_source_is_done_again(tmp_path):
    path = tmp_path / "x.jsonl"
    book = Journal(path, {})
    book.add("a", {"sha256": "1"}, "old")
    assert book.find("a", {"sha256": "2"}) is None
    book.add("a", {"sha256": "2"}, "new")
    book.close()
    book = Journal(path, {})
    assert (book.find("a", {"sha256": "2"}), book.find("a", {"sha256": "1"})) == ("new", None)
    book.close()


def test_a_journal_in_memory(tmp_path):
    book = Journal(None, {})
    book.add("a", 1, "value")
    assert book.find("a", 1) == "value"
    book.close()
    assert list(tmp_path.iterdir()) == []


def test_a_journal_of_another_run_is_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    Journal(path, {"run": 1, "config": 2}).close()
    with pytest.raises(JournalError, match=r"another run \(other config\); remove it"):
        Journal(path, {"run": 1, "config": 3})
    path.write_text("torn before its first line ended")
    Journal(path, {"run": 1}).close()
    assert path.read_text() == '{"run": 1}\n'


def test_two_writers_are_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    first = Journal(path, {"run": 1})
    with pytest.raises(JournalError, match=r"x\.jsonl: another run is writing it"):
        Journal(path, {"run": 1})
    first.add("a", 1, 2)
    first.close()
    second = Journal(path, {"run": 1})
    assert second.find("a", 1) == 2
    second.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hello\n", "not a journal of predictions; choose another --json"),
        ("[1]\n", "not a journal"),
        ('{"run": 1}\n\n', "damaged: line 2"),
        ('{"run": 1}\n{"key": 1}\n', "damaged: line 2"),
        ('{"run": 1}\n{"key": [], "source": 1, "value": 1}\n', "damaged: line 2"),
        ('{"run": 1}\n{"key": "a", "source": 1, "value": NaN}\n', "damaged: line 2"),
        ('{"run": 1}\n' + "[" * 100_000 + "\n", "damaged: line 2"),
        ('{"run": 1}\n\0\0\0\n{"key": "a", "source": 1, "value": 1}\n', "damaged: line 2"),
    ],
)
def test_what_is_no_journal(tmp_path, content, message):
    path = tmp_path / "x.jsonl"
    path.write_text(content)
    with pytest.raises(JournalError, match=message):
        Journal(path, {"run": 1})
    assert path.read_text() == content
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="expected a regular file, got a folder"):
        Journal(tmp_path / "folder", {"run": 1})


# -- whole runs


def one_done(folder, out, *more):
    """Run eval, and return its report."""
    done = drive(*arguments(folder, "eval", out, *more))
    assert done.returncode == 0, done.stderr
    return json.loads((folder / out).read_text())


def test_a_run_goes_on_with_more_images(painted):
    one_done(painted, "a.json", "--limit", "2")
    before = (painted / "a.predictions.jsonl").read_bytes()
    assert one_done(painted, "a.json")["images"] == 6
    assert (painted / "a.predictions.jsonl").read_bytes().startswith(before)


def test_other_annotations_of_the_same_name_are_refused(painted):
    one_done(painted, "a.json")
    Image.fromarray(np.kron([[1, 2], [3, 4]], np.ones((30, 45))).astype(np.uint16)).save(painted / "labels" / "0_0.png")
    other = drive(*arguments(painted, "eval", "a.json"))
    assert other.returncode == 1
    assert "predictions of another run (other annotations)" in other.stderr


def test_images_that_changed_are_predicted_again(painted):
    right = one_done(painted, "right.json")
    blank = Image.new("RGB", (90, 60))
    originals = {path: path.read_bytes() for path in (painted / "images").iterdir()}
    for path in originals:
        blank.save(path)
    wrong = one_done(painted, "a.json")
    assert wrong["AP"] < right["AP"]
    for path, content in originals.items():
        path.write_bytes(content)
    assert one_done(painted, "a.json") == right


def test_two_runs_at_once(painted):
    (painted / "a.json").unlink(missing_ok=True)
    held = Journal(painted / "a.predictions.jsonl", {})
    second = drive(*arguments(painted, "eval", "a.json"))
    held.close()
    assert second.returncode == 1
    assert "another run is writing it" in second.stderr
    assert not (painted / "a.json").exists()


def test_damaged_predictions_are_refused(painted):
    one_done(painted, "a.json", "--limit", "1")
    path = painted / "a.predictions.jsonl"
    lines = path.read_text().splitlines()
    for damage in (
        lambda found: found["scores"].pop(),
        lambda found: found["counts"].append("12 5 8"),
        lambda found: found["counts"].__setitem__(0, found["counts"][0][: len(found["counts"][0]) // 2]),
        lambda found: found["scores"].__setitem__(0, "high"),
        lambda found: found.pop("counts"),
        lambda found: found.__setitem__("counts", 7),
    ):
        header, entry = map(json.loads, lines)
        damage(entry["value"]["found"]["esam"])
        path.write_text(f"{json.dumps(header)}\n{json.dumps(entry)}\n")
        done = drive(*arguments(painted, "eval", "a.json", "--limit", "1"))
        assert done.returncode == 1
        assert "a.predictions.jsonl: damaged: the predictions 0/0" in done.stderr
        assert "remove it, or choose another --json" in done.stderr


def test_without_json_nothing_is_kept(painted):
    truth = ["--annotations", str(painted / "labels"), "--images", str(painted / "images"), "--limit", "1"]
    before = sorted(painted.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, "eval", *truth], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert "| esam |" in done.stdout
    assert sorted(painted.rglob("*")) == before
