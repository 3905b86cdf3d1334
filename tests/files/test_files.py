"""What opening, naming, locking and writing files promise."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from esam_fast import _files
from esam_fast._files import Busy, lock, locked, make_folder, open_regular, read_json, sha256, within, write_bytes

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders, and links need rights")


def test_a_regular_file_is_opened(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    with open_regular(tmp_path / "a") as file:
        assert file.read() == b"abc"
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


@posix
@pytest.mark.parametrize(("make", "kind"), [(os.mkfifo, "a pipe"), (os.mkdir, "a folder")])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, make, kind):
    make(tmp_path / "x")
    for read in (open_regular, sha256, read_json):
        with pytest.raises(OSError, match=f"expected a regular file, got {kind}"):
            read(tmp_path / "x")
    with pytest.raises(OSError, match="got a device"):
        open_regular("/dev/zero")
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "parts"),
    [("a.png", ["a.png"]), ("a/b.png", ["a", "b.png"]), ("a\\b.png", ["a", "b.png"]), ("./a//b", ["a", "b"]),
     ("..a/b..", ["..a", "b.."])],
)  # fmt: skip
def test_names_inside_a_folder(tmp_path, name, parts):
    assert within(tmp_path, name) == tmp_path.joinpath(*parts)


@pytest.mark.parametrize(
    "name",
    ["../a", "a/../../b", "a\\..\\..\\b", "/etc/passwd", "\\a", "C:\\a.png", "c:a", "\\\\host\\share\\a", "a/..", "..",
     "", "  ", "a\0b", "\ud800", None, 7, ["a"]],
)  # fmt: skip
def test_names_that_leave_the_folder(tmp_path, name):
    with pytest.raises(ValueError, match="expected a file name"):
        within(tmp_path, name)


@posix
def test_links_out_of_the_folder(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret").touch()
    (folder / "file").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "fine").symlink_to(folder / "other")
    assert within(folder, "fine") == folder / "fine"
    for name in ("file", "up/secret", "up/new"):
        with pytest.raises(ValueError, match=f"'{name}' is a link to"):
            within(folder, name)
    (tmp_path / "alias").symlink_to(folder)
    assert within(tmp_path / "alias", "a") == tmp_path / "alias" / "a"


def test_one_writer(tmp_path):
    with (tmp_path / "x").open("w+b") as first, (tmp_path / "x").open("r+b") as second:
        lock(first)
        with pytest.raises(Busy, match="another process is writing this file"):
            lock(second)
    with (tmp_path / "x").open("r+b") as third:
        lock(third)


@posix
def test_a_lock_ends_with_its_process(tmp_path):
    code = """if True:
        import sys, time
        from esam_fast._files import lock
        file = open(sys.argv[1], "w+b")
        lock(file)
        print(flush=True)
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "x")], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        with (tmp_path / "x").open("r+b") as file:
            with pytest.raises(Busy):
                lock(file)
            process.send_signal(signal.SIGKILL)
            process.wait()
            lock(file)


@posix
def test_no_pipe_or_device_is_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for name, kind in (("pipe", "a pipe"), ("link", "a device")):
        with pytest.raises(OSError, match=f"expected a regular file, got {kind}"):
            write_bytes(tmp_path / name, b"x")
    assert (tmp_path / "link").is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "pipe"]


def test_written_whole(tmp_path):
    write_bytes(tmp_path / "x", b"old, and longer")
    write_bytes(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
    write_bytes(tmp_path / ("n" * 250), b"a long name")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["n" * 250, "x"]


def test_what_a_killed_writer_left_is_taken_over(tmp_path, monkeypatch):
    def killed(*_):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        patch.setattr(_files.Path, "unlink", lambda self: None)  # SIGKILL lets nobody tidy up
        with pytest.raises(SystemExit):
            write_bytes(tmp_path / "x", b"cut")
    assert len(list(tmp_path.iterdir())) == 1
    write_bytes(tmp_path / "x", b"whole")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"x": b"whole"}


