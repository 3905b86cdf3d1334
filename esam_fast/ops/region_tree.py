"""A hierarchy of regions: the binary partition tree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check
from esam_fast._backend import on_host, run


@dataclass(frozen=True)
class RegionTree:
    """K leaves, then K - 1 inner nodes in the order they were made; the last node is the whole image.

    Attributes:
        parent: int32 [2K - 1], -1 for the root; always a later node.
        height: float64 [2K - 1], the highest merge cost within the node; 0 for a leaf; never above the parent's.
        area: int64 [2K - 1], pixels.
        perimeter: int64 [2K - 1], pixel sides between the node and the rest of the image.
        strength: float64 [2K - 1], boundary strength summed over those sides.
    """

    parent: NDArray[np.int32]
    height: NDArray[np.float64]
    area: NDArray[np.int64]
    perimeter: NDArray[np.int64]
    strength: NDArray[np.float64]

    @property
    def leaves(self) -> int:
        """K."""
        return (len(self.parent) + 1) // 2

    @property
    def scaled_height(self) -> NDArray[np.float64]:
        """Height [2K - 1] as if the image had one pixel: comparable between images of different sizes."""
        return self.height / float(self.area[-1]) ** 0.125


def region_tree(
    labels: NDArray[np.int32],
    boundary: NDArray[np.float32],
    features: NDArray[np.float32],
    *,
    backend: str | None = None,
) -> RegionTree:
    """Merge neighbouring regions, the cheapest pair first, until one is left.

    Two regions of n and m pixels that share a border (4-neighbourhood) cost
    ``(B + D) * (n * m / (n + m)) ** (1 / 8)``: B is the mean boundary strength over the pixel sides they share (a
    side has the larger strength of its two pixels), D the Euclidean distance between their mean features. Equal
    costs go to the lower (older, younger) pair of nodes. All sums and costs are float64.

    Args:
        labels: [h, w] int32, values 0..K-1, each present.
        boundary: [h, w] float32, boundary strength, finite, at least 0, in the unit of the features' distance.
        features: [h, w, C] float32, finite.
        backend: "native", "cuda", "numba", or None for the best one here ("cuda" has no such kernel).

    Returns:
        RegionTree.

    Raises:
        TypeError: wrong dtype. ValueError: wrong shape or range; the message names the argument.
        BackendUnavailable: a backend asked for by name is not here.
    """
    labels = _check.array("labels", labels, np.int32, ("h", "w"))
    values = np.unique(labels)
    if len(values) == 0 or values[0] != 0 or values[-1] != len(values) - 1:
        came = f"{len(values)} values from {values[0]} to {values[-1]}" if len(values) else "no pixel"
        raise ValueError(f"labels must hold every value 0..K-1, got {came}")
    boundary = _check.finite("boundary", boundary, labels.shape)
    if boundary.min() < 0:
        raise ValueError(f"boundary must be at least 0, got {boundary.min()}")
    features = _check.finite("features", features, (*labels.shape, "C"))
    nodes = 2 * len(values) - 1
    tree = RegionTree(
        np.empty(nodes, np.int32),
        np.empty(nodes, np.float64),
        np.empty(nodes, np.int64),
        np.empty(nodes, np.int64),
        np.empty(nodes, np.float64),
    )
    out = tree.parent, tree.height, tree.area, tree.perimeter, tree.strength
    run("region_tree.region_tree", on_host(backend), labels, boundary, features, len(values), out=out)
    return tree
