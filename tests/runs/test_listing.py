"""Which images a run finds, in which order, and what it says of the others."""

from __future__ import annotations

import hashlib
import io
import os
import sys
from pathlib import Path

import pytest

from esam_fast.runs import listing
from esam_fast.runs.listing import Refused, Shard
from esam_fast.runs.names import Namer
from esam_fast.runs.walk import Teller

posix = pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a.jpg", "c/z.jpg", "c/y/x.jpg", "a.b/q.jpg"):
        touch(name)
    return tmp_path


def touch(name: str) -> None:
    path = Path("in", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def found(*inputs: str, **options):
    failed, noted = [], []
    jobs = list(listing.find(inputs, "out", Teller(failed.append, noted.append), **options))
    return [job.file_name for job in jobs], failed, noted


def test_folder_by_folder(tree):
    assert found("in") == (["a.jpg", "b.jpg", "a.b/q.jpg", "c/z.jpg", "c/y/x.jpg"], [], [])


def test_the_first_image_is_there_before_the_last_folder_is_read(tree, monkeypatch):
    read = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (read.append(str(path)), scandir(path))[1])
    jobs = listing.find(["in"], "out", Teller.silent())
    assert next(jobs).path == os.path.join("in", "a.jpg")
    assert read == ["in"]


def test_files_that_vanish_in_between_are_given(tree):
    jobs = listing.find(["in"], "out", Teller.silent())
    next(jobs)
    os.remove("in/b.jpg")
    os.remove("in/c/z.jpg")
    assert [job.file_name for job in jobs] == ["b.jpg", "a.b/q.jpg", "c/y/x.jpg"]  # b.jpg fails when it is opened


@posix
def test_loops_of_links_are_named_and_end(tree):
    Path("in/c/up").symlink_to("..")
    Path("in/c/other").symlink_to("/")
    names, failed, noted = found("in")
    assert len(names) == 5
    assert failed == []
    assert noted == [
        "in/c/other: passed over, since it is a link to a folder above it, a loop",
        "in/c/up: passed over, since it is a link to a folder above it, a loop",
    ]


def test_shards_are_a_partition_by_the_hash_of_the_name(tree):
    shards = [found("in", shard=Shard(k, 3))[0] for k in range(3)]
    assert sorted(shards[0] + shards[1] + shards[2]) == sorted(found("in")[0])
    for k, names in enumerate(shards):
        assert all(int(hashlib.sha256(name.encode()).hexdigest(), 16) % 3 == k for name in names)


@pytest.mark.parametrize("text", ["3/3", "1", "-1/2", "1/0", "a/b", "1/2/3", "", "0/100000"])
def test_shards_that_are_none(text):
    with pytest.raises(ValueError, match="expected I/N with I from 0 to N - 1, and N below 100,000, got "):
        Shard.parse(text)
    assert Shard.parse("0/1") == (0, 1)


def test_a_list_relative_to_a_folder(tree):
    Path("list").write_text("in/c/y/x.jpg\n\nin/a.jpg\r\nelsewhere.jpg\n")
    names, failed, _ = found("in", listed="list")
    assert names == ["c/y/x.jpg", "a.jpg"]
    assert failed == [f"{tree}/elsewhere.jpg: expected a file in {tree}/in, to which names are relative"]


def test_a_list_by_itself_is_relative_to_what_its_paths_share(tree):
    Path("list").write_text(f"in/c/y/x.jpg\n{tree}/in/a.jpg\nin/none.jpg\n")
    assert found(listed="list") == (["c/y/x.jpg", "a.jpg", "none.jpg"], [], [])
    Path("list").write_text("in/c/y/x.jpg\n")
    assert found(listed="list")[0] == ["x.jpg"]


def test_a_list_gives_the_names_that_the_folder_gives(tree):
    for name in ("a.png", "c/7.jpg", "7.jpg", "007.jpg"):
        touch(name)
    whole = {job.path: job for job in listing.find([str(tree / "in")], "out", Teller.silent())}
    Path("list").write_text("\n".join(sorted(whole, reverse=True)))
    listed = {job.path: job for job in listing.find([str(tree / "in")], "out", Teller.silent(), listed="list")}
    assert listed == whole
    assert {job.name for job in whole.values()} >= {"a.jpg", "a.png", "b", "c/7"}
    assert {job.image_id for job in whole.values()} >= {"7", "007", "c/7"}


def test_no_two_results_are_one_where_case_or_composition_does_not_count():
    files = ["a.jpg", "A.png", "caf\u00e9.jpg", "cafe\u0301.png", "b.jpg"]
    names = [job.name for job in Namer("", files, lambda file: os.path.join("nowhere", file))]
    assert names == [*files[:4], "b"]


def test_a_list_from_stdin(tree, monkeypatch):
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    def give(text: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Pipe(text)))

    give(b"in/c/z.jpg\nin/a.jpg\n")
    assert found(listed="-")[0] == ["c/z.jpg", "a.jpg"]
    give(b"in/c/z.jpg\nin/a.jpg\n")
    assert found("in", listed="-")[0] == ["c/z.jpg", "a.jpg"]
    give(b"")
    assert found(listed="-") == ([], ["--files-from -: expected paths, got an empty list"], [])


def test_a_list_that_is_not_there(tree):
    with pytest.raises(Refused, match="--files-from none: No such file"):
        found(listed="none")


@pytest.mark.parametrize("text", ["https://example.org/a.jpg", "s3://bucket/a", "file:///tmp/a.jpg"])
def test_addresses_are_refused(tree, text):
    refused = "expected a file or a folder, got an address; download it first, or use esam_fast.cluster"
    assert found(text)[1] == [f"{text}: {refused}"]


def test_about_how_many(tree):
    Path("list").write_text("a\n\nb\n")
    assert listing.count(["in"], "out") == 5
    assert listing.count(["in/*.jpg", "in/c"], "out") == 4
    assert listing.count(["in"], "out", shard=Shard(0, 2)) == 2
    assert listing.count([], "out", listed="list") == 2
    assert listing.count([], "out", listed="-") is None


def test_a_result_is_not_to_replace_an_image_further_down(tree):
    touch("c/z.png")
    touch("c/w.png")
    jobs = listing.find(["in"], "in", Teller.silent(), writes=lambda name: [f"{name}.png"])
    assert next(jobs).name == "a"
    with pytest.raises(Refused, match=r"in/c/w\.png is an input and would be replaced"):
        list(jobs)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
def test_a_list_that_is_read_only_once_is_left_to_the_run(tree):
    os.mkfifo("pipe")
    assert listing.count(["in"], "out", listed="pipe") is None


def test_a_zero_byte_in_a_list_is_told(tree):
    Path("list").write_bytes(b"in/a.jpg\n\0.png\nin/none.jpg\n")
    told = []
    jobs = list(listing.find(["in"], "out", Teller(told.append, told.append), listed="list"))
    assert [job.file_name for job in jobs] == ["a.jpg", "none.jpg"]
    assert [line.split(",")[0] for line in told] == ["--files-from list: expected a path"]
