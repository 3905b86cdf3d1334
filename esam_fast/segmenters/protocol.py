"""What a segmenter is: anything that answers point prompts on a grid of mask logits."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check
from esam_fast._arrays import Array, Device
from esam_fast.config import MmgConfig, Thresholds
from esam_fast.masks import Float, MaskGrid, PointMasks


class Embedding(Protocol):
    """One image, ready to be prompted; whatever else it holds is the segmenter's own affair.

    Attributes:
        grid: the plane that masks are answered on.
        features: float32 [C, h, w], the image embedding that Eq. 7 compares, content only.
    """

    @property
    def grid(self) -> MaskGrid: ...

    @property
    def features(self) -> Float: ...


class Segmenter(Protocol):
    """Answers point prompts. Users can bring their own.

    One that works on a GPU may say so by an attribute `device`, a torch.device: superpixels are then made meanwhile.

    Attributes:
        name: for people.
        score_threshold, stability_threshold: below them a mask is dropped, unless the config says otherwise.
    """

    name: str
    score_threshold: float
    stability_threshold: float

    def embed(self, image: NDArray[np.uint8]) -> Any:
        """Prepare an image uint8 [H, W, 3] RGB; returns an `Embedding`."""

    def masks(self, embedding: Any, points: Float, *, min_score: float | None = None) -> PointMasks:
        """Three masks, by area ascending, for each point float32 [N, 2] (x y in image pixels).

        A point none of whose scores reaches `min_score` may come back with empty masks.
        """

    def logits(self, embedding: Any, points: Float, channels: NDArray[np.int8]) -> Array:
        """Mask logits float32 [N, grid.height, grid.width] of one output `channels[i]` for each point.

        NumPy, or a torch tensor, as the words of `masks`: what is on a GPU stays there until it is drawn.
        """


def gpu(segmenter: Segmenter) -> Device:
    """The torch.device of the GPU that a segmenter says it works on; None: on none."""
    device = getattr(segmenter, "device", None)
    return device if getattr(device, "type", None) == "cuda" else None


def check_segmenter(segmenter: Any) -> Segmenter:
    """Refuse what has not all of a segmenter's attributes."""
    missing = [name for name in Segmenter.__annotations__ | vars(Segmenter)
               if not name.startswith("_") and not hasattr(segmenter, name)]  # fmt: skip
    if missing:
        raise TypeError(
            f"segmenter must have {', '.join(missing)} (see Segmenter, and load_segmenter), "
            f"got {type(segmenter).__name__}"
        )
    return segmenter


def thresholds(segmenter: Segmenter, config: MmgConfig) -> Thresholds:
    """The config's, else the segmenter's own."""
    score, stability = (
        _check.finite_real(f"segmenter {segmenter.name!r}: {name}", getattr(segmenter, name))
        for name in ("score_threshold", "stability_threshold")
    )
    return Thresholds(
        score if config.score_threshold is None else config.score_threshold,
        stability if config.stability_threshold is None else config.stability_threshold,
    )


def check_embedding(segmenter: Segmenter, embedding: Embedding, image: NDArray[np.uint8]) -> None:
    """Refuse an embedding that cannot be used, naming the segmenter and what is wrong."""
    name = f"segmenter {segmenter.name!r}: embedding"
    grid = getattr(embedding, "grid", None)
    if not isinstance(grid, MaskGrid):
        raise TypeError(f"{name}.grid must be a MaskGrid, got {type(grid).__name__}")
    if (grid.image_height, grid.image_width) != image.shape[:2]:
        raise ValueError(
            f"{name}.grid must be for an image of {image.shape[0]} x {image.shape[1]} pixels, "
            f"got {grid.image_height} x {grid.image_width}"
        )
    features = _check.finite(f"{name}.features", getattr(embedding, "features", None), ("C", "h", "w"))
    if 0 in features.shape:
        raise ValueError(f"{name}.features must not be empty, got shape {list(features.shape)}")


def check_answer(segmenter: Segmenter, answer: PointMasks, grid: MaskGrid, n_points: int) -> PointMasks:
    """Refuse an answer that does not fit the question, naming the segmenter and what is wrong."""
    name = f"segmenter {segmenter.name!r}: masks()"
    if not isinstance(answer, PointMasks):
        raise TypeError(f"{name} must return PointMasks, got {type(answer).__name__}")
    if len(answer) != n_points:
        raise ValueError(f"{name} must answer {n_points} points, got {len(answer)}")
    if answer.masks.shape != grid.shape:
        raise ValueError(f"{name} must answer on a grid of shape {grid.shape}, got {answer.masks.shape}")
    if len(answer.masks) and (answer.masks.box[:, 2:] > (grid.cols, grid.rows)).any():
        raise ValueError(f"{name} must set no pixels outside the content, {grid.rows} x {grid.cols}")
    return answer


def check_logits(segmenter: Segmenter, logits: Array, grid: MaskGrid, n: int) -> Array:
    """Refuse logits of a wrong shape or dtype, or that are not finite, naming the segmenter."""
    return _check.finite_array_or_tensor(f"segmenter {segmenter.name!r}: logits()", logits, (n, *grid.shape))
