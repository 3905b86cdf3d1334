"""SAM's official weights: where they are, and how they get here. Knows files and addresses, never torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

FOLDER_VARIABLE = "ESAM_WEIGHTS_DIR"

_ADDRESS = "https://dl.fbaipublicfiles.com/segment_anything/"


class WeightsError(ValueError):
    """Weights that cannot be had or used; the message says why in one sentence."""


@dataclass(frozen=True)
class Weights:
    """An official checkpoint.

    Attributes:
        name: of the model.
        file: its official file name.
        url: where it is published.
        size: bytes.
        sha256: of the file.
        width: channels of the image encoder, by which a checkpoint is recognised.
    """

    name: str
    file: str
    url: str
    size: int
    sha256: str
    width: int


def _official(name: str, file: str, size: int, sha256: str, width: int) -> Weights:
    return Weights(name, file, _ADDRESS + file, size, sha256, width)


# Largest first. The publisher gives no checksums; these circulate in many independent projects.
MODELS = {
    model.name: model
    for model in (
        _official(
            "vit_h", "sam_vit_h_4b8939.pth", 2_564_550_879,
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e", 1280,
        ),
        _official(
            "vit_l", "sam_vit_l_0b3195.pth", 1_249_524_607,
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622", 1024,
        ),
        _official(
            "vit_b", "sam_vit_b_01ec64.pth", 375_042_383,
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912", 768,
        ),
    )
}  # fmt: skip


def folder() -> Path:
    """Where weights are kept: $ESAM_WEIGHTS_DIR, else a folder in the user's cache directory. It need not exist."""
    asked = os.environ.get(FOLDER_VARIABLE)
    if asked:
        return Path(asked).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("esam-fast")) / "weights"


def find(name: str) -> Path | None:
    """The file of an official model, under its official name or with the suffix ".safetensors"; None: not here.

    Raises:
        ValueError: no such model.
    """
    path = folder() / _model(name).file
    return next((file for file in (path, path.with_suffix(".safetensors")) if file.is_file()), None)


def available() -> dict[str, Path]:
    """The official models that are here, largest first."""
    return {name: path for name in MODELS if (path := find(name)) is not None}


def path(name: str) -> Path:
    """The file of an official model.

    Raises:
        ValueError: no such model. WeightsError: it is not here; says how to get it.
    """
    found = find(name)
    if found is None:
        raise WeightsError(
            f"the weights of {name} are not here: run `esam-fast weights download {name}`, "
            f"or put {_model(name).file} into {folder()}"
        )
    return found


def download(name: str) -> Path:
    """Fetch an official model, unless it is here, and return its file.

    An interrupted download is continued by the next call. The file gets its name when its sha256 is verified. Of
    several processes one downloads, and the others wait for it.

    Raises:
        ValueError: no such model. WeightsError: it cannot be had, or another file has its name; says why.
    """
    from esam_fast import _download

    return _download.download(_model(name), folder())


def check_file(path: str | os.PathLike[str]) -> str:
    """Refuse what cannot be a whole checkpoint (.pth or .safetensors), before anything is loaded.

    Returns:
        How it is stored: "zip" or "pickle" (both .pth), or "safetensors".

    Raises:
        WeightsError: no such file, no regular one, empty, a web page, cut off, of another kind, or larger than
            `esam_fast._limits` allows.
    """
    from esam_fast import _checkpoint_file

    return _checkpoint_file.check(Path(path))


def model_of_width(path: str | os.PathLike[str], width: int) -> str:
    """The official model whose image encoder has this many channels.

    Raises:
        WeightsError: there is none; names the checkpoint.
    """
    for model in MODELS.values():
        if model.width == width:
            return model.name
    raise WeightsError(f"{path} is not a checkpoint of {', '.join(MODELS)}")


def check_width(path: str | os.PathLike[str], name: str, width: int) -> None:
    """Refuse the checkpoint of one official model where another was asked for.

    Args:
        path: of the checkpoint.
        name: the model asked for.
        width: channels of the checkpoint's image encoder.

    Raises:
        ValueError: no such model. WeightsError: the width is another model's; says whose.
    """
    if width != _model(name).width:
        owner = next((other.name for other in MODELS.values() if other.width == width), "no official model")
        raise WeightsError(f"{path} is not a checkpoint of {name}: its encoder is {width} wide, that of {owner}")


def _model(name: str) -> Weights:
    if name not in MODELS:
        raise ValueError(f"name must be one of {', '.join(MODELS)}, got {name!r}")
    return MODELS[name]
