"""SAM's official weights: where they are, and how they get here. Knows files and addresses, never torch."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

FOLDER_VARIABLE = "ESAM_WEIGHTS_DIR"

_ADDRESS = "https://dl.fbaipublicfiles.com/segment_anything/"
_BLOCK = 1 << 16  # bytes; what a broken connection loses at most
_TIMEOUT = 30.0  # seconds without an answer


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

    An interrupted download is continued by the next call. The file gets its name when its sha256 is verified.

    Raises:
        ValueError: no such model. WeightsError: it cannot be had, or another file has its name; says why.
    """
    model = _model(name)
    target = folder() / model.file
    if target.is_file():
        if _sha256(target) != model.sha256:
            raise WeightsError(
                f"{target} is not the official {name} (its sha256 differs): remove it and download again"
            )
        return target
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch(model, part)
        _verify(model, part)
        part.replace(target)
    except OSError as error:
        raise WeightsError(
            f"cannot write {error.filename or part}: {error.strerror}; {FOLDER_VARIABLE} names another folder"
        ) from error
    return target


def check_file(path: str | os.PathLike[str]) -> None:
    """Refuse what cannot be a whole checkpoint (.pth or .safetensors), before anything is loaded.

    Raises:
        WeightsError: no such file, a folder, empty, a web page, cut off, or of another kind.
    """
    path = Path(path)
    if path.is_dir():
        raise WeightsError(f"{path} is a folder, not a checkpoint")
    try:
        with path.open("rb") as file:
            _check_content(path, file)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from error


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


def _fetch(model: Weights, part: Path) -> None:
    """Bring `part` to the length that the server has to offer, from where it stands."""
    import requests
    from tqdm import tqdm

    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        answer = requests.get(model.url, headers=headers, stream=True, timeout=_TIMEOUT)
    except requests.RequestException as error:
        raise WeightsError(
            f"no connection to {model.url}: check the network, or put the file, fetched elsewhere, into {part.parent}"
        ) from error
    with answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is left to send: the checksum decides
        if not answer.ok:
            raise WeightsError(f"{model.url}: the server answered {answer.status_code} {answer.reason}")
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            raise WeightsError(_web_page(model))
        if answer.status_code != requests.codes.partial_content:
            have = 0
        length = answer.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        try:
            with (
                part.open("ab" if have else "wb") as file,
                tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=model.file) as bar,
            ):
                for block in answer.iter_content(_BLOCK):
                    file.write(block)
                    have += len(block)
                    bar.update(len(block))
        except requests.RequestException as error:
            raise WeightsError(_broken_off(model, have)) from error
        if total is not None and have < total:
            raise WeightsError(_broken_off(model, have))


def _verify(model: Weights, part: Path) -> None:
    """Remove what is not the official file."""
    if _sha256(part) == model.sha256:
        return
    with part.open("rb") as file:
        web_page = _is_web_page(file.read(512))
    part.unlink()
    if web_page:
        raise WeightsError(_web_page(model))
    raise WeightsError(f"{model.url}: what came is not the official {model.name} (its sha256 differs) and was removed")


def _web_page(model: Weights) -> str:
    return f"{model.url}: the server answered with a web page instead of the file; is a proxy or a login in between?"


def _broken_off(model: Weights, have: int) -> str:
    return (
        f"the download of {model.name} broke off after {have / 1e6:.1f} of {model.size / 1e6:.1f} MB: "
        f"run it again to continue"
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _is_web_page(head: bytes) -> bool:
    return head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<head", b"<?xml"))


def _check_content(path: Path, file: BinaryIO) -> None:
    head = file.read(512)
    size = path.stat().st_size
    if not head:
        raise WeightsError(f"{path} is empty")
    if _is_web_page(head):
        raise WeightsError(f"{path} is a web page, not a checkpoint: download it again")
    if head.startswith(b"PK\x03\x04"):  # torch.save since 1.6: a ZIP archive, its directory at the end
        whole = zipfile.is_zipfile(path)
    elif head.startswith(b"\x80\x02"):  # torch.save before 1.6: a pickle
        whole = True
    elif head[8:9] == b"{":  # safetensors: the header's length in 8 bytes, the header, the tensors
        header = int.from_bytes(head[:8], "little")
        whole = 8 + header <= size and 8 + header + _safetensors_end(path, file, header) <= size
    else:
        raise WeightsError(_other_kind(path))
    if not whole:
        raise WeightsError(f"{path} is cut off after {size} bytes: download it again")


def _safetensors_end(path: Path, file: BinaryIO, length: int) -> int:
    """Bytes of tensors that a safetensors header of `length` bytes announces."""
    file.seek(8)
    try:
        header = json.loads(file.read(length))
    except ValueError as error:
        raise WeightsError(_other_kind(path)) from error
    return max((entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0)


def _other_kind(path: Path) -> str:
    return f"{path} is not a checkpoint: expected a .pth or .safetensors file"