def test_a_failed_write_leaves_the_older_file(tmp_path, monkeypatch):
    write_bytes(tmp_path / "x", b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_bytes(tmp_path / "x", b"new")
    assert caught.value.filename == str(tmp_path / "x")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"x": b"old"}


def test_writers_at_once_never_mix(tmp_path):
    def many(letter):
        for _ in range(50):
            with contextlib.suppress(Busy):
                write_bytes(tmp_path / "x", letter * 100_000)

    threads = [threading.Thread(target=many, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if (tmp_path / "x").exists():
            assert len(set((tmp_path / "x").read_bytes())) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    ("content", "message"),
    [("[1, 2", "not JSON"), ("[NaN]", "NaN is no JSON number"), ("[-Infinity]", "-Infinity is no"),
     ("[" * 100_000, "nested too deep"), ("\xff", "not JSON"), ("", "not JSON"), ("1" * 5000, "not JSON")],
)  # fmt: skip
def test_what_is_no_json(tmp_path, content, message):
    (tmp_path / "x.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"x\.json.*{message}"):
        read_json(tmp_path / "x.json")


def test_numbers_that_are_no_json_come_in_where_they_are_checked(tmp_path):
    (tmp_path / "x.json").write_bytes(b"[Infinity]")
    assert read_json(tmp_path / "x.json", nan=True) == [float("inf")]


def test_json_over_the_limit(tmp_path, monkeypatch):
    (tmp_path / "x.json").write_bytes(b"[1, 2]")
    assert read_json(tmp_path / "x.json") == [1, 2]
    monkeypatch.setattr(_files, "MAX_JSON_BYTES", 5)
    with pytest.raises(ValueError, match="at most 5 bytes"):
        read_json(tmp_path / "x.json")


@posix
def test_a_name_of_this_system_may_hold_a_backslash(tmp_path):
    assert within(tmp_path, "a\\b.json", own=True) == tmp_path / "a\\b.json"
    for name in ("../a", "/a", "a/../../b"):
        with pytest.raises(ValueError, match="expected a file name inside"):
            within(tmp_path, name, own=True)


@posix
def test_no_link_leads_a_writer_elsewhere(tmp_path):
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.write_bytes(b"precious")
    out.mkdir()
    (out / f".{hashlib.sha256(b'a.png').hexdigest()[:16]}.tmp").symlink_to(victim)
    write_bytes(out / "a.png", b"result")
    assert not (out / "a.png").is_symlink()
    assert (out / "a.png").read_bytes() == b"result"
    (out / "manifest.jsonl").symlink_to(victim)
    with pytest.raises(OSError, match="expected a regular file, got a link"):
        locked(out / "manifest.jsonl")
    assert victim.read_bytes() == b"precious"


@posix
def test_folders_are_made_inside_only(tmp_path):
    make_folder(tmp_path / "out", "a/b")
    make_folder(tmp_path / "out", "a/b")
    (tmp_path / "out" / "inside").symlink_to("a")
    make_folder(tmp_path / "out", "inside/c")
    assert (tmp_path / "out" / "a" / "c").is_dir()
    (tmp_path / "out" / "link").symlink_to(tmp_path)
    (tmp_path / "out" / "loop").symlink_to("loop")
    for name in ("link", "link/x", "../x", tmp_path / "x", "loop/x"):
        with pytest.raises(OSError, match=r"got a link to|symbolic links"):
            make_folder(tmp_path / "out", name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_json_that_this_package_does_not_write():
    for text in (b"1e999", b'{"a": [-1e999]}', b"NaN"):
        with pytest.raises(ValueError, match=r"beyond float64|no JSON number"):
            _files.parse_json(text, own=True)
    assert _files.parse_json(b"1e999") == float("inf")
    _files.parse_json(b"[" * 15 + b"]" * 15, own=True)
    with pytest.raises(ValueError, match="nested too deep"):
        _files.parse_json(b"[" * 17 + b"]" * 17, own=True)


def test_lines_are_cut_and_counted(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"ab\n" + b"x" * 10 + b"\n\nlast")
    with path.open("rb") as file:
        assert list(_files.lines(file, 4)) == [(0, b"ab\n"), (3, b"xxxx"), (14, b"\n"), (15, b"last")]
