"""The official checkpoints of SAM and SAM 2.1: names, addresses, sizes and checksums."""

from __future__ import annotations

from dataclasses import dataclass

FOLDER_VARIABLE = "ESAM_WEIGHTS_DIR"

_ADDRESS = "https://dl.fbaipublicfiles.com/"


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
        width: channels of the image encoder's first layer, by which a checkpoint of SAM is recognised.
        repository: on the Hugging Face hub, where the same model is published.
        family: "sam" or "sam2".
    """

    name: str
    file: str
    url: str
    size: int
    sha256: str
    width: int
    repository: str
    family: str


def _sam(name: str, file: str, repository: str, size: int, sha256: str, width: int) -> Weights:
    url = f"{_ADDRESS}segment_anything/{file}"
    return Weights(name, file, url, size, sha256, width, f"facebook/{repository}", "sam")


def _sam2(name: str, size: int, sha256: str, width: int) -> Weights:
    file, repository = f"{name}.pt", f"facebook/{name.replace('_', '-')}"
    return Weights(name, file, f"{_ADDRESS}segment_anything_2/092824/{file}", size, sha256, width, repository, "sam2")


# Of each family the largest first: so "auto" tries them. The publisher gives no checksums; these circulate in many
# independent projects.
MODELS = {
    model.name: model
    for model in (
        _sam(
            "vit_h", "sam_vit_h_4b8939.pth", "sam-vit-huge", 2_564_550_879,
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e", 1280,
        ),
        _sam(
            "vit_l", "sam_vit_l_0b3195.pth", "sam-vit-large", 1_249_524_607,
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622", 1024,
        ),
        _sam(
            "vit_b", "sam_vit_b_01ec64.pth", "sam-vit-base", 375_042_383,
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912", 768,
        ),
        _sam2(
            "sam2.1_hiera_large", 898_083_611,
            "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318", 144,
        ),
        _sam2(
            "sam2.1_hiera_base_plus", 323_606_802,
            "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5", 112,
        ),
        _sam2(
            "sam2.1_hiera_small", 184_416_285,
            "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38", 96,
        ),
        _sam2(
            "sam2.1_hiera_tiny", 156_008_466,
            "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69", 96,
        ),
    )
}  # fmt: skip
