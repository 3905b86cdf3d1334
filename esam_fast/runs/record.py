"""What makes the results of a run: ``run.json`` in its folder, and the hash by which a run goes on from another."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esam_fast import _files
from esam_fast._files import Pathish
from esam_fast._version import __version__
from esam_fast.config import EsamConfig, flat
from esam_fast.evaluate import identity
from esam_fast.export import as_json
from esam_fast.pipeline import Esam

FILE = "run.json"
FORMAT = 1  # of what a run writes: raised where the same settings come to give other files
_PROGRAM = "esam-fast"


@dataclass(frozen=True)
class Settings:
    """What decides the results beside the segmenter and its config; see `Esam.segment` and `load_image`.

    Attributes:
        tile, overlap, wrap: the views.
        stretch: of dark images.
        min_area: smaller entities are dropped, image pixels.
    """

    tile: int | None = None
    overlap: int = 256
    wrap: bool = False
    stretch: bool = False
    min_area: int = 0

    @property
    def views(self) -> dict[str, Any]:
        """The arguments of `Esam.segment` that divide an image; none where it is seen whole."""
        if self.tile is None and not self.wrap:
            return {}
        return {"tile": self.tile, "overlap": self.overlap, "wrap": self.wrap}


@dataclass(frozen=True)
class Made:
    """What makes the results, as JSON.

    Attributes:
        decides: all on which the results depend: runs with the same go on from each other.
        about: more to be known of it, such as the device.
    """

    decides: dict[str, Any]
    about: dict[str, Any]

    @property
    def hash(self) -> str:
        """16 hexadecimal digits of `decides`."""
        return hashlib.sha256(json.dumps(self.decides, sort_keys=True).encode()).hexdigest()[:16]


def made_by(esam: Esam, settings: Settings | None = None) -> Made:
    """What makes results with this pipeline and these settings.

    Raises:
        OSError: the weights cannot be read.
    """
    segmenter = esam.segmenter
    checkpoint: Path | None = getattr(segmenter, "checkpoint", None)
    known = identity.of_segmenter(segmenter, None if checkpoint is None else str(checkpoint))
    settings = settings or Settings()
    decides = {
        "format": FORMAT,
        "segmenter": segmenter.name,
        "weights": known["weights"],
        "config": dataclasses.asdict(esam.config),
        **dataclasses.asdict(settings),
        "overlap": settings.views.get("overlap"),
    }
    about = {
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "sha256": known["weights"].get(checkpoint.name) if checkpoint is not None else None,
        "device": str(getattr(segmenter, "device", "cpu")),
        "dtype": str(getattr(segmenter, "dtype", "float32")).removeprefix("torch."),
        "backend": esam.backend,
    }
    return Made(json.loads(json.dumps(decides)), about)


def write(out: Pathish, made: Made, inputs: Iterable[Pathish], **more: Any) -> None:
    """Write down what a run is.

    Args:
        out: the folder of results.
        made: what makes them.
        inputs: the images, or the folders that hold them.
        more: to be told.

    Raises:
        OSError: the file cannot be written.
    """
    here = Path(os.path.realpath(out))
    inside = any(Path(os.path.realpath(path)).is_relative_to(here) for path in inputs)
    about = {
        "program": _PROGRAM,
        "version": __version__,
        "hash": made.hash,
        **made.decides,
        **made.about,
        **more,
        "inputs_inside": inside or bool((read(out) or {}).get("inputs_inside")),
    }
    with contextlib.suppress(_files.Busy):  # another shard is writing the same
        _files.write_bytes(Path(out, FILE), as_json(about, indent=1))


def read(folder: Pathish) -> dict[str, Any] | None:
    """What run.json in a folder says; None where there is none of ours."""
    path = os.path.join(folder, FILE)
    try:
        about = _files.read_json(path, own=True) if os.path.getsize(path) < 1 << 20 else None
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) and about.get("program") == _PROGRAM else None


def brief(about: dict[str, Any]) -> dict[str, Any]:
    """What a reader wants to know of a run.json: what made the results, and the settings that are not the default."""
    first = {name: about[name] for name in ("segmenter", "device", "version") if name in about}
    usual = flat({"config": dataclasses.asdict(EsamConfig()), **dataclasses.asdict(Settings())})
    given = flat({name: about[name] for name in ("config", *dataclasses.asdict(Settings())) if name in about})
    return first | {k: v for k, v in given.items() if v is not None and v != usual.get(k)}


def is_result_folder(folder: Pathish) -> bool:
    """Whether a folder holds results and nothing else: no images that are inputs themselves."""
    return (read(folder) or {}).get("inputs_inside") is False


def differences(there: dict[str, Any], made: Made) -> list[str]:
    """What run.json says otherwise than `made`, in words: "config.emr.delta 0.1 there, 0.05 here"."""
    old, new = flat({name: there.get(name) for name in made.decides}), flat(made.decides)
    return [
        f"{name} {json.dumps(old.get(name))} there, {json.dumps(new.get(name))} here"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
