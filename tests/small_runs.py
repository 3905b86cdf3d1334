"""A folder of small images of stripes, and a quick pipeline that sees every stripe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from painted import Painted, painted
from PIL import Image

from esam_fast import EmrConfig, Esam, EsamConfig, MmgConfig
from esam_fast.runs import listing, record
from esam_fast.runs.manifest import Entry, Manifest
from esam_fast.runs.outputs import Outputs
from esam_fast.runs.record import Settings
from esam_fast.runs.walk import Teller
from esam_fast.runs.work import Work

CONFIG = EsamConfig(MmgConfig(points_per_side=4), EmrConfig(points_per_side=4))


def save(path: Path, stripes: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(painted(np.repeat(np.arange(stripes), 12)[None].repeat(16, axis=0))).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for k, name in enumerate(("b.png", "a.png", "sub/a.png", "sub/c d.png"), start=2):
        save(tmp_path / "in" / name, k)
    return tmp_path


@pytest.fixture
def segment(photos: Path) -> Callable[..., list[Entry]]:
    """Run over `in` into `out`: the entries of what was done now."""

    def run(
        *,
        outputs: Outputs | None = None,
        settings: Settings | None = None,
        config: EsamConfig = CONFIG,
        shard: listing.Shard | None = None,
        overwrite: bool = False,
    ) -> list[Entry]:
        outputs, esam = outputs or Outputs(), Esam(Painted(), config)
        made = record.made_by(esam, settings)
        manifest = Manifest("out", made, shard, overwrite=overwrite)
        try:
            record.write("out", made, ["in"])
            jobs = listing.find(["in"], "out", Teller.silent(), shard=shard, writes=outputs.beside)
            work = Work(esam, "out", made.hash, outputs, settings or Settings())
            done = []
            for entry in work.each(manifest.undone(jobs, outputs)):
                manifest.add(entry)
                done.append(entry)
            manifest.end()
            return done
        finally:
            manifest.close()

    return run


def entries(manifest: Path) -> list[dict[str, Any]]:
    """The lines of a manifest that tell of images."""
    lines = map(json.loads, manifest.read_text().splitlines())
    return [line for line in lines if "ended" not in line]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but those in which times are: the manifests, and times.js of the report."""
    found = (path for path in folder.rglob("*") if path.is_file())
    found = (path for path in found if path.suffix != ".jsonl" and path.name != "times.js")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
