"""SAM and SAM 2.1 from Hugging Face: transformers' files and names, and the hub's cache. No torch, and no network."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from esam_fast import _files, _limits
from esam_fast.weights.official import Weights, WeightsError

MARK = "vision_encoder.patch_embed.projection.weight"  # by this tensor a SAM with transformers' names is known
MARK_OF_2 = "vision_encoder.backbone.patch_embed.projection.weight"  # and a SAM 2

_FILES = ("model.safetensors", "pytorch_model.bin")
_POSITIONS = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
# Names of transformers that SAM and SAM 2 share, and the official ones of both, replaced in this order.
COMMON_NAMES = (
    ("shared_image_embedding.positional_embedding", _POSITIONS),
    ("prompt_encoder.shared_embedding.positional_embedding", _POSITIONS),
    ("patch_embed.projection.", "patch_embed.proj."),
    ("mask_embed.conv1.", "mask_downscaling.0."),
    ("mask_embed.layer_norm1.", "mask_downscaling.1."),
    ("mask_embed.conv2.", "mask_downscaling.3."),
    ("mask_embed.layer_norm2.", "mask_downscaling.4."),
    ("mask_embed.conv3.", "mask_downscaling.6."),
    ("upscale_conv1.", "output_upscaling.0."),
    ("upscale_layer_norm.", "output_upscaling.1."),
    ("upscale_conv2.", "output_upscaling.3."),
    ("layer_norm_final_attn.", "norm_final_attn."),
    (".layer_norm", ".norm"),
)  # fmt: skip
# transformers' names and segment_anything's, replaced in this order.
SAM_NAMES = (
    ("vision_encoder.layers.", "image_encoder.blocks."),
    ("vision_encoder.", "image_encoder."),
    ("neck.conv1.", "neck.0."),
    ("neck.layer_norm1.", "neck.1."),
    ("neck.conv2.", "neck.2."),
    ("neck.layer_norm2.", "neck.3."),
    ("prompt_encoder.point_embed.", "prompt_encoder.point_embeddings."),
    *COMMON_NAMES,
)  # fmt: skip
_MLP = re.compile(r"(.+)\.(proj_in|layers\.([0-9]{1,3})|proj_out)\.(weight|bias)")


def official_names(names: Iterable[str], replaced: Iterable[tuple[str, str]] = SAM_NAMES) -> dict[str, str]:
    """The official name of each tensor of one of transformers' SAMs; by default segment_anything's of a SamModel.

    Two of transformers' names mean the same tensor, the position encoding. A name that is not known stays as it is.

    Args:
        names: transformers'.
        replaced: parts of names, theirs and the official ones, replaced in this order. The layers of MLPs, which
            transformers calls proj_in, layers and proj_out, are numbered before that.
    """
    names, replaced = list(names), tuple(replaced)
    mlps = (_MLP.fullmatch(name) for name in names)
    inner = Counter(mlp[1] for mlp in mlps if mlp and mlp[3] and mlp[4] == "weight")  # layers between first and last
    found = {}
    for name in names:
        official = name
        if mlp := _MLP.fullmatch(name):
            head, layer, number, kind = mlp.groups()
            place = {"proj_in": 0, "proj_out": inner[head] + 1}.get(layer, int(number or 0) + 1)
            official = f"{head}.layers.{place}.{kind}"
        for theirs, ours in replaced:
            official = official.replace(theirs, ours)
        found[name] = official
    return found


def file_of(path: Path) -> Path:
    """The weight file that a path means: of a folder as `save_pretrained` writes it, the one in it; else the path.

    Raises:
        WeightsError: a folder without such a file.
    """
    if not path.is_dir():
        return path
    for name in _FILES:
        if (path / name).is_file():
            return path / name
    if any((path / f"{name}.index.json").is_file() for name in _FILES):
        raise WeightsError(f"{path} holds weights in several files: save them as one (max_shard_size='10GB')")
    if (path / "adapter_config.json").is_file():
        raise WeightsError(f"{path} holds an adapter alone: merge it into its model, and save that")
    raise WeightsError(f"{path} is a folder without weights: expected {' or '.join(_FILES)} in it")


def config_of(path: Path, kinds: Sequence[str]) -> dict[str, Any] | None:
    """See `esam_fast.weights.config_of`."""
    file = path.with_name("config.json")
    if not file.exists():
        return None
    try:
        if file.stat().st_size > _limits.MAX_CONFIG_BYTES:
            raise ValueError(f"expected at most {_limits.MAX_CONFIG_BYTES} bytes, got {file.stat().st_size}")
        config = _files.read_json(file)
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in kinds:
        expected = " or ".join(map(repr, kinds))
        raise WeightsError(f"{file} is not of a SAM: expected model_type {expected}, got {str(kind)[:80]!r}")
    return dict(config)


def cached(model: Weights) -> Path | None:
    """The weight file of an official model in the cache of the Hugging Face hub; None: it is not there.

    Of several revisions that which "main" names, else the newest; in it transformers' files before the publisher's own,
    which the repositories of SAM 2.1 hold too.
    """
    folder = cache() / f"models--{model.repository.replace('/', '--')}"
    with suppress(OSError, UnicodeError):
        main = folder / "refs" / "main"
        wanted = main.read_text(encoding="utf-8", errors="replace").strip() if main.is_file() else None
        revisions = sorted(
            filter(Path.is_dir, (folder / "snapshots").iterdir()),  # no broken links
            key=lambda path: (path.name == wanted, path.stat().st_mtime),
            reverse=True,
        )
        files = (revision / name for revision in revisions for name in (*_FILES, model.file))
        return next((file for file in files if file.is_file()), None)
    return None


def cache() -> Path:
    """The cache of the Hugging Face hub, where its own variables put it. It need not exist.

    A user whom nobody knows has no home: "~" then stays, and is no folder (Path.expanduser would raise).
    """
    for variable, inside in (
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),
        ("HF_HOME", "hub"),
        ("XDG_CACHE_HOME", "huggingface/hub"),
    ):
        if asked := os.environ.get(variable):
            return Path(os.path.expanduser(os.path.expandvars(asked)), inside)
    return Path(os.path.expanduser("~/.cache/huggingface/hub"))
