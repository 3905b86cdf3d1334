"""Weights: found, fetched from a server of the test's own, refused with one sentence where they are no good."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from esam_fast import weights
from esam_fast.cli.weights import weights as command
from esam_fast.weights import MODELS, Weights, WeightsError

CONTENT = np.random.default_rng(5).bytes(3_000_001)
PAGE = b"\n<!DOCTYPE html><html><body>Please log in.</body></html>"


@dataclass
class Server:
    """What to answer, and what was asked."""

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    status: int = 200
    kind: str = "application/octet-stream"
    cut: int | None = None  # bytes after which the connection drops
    length: bool = True
    asked: list[str | None] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.asked.append(asked)
        if self.status != 200:
            handler.send_error(self.status)
            return
        first = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.ranges else 0
        if first >= len(self.content):
            handler.send_error(416)
            return
        body = self.content[first:]
        handler.send_response(206 if asked and self.ranges else 200)
        handler.send_header("Content-Type", self.kind)
        if self.length:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: self.cut])


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_address[1]}/sam_vit_b_01ec64.pth"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("ESAM_WEIGHTS_DIR", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture
def model(server, folder, monkeypatch) -> Weights:
    """vit_b, published on the test's server."""
    digest = hashlib.sha256(CONTENT).hexdigest()
    entry = dataclasses.replace(MODELS["vit_b"], url=server.url, size=len(CONTENT), sha256=digest)
    monkeypatch.setitem(MODELS, "vit_b", entry)
    return entry


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def refusal(call) -> str:
    """The message of the WeightsError that `call` raises: one sentence on one line."""
    with pytest.raises(WeightsError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    return message


# --- what is here ---


def test_the_official_models():
    sizes = ("large", "base_plus", "small", "tiny")
    assert list(MODELS) == ["vit_h", "vit_l", "vit_b", *(f"sam2.1_hiera_{size}" for size in sizes)]
    for name, entry in MODELS.items():
        assert entry.name == name
        file = {
            "sam": r"segment_anything/sam_\w+_[0-9a-f]{6}\.pth",
            "sam2": r"segment_anything_2/092824/sam2\.1_\w+\.pt",
        }
        assert re.fullmatch(rf"https://dl\.fbaipublicfiles\.com/{file[entry.family]}", entry.url)
        assert name in entry.url
        assert entry.url.endswith(f"/{entry.file}")
        assert re.fullmatch("[0-9a-f]{64}", entry.sha256)


def test_cache_folder_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("ESAM_WEIGHTS_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "esam-fast" in weights.folder().parts
    assert weights.folder().is_relative_to(tmp_path)
    assert not weights.folder().exists()


def test_home_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ESAM_WEIGHTS_DIR", "~/models")
    assert weights.folder() == tmp_path / "models"


def test_nothing_here(folder):
    assert weights.find("vit_h") is None
    assert weights.available() == {}
    message = refusal(lambda: weights.path("vit_h"))
    assert "esam-fast weights download vit_h" in message
    assert str(folder) in message


def test_found_largest_first(folder):
    folder.mkdir()
    for file in ("sam_vit_b_01ec64.safetensors", "sam_vit_l_0b3195.pth", "sam_vit_h_4b8939.pth.part"):
        (folder / file).write_bytes(b"x")
    (folder / "sam_vit_h_4b8939.pth").mkdir()
    assert list(weights.available().items()) == [
        ("vit_l", folder / "sam_vit_l_0b3195.pth"),
        ("vit_b", folder / "sam_vit_b_01ec64.safetensors"),
    ]
    assert weights.path("vit_l") == weights.find("vit_l") == folder / "sam_vit_l_0b3195.pth"


@pytest.mark.parametrize("call", [weights.find, weights.path, weights.download])
def test_unknown_model(call):
    with pytest.raises(ValueError, match=r"vit_h, vit_l, vit_b, sam2\.1_.*, got 'vit_x'"):
        call("vit_x")


# --- downloading ---


def test_download(model, server, folder, capfd):
    path = weights.download("vit_b")
    assert path == folder / model.file == weights.find("vit_b")
    assert path.read_bytes() == CONTENT
    assert names(folder) == [model.file]
    assert server.asked == [None]
    assert "3.00M/3.00M" in capfd.readouterr().err  # the progress bar


def test_a_verified_file_is_not_fetched_again(model, server, folder):
    folder.mkdir()
    (folder / model.file).write_bytes(CONTENT)
    assert weights.download("vit_b") == folder / model.file
    assert server.asked == []


def test_a_foreign_file_is_left_alone(model, server, folder):
    folder.mkdir()
    (folder / model.file).write_bytes(b"my own training")
    message = refusal(lambda: weights.download("vit_b"))
    assert "not the official vit_b" in message
    assert str(folder / model.file) in message
    assert (folder / model.file).read_bytes() == b"my own training"
    assert server.asked == []


@pytest.mark.parametrize("have", [1, 1_000_000, len(CONTENT) - 1])
def test_an_interrupted_download_is_continued(model, server, folder, have, capfd):
    folder.mkdir()
    (folder / f"{model.file}.part").write_bytes(CONTENT[:have])
    assert weights.download("vit_b").read_bytes() == CONTENT
    assert server.asked == [f"bytes={have}-"]
    assert names(folder) == [model.file]
    assert "3.00M/3.00M" in capfd.readouterr().err


def test_whole_part_needs_only_its_name(model, server, folder):
    folder.mkdir()
    (folder / f"{model.file}.part").write_bytes(CONTENT)
    assert weights.download("vit_b").read_bytes() == CONTENT
    assert names(folder) == [model.file]


def test_a_server_without_ranges_sends_all_of_it(model, server, folder):
    server.ranges = False
    folder.mkdir()
    (folder / f"{model.file}.part").write_bytes(b"something else")
    assert weights.download("vit_b").read_bytes() == CONTENT
    assert server.asked == ["bytes=14-"]


def test_a_server_that_announces_no_length(model, server):
    server.length = False
    assert weights.download("vit_b").read_bytes() == CONTENT


def test_broken_off_and_continued(model, server, folder):
    server.cut = 1_500_000
    message = refusal(lambda: weights.download("vit_b"))
    assert "broke off after 1.4 of 3.0 MB" in message
    assert "run it again" in message
    assert names(folder) == [f"{model.file}.part"]
    have = (folder / f"{model.file}.part").stat().st_size
    assert have > 1_400_000
    assert weights.find("vit_b") is None
    server.cut = None
    assert weights.download("vit_b").read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={have}-"]


@pytest.mark.parametrize("have", [0, 1000, len(CONTENT) + 5])
def test_what_is_not_the_official_file_is_removed(model, server, folder, have):
    server.content = CONTENT[:-1] + b"!" if CONTENT[-1:] != b"!" else CONTENT[:-1] + b"?"
    folder.mkdir()
    if have:
        (folder / f"{model.file}.part").write_bytes(bytes(have))
    message = refusal(lambda: weights.download("vit_b"))
    assert "not the official vit_b (its sha256 differs)" in message
    assert names(folder) == []


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_is_no_checkpoint(model, server, folder, kind):
    server.content, server.kind = PAGE, kind
    message = refusal(lambda: weights.download("vit_b"))
    assert "answered with a web page" in message
    assert names(folder) == []


def test_a_web_page_does_not_cost_what_was_fetched(model, server, folder):
    folder.mkdir()
    (folder / f"{model.file}.part").write_bytes(CONTENT[:1000])
    server.content, server.kind, server.ranges = PAGE, "text/html", False
    refusal(lambda: weights.download("vit_b"))
    assert (folder / f"{model.file}.part").read_bytes() == CONTENT[:1000]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_errors_of_the_server(model, server, folder, status):
    server.status = status
    message = refusal(lambda: weights.download("vit_b"))
    assert f"the server answered {status}" in message
    assert server.url in message
    assert names(folder) == []


def test_no_network(folder, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/sam_vit_b_01ec64.pth"
    monkeypatch.setitem(MODELS, "vit_b", dataclasses.replace(MODELS["vit_b"], url=url))
    message = refusal(lambda: weights.download("vit_b"))
    assert f"no connection to {url}" in message
    assert str(folder) in message
    assert names(folder) == []


def test_a_folder_that_cannot_be_made(model, folder, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ESAM_WEIGHTS_DIR", str(tmp_path / "file" / "weights"))
    message = refusal(lambda: weights.download("vit_b"))
    assert f"cannot write {tmp_path / 'file'}" in message
    assert "ESAM_WEIGHTS_DIR" in message


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC])
def test_a_folder_that_cannot_be_written(model, folder, monkeypatch, code):
    def refuse(path, mode="r", *_args, **_kwargs):
        raise OSError(code, os.strerror(code), str(path))

    folder.mkdir()
    monkeypatch.setattr(os, "open", refuse)
    message = refusal(lambda: weights.download("vit_b"))
    assert os.strerror(code) in message
    assert "ESAM_WEIGHTS_DIR" in message
    assert names(folder) == []


# --- what a file is ---


def archive(path: Path) -> Path:
    """A ZIP archive, as torch.save writes."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", bytes(3000))
    return path


def safetensors(path: Path) -> Path:
    """One tensor of 10 floats, as safetensors writes."""
    header = json.dumps({"__metadata__": {"a": "b"}, "w": {"dtype": "F32", "shape": [10], "data_offsets": [0, 40]}})
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(40))
    return path


def cut(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_whole_files_pass(tmp_path):
    weights.check_file(archive(tmp_path / "a.pth"))
    weights.check_file(safetensors(tmp_path / "a.safetensors"))
    weights.check_file(str(written(tmp_path / "old.pth", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda p: p / "missing.pth", "No such file"),
        (lambda p: p, "is a folder"),
        (lambda p: written(p / "a.pth", b""), "is empty"),
        (lambda p: written(p / "a.pth", PAGE), "is a web page"),
        (lambda p: written(p / "a.pth", b"<?xml version='1.0'?><Error>AccessDenied</Error>"), "is a web page"),
        (lambda p: written(p / "a.pth", b"version https://git-lfs.github.com/spec/v1\n"), "pointer of Git LFS"),
        (lambda p: written(p / "a.pth", b"\x00" * 7 + b"\x01{not json" + bytes(99)), "cut off"),
        (lambda p: written(p / "a.pth", b"\x04" + b"\x00" * 7 + b"{not json"), "is not a checkpoint"),
        (lambda p: cut(archive(p / "a.pth"), 2000), "cut off after 2000 bytes"),
        (lambda p: cut(safetensors(p / "a.safetensors"), 30), "cut off after 30 bytes"),
        (lambda p: cut(safetensors(p / "a.safetensors"), 130), "cut off after 130 bytes"),
    ],
)
def test_others_are_refused(tmp_path, make, word):
    path = make(tmp_path)
    message = refusal(lambda: weights.check_file(path))
    assert word in message
    assert str(path) in message


def test_the_width_tells_the_model(tmp_path):
    weights.check_width("w.pth", "vit_b", 768)
    assert "w.pth is not a checkpoint of vit_b: its encoder is 1280 wide, that of vit_h" in refusal(
        lambda: weights.check_width("w.pth", "vit_b", 1280)
    )
    assert "that of no official model" in refusal(lambda: weights.check_width("w.pth", "vit_h", 160))


# --- the command ---


def run(*arguments: str):
    return CliRunner().invoke(command, arguments)


def test_command_list(model, folder):
    folder.mkdir()
    (folder / model.file).write_bytes(CONTENT)
    result = run("list")
    assert result.exit_code == 0
    first, vit_h, _, vit_b, *_, tiny = result.output.splitlines()
    assert str(folder) in first
    assert "2565 MB" in vit_h
    assert "156 MB" in tiny
    assert "not here" in vit_h
    assert MODELS["vit_h"].url in vit_h
    assert model.file in vit_b
    assert "not here" not in vit_b


def test_command_download_and_path(model, folder):
    assert run("path", "vit_b").exit_code == 1
    assert "esam-fast weights download vit_b" in run("path", "vit_b").output
    result = run("download", "vit_b")
    assert result.exit_code == 0
    assert result.stdout.strip() == str(folder / model.file) == run("path", "vit_b").stdout.strip()


def test_command_names_what_failed(model, server):
    server.status = 404
    result = run("download", "vit_b")
    assert result.exit_code == 1
    assert "404" in result.output
    assert run("download", "vit_x").exit_code == 2


# --- servers that do not keep to the rules ---


def answers(raw: bytes) -> tuple[socket.socket, str]:
    """A server that answers every request with these bytes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(1 << 16)
                with contextlib.suppress(OSError):
                    connection.sendall(raw)

    threading.Thread(target=serve, daemon=True).start()
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}/sam_vit_b_01ec64.pth"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: abc", b"Content-Length: -5", b"Content-Length: 5, 6", b"Content-Length: 9999999999999999999",
        "Content-Length: \u0665".encode(), b"Transfer-Encoding: chunked",
        b"Content-Encoding: gzip\r\nContent-Length: 5",
        b"X: " + b"a" * 70_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "status", [b"HTTP/1.1 200 OK", b"HTTP/1.1 abc", b"HTTP/1.1 302 Found\r\nLocation: http://[", b"\0"]
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # requests leaves a socket open
def test_answers_that_make_no_sense(model, folder, monkeypatch, head, status):
    listener, url = answers(status + b"\r\n" + head + b"\r\n\r\nhello")
    monkeypatch.setitem(MODELS, "vit_b", dataclasses.replace(model, url=url))
    with listener:
        refusal(lambda: weights.download("vit_b"))
        assert not (folder / model.file).exists()


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("have", [0, 1000])
def test_more_bytes_than_known_end_the_download(model, server, folder, length, have):
    server.content, server.length = CONTENT + bytes(50_000_000), length
    folder.mkdir()
    (folder / f"{model.file}.part").write_bytes(CONTENT[:have])
    message = refusal(lambda: weights.download("vit_b"))
    assert "the server sends more than the 3000001 bytes of the official vit_b" in message
    assert names(folder) == []
    server.content, server.length = CONTENT, True
    assert weights.download("vit_b").read_bytes() == CONTENT


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes in folders")
@pytest.mark.parametrize("suffix", ["", ".part"])
def test_a_pipe_in_the_place_of_the_file(model, folder, suffix):
    folder.mkdir()
    os.mkfifo(folder / f"{model.file}{suffix}")
    if suffix:
        assert "expected a regular file, got a pipe" in refusal(lambda: weights.download("vit_b"))
    else:
        assert weights.download("vit_b").read_bytes() == CONTENT


@pytest.mark.parametrize("have", [0, 1_000_000])
def test_of_several_writers_one_downloads(model, server, folder, have):
    """Each is a process of its own; the others wait, and find the file."""
    folder.mkdir()
    if have:
        (folder / f"{model.file}.part").write_bytes(CONTENT[:have])
    program = (
        "import dataclasses, sys; from esam_fast import weights; url, size, sha256 = sys.argv[1:]\n"
        "model = dataclasses.replace(weights.MODELS['vit_b'], url=url, size=int(size), sha256=sha256)\n"
        "weights.MODELS['vit_b'] = model; sys.stdin.readline(); print(weights.download('vit_b'))"
    )
    command = [sys.executable, "-c", program, model.url, str(model.size), model.sha256]
    writers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(3)
    ]
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.communicate()[0].strip() == str(folder / model.file)
    assert (folder / model.file).read_bytes() == CONTENT
    assert names(folder) == [model.file]
    assert server.asked == [f"bytes={have}-" if have else None]
