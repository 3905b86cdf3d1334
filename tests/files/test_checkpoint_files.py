"""Checkpoints of strangers: wrapped as training leaves them, or made to cost memory or to trip the reader."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import pytest

from esam_fast import weights
from esam_fast._limits import MAX_TENSOR_BYTES
from esam_fast.weights import WeightsError

posix = pytest.mark.skipif(sys.platform == "win32", reason="pipes in folders and limits of memory are POSIX")


def safetensors(header: object, data: int = 0, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + bytes(data)


def archive(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made:
        for name, data in members:
            made.writestr(name, data)
    return file.getvalue()


def tensor(first: object, last: object) -> dict[str, object]:
    return {"w": {"dtype": "F32", "shape": [1], "data_offsets": [first, last]}}


BAD = {
    "keys.safetensors": safetensors({"w": {"dtype": "F32"}}),
    "list.safetensors": safetensors(b"{}".ljust(9)[:1] + b'"w": [1, 2]}'),
    "null.safetensors": safetensors({"w": None}),
    "text.safetensors": safetensors(tensor("0", "4"), 4),
    "one.safetensors": safetensors({"w": {"data_offsets": [0]}}),
    "negative.safetensors": safetensors(tensor(-4, 4), 4),
    "backwards.safetensors": safetensors(tensor(8, 4), 8),
    "true.safetensors": safetensors(tensor(False, True), 8),
    "huge.safetensors": safetensors(tensor(0, 1 << 62), 8),
    "wide.safetensors": safetensors(tensor(0, MAX_TENSOR_BYTES + 1), 8),
    "many.safetensors": safetensors({str(i): {"data_offsets": [0, 0]} for i in range(20_001)}),
    "many.pth": archive(*((f"a/data/{i}", b"") for i in range(20_001))),
    "deep.safetensors": safetensors(b'{"a":' + b"[" * 200_000),
    "nan.safetensors": safetensors(b'{"a": NaN}'),
    "bytes.safetensors": safetensors(b'{"\xff\xfe": 1}'),
    "length.safetensors": b"\xff" * 8 + b"{",
    "compressed.pth": archive(("a/data.pkl", bytes(1 << 20)), compression=zipfile.ZIP_DEFLATED),
    "pickle.pth": archive(("a/data.pkl", bytes(10_000_001))),
    "member.pth": archive(("a/data.pkl", b"."), ("a/data/0", bytes(MAX_TENSOR_BYTES + 1))),
    "tail.pth": archive(("a/data.pkl", b"."))[:-22],
    "claims.pth": archive(("a/data.pkl", b".")).replace(struct.pack("<II", 1, 1), struct.pack("<II", 9999, 9999)),
    "directory.pth": archive(("a/data.pkl", b"."))[:-10] + struct.pack("<II", 0x7FFFFFF0, 0) + b"\0\0",
    "disks.pth": archive(("a/data.pkl", b"."))[:-22]
    + struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 5)
    + archive(("a/data.pkl", b"."))[-22:],
    "text.pth": b"version https://git-lfs.github.com/spec/v1\n",
    "png.pth": b"\x89PNG\r\n\x1a\n" + bytes(99),
    "empty.pth": b"",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_sentence(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BAD[name])
    with pytest.raises(WeightsError) as caught:
        weights.check_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_kinds(tmp_path):
    for name, data, kind in (
        ("a", archive(("a/data.pkl", b".")), "zip"),
        ("b", b"\x80\x04.", "pickle"),
        ("c", safetensors(tensor(0, 4), 4), "safetensors"),
        ("d", safetensors({}), "safetensors"),
    ):
        (tmp_path / name).write_bytes(data)
        assert weights.check_file(tmp_path / name) == kind


@posix
def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"cannot read .*w\.pth: expected a regular file, got a pipe"):
        weights.check_file(tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="got a device"):
        weights.check_file("/dev/zero")


@pytest.mark.skipif(sys.platform != "linux", reason="measures by /proc, in sparse files")
def test_sparse_files_cost_little(tmp_path):
    """A header of 6 GB, a ZIP directory of 4 GB, a member of 2 GB: each is some bytes on the disk."""
    with (tmp_path / "header.safetensors").open("wb") as file:
        file.write((6_000_000_000).to_bytes(8, "little") + b"{")
        file.truncate(6_000_000_100)
    with (tmp_path / "directory.pth").open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(4_000_000_000)
        file.seek(4_000_000_000)
        file.write(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, 3_999_999_996, 4, 0))
    with zipfile.ZipFile(tmp_path / "member.pth", "w", allowZip64=True) as made:
        made.writestr("a/data.pkl", b".")
        with made.open("a/data/0", "w", force_zip64=True) as member:
            for _ in range(64):
                member.write(bytes(1 << 20))
    with (tmp_path / "whole.pth").open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(1 << 40)
    program = (
        "import resource, sys; from esam_fast import weights\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "for name in sys.argv[1:]:\n"
        "    try: weights.check_file(name)\n"
        "    except weights.WeightsError as error: print(error)\n"
        "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
    )
    names = [str(tmp_path / name) for name in ("header.safetensors", "directory.pth", "member.pth", "whole.pth")]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # each takes 40 MB of the address space
    command = [sys.executable, "-c", program, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    header, directory, member, whole, kilobytes = done.stdout.splitlines()
    assert "its header has 6000000000 bytes, more than 100000000" in header
    assert "its ZIP directory has more than 10000000 bytes" in directory
    assert "its member 'a/data/0' has 67108864 bytes, and none of SAM's more than 52428800" in member
    assert "has 1099511627776 bytes: expected at most" in whole
    assert int(kilobytes) < 100_000


# Reading, where torch is


@pytest.fixture
def short_vit_b(monkeypatch):
    """vit_b, were it a small model."""
    from sam_models import segment_anything, small_sam

    sam = small_sam(7, width=768, depth=1, side=128)
    monkeypatch.setitem(segment_anything.sam_model_registry, "vit_b", lambda: sam)
    return sam


@pytest.fixture
def torch():
    from sam_models import torch

    return torch


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


WRAPPED = {
    "plain": lambda s: s,
    "model": lambda s: {"model": s, "epoch": 3, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}},
    "state_dict": lambda s: {"state_dict": s},
    "module.": lambda s: prefixed(s, "module."),
    "wrapped module.": lambda s: {"model": prefixed(s, "module."), "best": 0.5},
    "lightning": lambda s: {"state_dict": {**prefixed(s, "model."), "loss.weight": s["mask_decoder.iou_token.weight"]}},
    "compiled": lambda s: prefixed(s, "_orig_mod."),
    "deep": lambda s: {"checkpoint": {"net": {"sam": s}}},
    "with an average": lambda s: {"model": s, "ema": {name: value * 0 for name, value in s.items()}},
}


@pytest.mark.parametrize("form", WRAPPED)
@pytest.mark.parametrize("legacy", [False, True])
def test_wrapped_checkpoints(tmp_path, torch, short_vit_b, form, legacy):
    from esam_fast.segmenters.sam.models import read_checkpoint

    state = short_vit_b.state_dict()
    path = tmp_path / "w.pth"
    torch.save(WRAPPED[form](state), path, _use_new_zipfile_serialization=not legacy)
    found = read_checkpoint(path)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_what_stays_is_no_view_of_the_file(tmp_path, torch, short_vit_b):
    """A file that is cut off later would end the process."""
    from esam_fast.segmenters.sam import models

    path = tmp_path / "w.pth"
    torch.save(short_vit_b.state_dict(), path)
    sam = copy.deepcopy(short_vit_b)
    models.load_weights(sam, models.read_checkpoint(path), "vit_b", path)
    path.write_bytes(b"")
    assert torch.equal(sam.mask_decoder.iou_token.weight, short_vit_b.mask_decoder.iou_token.weight)


def test_several_sams_are_named(tmp_path, torch, short_vit_b):
    from esam_fast.segmenters.sam.models import read_checkpoint

    torch.save({"teacher": short_vit_b.state_dict(), "student": short_vit_b.state_dict()}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth holds several SAMs: student\., teacher\.; save one"):
        read_checkpoint(tmp_path / "w.pth")


class Trap:
    def __reduce__(self):
        return os.mkdir, ("trap",)


@pytest.mark.parametrize(
    "make",
    [
        lambda torch: {"model": {"w": Trap()}},
        lambda torch: {"w": torch.zeros(3).to_sparse()},
        lambda torch: {"w": torch.zeros(3, device="meta")},
        lambda torch: {1: torch.zeros(3)},
        lambda torch: {"w": "text"},
        lambda torch: "text",
        lambda torch: [torch.zeros(3)],
        lambda torch: torch.zeros(3),
        lambda torch: {"image_encoder.patch_embed.proj.weight": torch.zeros(())},
        lambda torch: {"image_encoder.patch_embed.proj.weight": torch.zeros(768, 3, 16, 16, dtype=torch.int8)},
        lambda torch: {"image_encoder.patch_embed.proj.weight": 5},
    ],
)
@pytest.mark.parametrize("model", [None, "vit_b"])
def test_other_contents_are_one_sentence(tmp_path, torch, short_vit_b, monkeypatch, make, model):
    from esam_fast.segmenters.sam import load_sam

    monkeypatch.chdir(tmp_path)
    torch.save(make(torch), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth") as caught:
        load_sam(model, tmp_path / "w.pth", "cpu", "float32")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "trap").exists()


PICKLES = {
    "nothing": b"\x80\x02.",
    "memo": b"\x80\x02h\x05.",
    "stack": b"\x80\x02aaa.",
    "global": b"\x80\x02cos\nsystem\n.",
    "unicode": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "four": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "deep": b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b".",
    "number": pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2) + b"\x80\x02]}.",
}


@pytest.mark.parametrize("name", PICKLES)
@pytest.mark.parametrize("zipped", [False, True])
def test_damaged_pickles_are_one_sentence(tmp_path, torch, name, zipped):
    from esam_fast.segmenters.sam.models import read_checkpoint

    data = PICKLES[name]
    (tmp_path / "w.pth").write_bytes(archive(("a/data.pkl", data), ("a/version", b"3\n")) if zipped else data)
    with pytest.raises(WeightsError, match=r"w\.pth") as caught:
        read_checkpoint(tmp_path / "w.pth")
    assert "\n" not in str(caught.value)


def test_damaged_safetensors_are_one_sentence(tmp_path, torch):
    from esam_fast.segmenters.sam.models import read_checkpoint

    for header in (tensor(0, 8), {"w": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}, tensor(4, 8)):
        (tmp_path / "w.safetensors").write_bytes(safetensors(header, 8))
        with pytest.raises(WeightsError, match=r"w\.safetensors cannot be read: .*\(SafetensorError\)"):
            read_checkpoint(tmp_path / "w.safetensors")
