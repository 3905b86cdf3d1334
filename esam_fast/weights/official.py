"""SAM's official checkpoints: names, addresses, sizes and checksums."""

from __future__ import annotations

from dataclasses import dataclass

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
