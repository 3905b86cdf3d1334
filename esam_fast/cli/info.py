"""``esam-fast info``: what is installed, built and found."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

_PACKAGES = ("numpy", "numba", "pillow", "faster-coco-eval", "torch", "torchvision", "segment-anything", "sam2")


@click.command(short_help="Show versions, backends, SIMD level, CUDA, weights.")
def info() -> None:
    """Show versions, backends, SIMD level, CUDA, threads, segmenters and weights."""
    import cv2

    from esam_fast import build_info, weights
    from esam_fast.segmenters import NAMES
    from esam_fast.segmenters.regions import NOTICE

    lines = {"esam-fast" if name == "version" else name.replace("_", " "): v for name, v in build_info().items()}
    lines["opencv"] = cv2.__version__
    lines |= {name: _version(name) for name in _PACKAGES}
    lines["segmenters"] = [name for name in NAMES if name != "auto"]
    here = [f"{name} ({path})" for name, path in weights.available().items()]
    lines["weights"] = here or f"none in {weights.folder()}"
    for name, value in lines.items():
        click.echo(f"{name + ':':<18}{_words(value)}")
    click.echo(NOTICE)


def _version(package: str) -> str | None:
    """Of an installed distribution; nothing is imported."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _words(value: Any) -> str:
    if value is None:
        return "not here"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value)
