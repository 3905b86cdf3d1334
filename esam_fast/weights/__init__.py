"""The weights of SAM and SAM 2.1: where they are, how they get here, whose names they have. Never imports torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from esam_fast.weights import checkpoint, huggingface
from esam_fast.weights.download import download as _download
from esam_fast.weights.huggingface import MARK as TRANSFORMERS_MARK
from esam_fast.weights.huggingface import MARK_OF_2 as TRANSFORMERS_MARK_OF_2
from esam_fast.weights.huggingface import official_names
from esam_fast.weights.official import FOLDER_VARIABLE, MODELS, Weights, WeightsError

__all__ = [
    "FOLDER_VARIABLE", "MODELS", "TRANSFORMERS_MARK", "TRANSFORMERS_MARK_OF_2", "Weights", "WeightsError", "available",
    "check_file", "check_width", "config_of", "download", "file_of", "find", "folder", "model_of_width",
    "official_names", "path",
]  # fmt: skip


def folder() -> Path:
    """Where weights are kept: $ESAM_WEIGHTS_DIR, else a folder in the user's cache directory. It need not exist."""
    asked = os.environ.get(FOLDER_VARIABLE)
    if asked:
        return Path(os.path.expanduser(asked))
    import platformdirs

    return Path(platformdirs.user_cache_dir("esam-fast")) / "weights"


def find(name: str) -> Path | None:
    """The file of an official model; None: not here.

    It is looked for in `folder()`, under its official name and with the suffix ".safetensors"; then in the cache of the
    Hugging Face hub (HF_HUB_CACHE, HF_HOME), where facebook/sam-vit-base and its like are the models of SAM and
    facebook/sam2.1-hiera-tiny and its like those of SAM 2.1. The network is never asked.

    Raises:
        ValueError: no such model.
    """
    model = _model(name)
    path = folder() / model.file
    own = next((file for file in (path, path.with_suffix(".safetensors")) if file.is_file()), None)
    return huggingface.cached(model) if own is None else own


def available() -> dict[str, Path]:
    """The official models that are here: SAM's, then SAM 2.1's, of each the largest first."""
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
    return _download(_model(name), folder())


def file_of(path: str | os.PathLike[str]) -> Path:
    """The weight file that a path means: of a folder that transformers saved, the one in it; else the path itself.

    Raises:
        WeightsError: a folder without weights, or with several files of them.
    """
    return huggingface.file_of(Path(path))


def config_of(path: str | os.PathLike[str], *kinds: str) -> dict[str, Any] | None:
    """What config.json beside a weight file of transformers says of its architecture; None: there is none.

    Args:
        path: of the weight file.
        kinds: the model_types that it may have.

    Raises:
        WeightsError: it cannot be read, or is of another model.
    """
    return huggingface.config_of(Path(path), kinds)


def check_file(path: str | os.PathLike[str]) -> str:
    """Refuse what cannot be a whole checkpoint (.pth or .safetensors), before anything is loaded.

    Returns:
        How it is stored: "zip" or "pickle" (both .pth), or "safetensors".

    Raises:
        WeightsError: no such file, no regular one, empty, a web page, cut off, of another kind, or larger than
            `esam_fast._limits` allows.
    """
    return checkpoint.check(Path(path))


def model_of_width(path: str | os.PathLike[str], width: int) -> str:
    """The official model of SAM whose image encoder has this many channels.

    Raises:
        WeightsError: there is none; names the checkpoint.
    """
    sams = [model for model in MODELS.values() if model.family == "sam"]
    for model in sams:
        if model.width == width:
            return model.name
    raise WeightsError(f"{path} is not a checkpoint of {', '.join(model.name for model in sams)}")


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
    from esam_fast import _check  # which loads NumPy: not for a help text

    return MODELS[_check.choice("name", name, MODELS)]
