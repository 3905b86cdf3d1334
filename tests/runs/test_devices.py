"""One process a device: every image is done once, also when a process dies."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from painted import Painted
from PIL import Image
from small_runs import CONFIG, contents, save

from esam_fast import Esam
from esam_fast.runs import listing
from esam_fast.runs.devices import DeviceError, Devices, Load
from esam_fast.runs.outputs import Outputs
from esam_fast.runs.record import Settings, made_by
from esam_fast.runs.walk import Teller
from esam_fast.runs.work import Work


class Poisoned(Painted):
    """A black image ends the process."""

    def embed(self, image):
        if image.max() == 0:
            os._exit(3)
        return super().embed(image)


@dataclass(frozen=True)
class Quick(Load):
    def __call__(self) -> Esam:
        return Esam(Poisoned(), CONFIG)


@dataclass(frozen=True)
class Other(Load):
    def __call__(self) -> Esam:
        return Esam(Poisoned())


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for k in range(20):
        save(Path("in", f"{k:02}.png"), 2 + k % 4)
    return list(listing.find(["in"], "out", Teller.silent()))


def test_two_processes_give_what_one_gives(jobs):
    esam = Esam(Poisoned(), CONFIG)
    one = list(Work(esam, "one", made_by(esam).hash).each(jobs))
    with closing(Devices([Quick("a"), Quick("b")])) as devices:
        two = list(devices.each(iter(jobs), "two", Outputs()))
    assert devices.made == made_by(esam)
    assert sorted(entry["file_name"] for entry in two) == [entry["file_name"] for entry in one]
    assert {entry["run"] for entry in one + two} == {devices.made.hash}
    assert contents(Path("two")) == contents(Path("one"))


def test_fewer_images_than_processes(jobs):
    with closing(Devices([Quick("a"), Quick("b"), Quick("c")])) as devices:
        assert len(list(devices.each(jobs[:1], "out", Outputs()))) == 1
    with closing(Devices([Quick("a")])) as devices:
        assert list(devices.each([], "out", Outputs())) == []


def test_a_process_that_dies_takes_only_its_images_along(jobs):
    Image.fromarray(np.zeros((16, 36, 3), np.uint8)).save("in/03.png")
    with closing(Devices([Quick("a"), Quick("b")])) as devices:
        entries = list(devices.each(jobs, "out", Outputs()))
    assert sorted(entry["file_name"] for entry in entries) == [f"{k:02}.png" for k in range(20)]
    failed = {entry["file_name"]: entry["error"] for entry in entries if "error" in entry}
    assert "03.png" in failed
    assert len(failed) <= 6
    assert all(": its process ended with status 3 when it had this image" in error for error in failed.values())


def test_no_process_is_left(jobs):
    Image.fromarray(np.zeros((16, 36, 3), np.uint8)).save("in/00.png")
    with closing(Devices([Quick("a")])) as devices:
        entries = devices.each(jobs, "out", Outputs())
        assert all("error" in next(entries) for _ in range(6))
        with pytest.raises(DeviceError, match="every process has ended, and images are left"):
            next(entries)


def test_warnings_are_handed_over(jobs):
    Image.fromarray(np.arange(16 * 36, dtype=np.uint16).reshape(16, 36)).save("in/05.png")
    told: list[str] = []
    with closing(Devices([Quick("a")])) as devices:
        assert len(list(devices.each(jobs, "out", Outputs(), warn=told.append))) == 20
    assert len(told) == 1
    assert "05.png: nearly black" in told[0]


def test_devices_that_cannot_be(jobs, capfd):
    with pytest.raises(DeviceError, match="device bogus: device must be "):
        Devices([Load("cpu", "regions"), Load("bogus", "regions")])
    with pytest.raises(DeviceError, match="device bogus: device must be "):
        Devices([Load("bogus", "regions")] * 3)
    assert capfd.readouterr().err == ""  # the others end quietly
    with pytest.raises(DeviceError, match="the same results, got different segmenters or weights"):
        Devices([Quick("a"), Other("b")], Settings())
