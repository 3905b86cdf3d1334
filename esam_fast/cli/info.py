"""``esam-fast info``: what is installed, built and found."""

from __future__ import annotations

import click

_PACKAGES = (
    "numpy", "numba", "opencv-python-headless", "opencv-python", "pillow", "faster-coco-eval", "torch", "torchvision",
    "segment-anything",
)  # fmt: skip


@click.command(short_help="Show versions, backends, SIMD level, CUDA, segmenters and weights.")
def info() -> None:
    """Show versions, backends, SIMD level, CUDA, segmenters and weights."""
    from esam_fast import build_info

    for name, value in build_info().items():
        click.echo(f"{name.replace('_', ' ') + ':':<17}{_words(value)}")
