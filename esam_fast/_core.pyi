"""Types of the compiled module: raw kernels that write into arrays which `esam_fast.ops` has checked and allocated."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

_Words = NDArray[np.uint64]
_Int64 = NDArray[np.int64]
_Int32 = NDArray[np.int32]
_Int16 = NDArray[np.int16]
_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]

compiler: str
cuda_built: bool

class _Cuda:
    """The submodule `cuda` of a build with CUDA kernels: each takes a Context, then an Array for every array."""

    class Array:
        """Memory on the device: address, shape, bytes an item."""

        def __init__(self, address: int, shape: Sequence[int], item: int) -> None: ...

    class Context:
        """Device, stream (its handle), and a function that lends so many bytes of memory by their address."""

        def __init__(self, device: int, stream: int, allocate: Callable[[int], int]) -> None: ...

    def device_count(self) -> int: ...
    def __getattr__(self, name: str) -> Callable[..., int | None]: ...

cuda: _Cuda

def set_num_threads(n: int) -> None: ...
def simd_level() -> str: ...
def simd_levels() -> list[str]: ...
def choose_simd(name: str) -> bool: ...
def intersections(
    a_words: _Words,
    a_area: _Int64,
    a_box: _Int32,
    b_words: _Words,
    b_area: _Int64,
    b_box: _Int32,
    h: int,
    w: int,
    out: _Int32,
) -> None: ...
def mask_iou(
    a_words: _Words,
    a_area: _Int64,
    a_box: _Int32,
    b_words: _Words,
    b_area: _Int64,
    b_box: _Int32,
    h: int,
    w: int,
    out: _Float64,
) -> None: ...
def max_iou(
    a_words: _Words,
    a_area: _Int64,
    a_box: _Int32,
    b_words: _Words,
    b_area: _Int64,
    b_box: _Int32,
    h: int,
    w: int,
    best: _Float64,
    index: _Int64,
) -> None: ...
def nms(
    words: _Words,
    area: _Int64,
    box: _Int32,
    h: int,
    w: int,
    order: _Int64,
    thresholds: _Float64,
    keep: NDArray[np.bool_],
) -> None: ...
def cluster_masks(
    words: _Words,
    area: _Int64,
    box: _Int32,
    h: int,
    w: int,
    order: _Int64,
    threshold: float,
    representative: _Int64,
) -> None: ...
def split_overlaps(
    words: _Words,
    area: _Int64,
    box: _Int32,
    h: int,
    w: int,
    order: _Int64,
    point_pixel: _Int64,
    point_guide: _Int64,
    scores: _Float32,
    guide_words: _Words,
    guide_area: _Int64,
    guide_box: _Int32,
    guide_scores: _Float32,
    delta: float,
    score_margin: float,
) -> None: ...
def top_k_similarity(features: _Int16, k: int, index: _Int32, value: _Int32) -> None: ...
def mask_similarity(neighbours: _Int32, membership: _Int32, n_masks: int, out: _Float64) -> None: ...
def greedy_cover(
    words: _Words,
    area: _Int64,
    box: _Int32,
    h: int,
    w: int,
    order: _Int64,
    covered: _Words,
    min_gain: float,
    picks: _Int64,
    gains: _Int64,
) -> int: ...
def pack_logits(
    logits: _Float32,
    rows: int,
    cols: int,
    offset: float,
    words: _Words,
    area: _Int64,
    box: _Int32,
    stability: _Float32,
) -> None: ...
def measure(words: _Words, h: int, w: int, area: _Int64, box: _Int32) -> None: ...
def mask_mean(words: _Words, area: _Int64, box: _Int32, h: int, w: int, plane: _Float64, out: _Float64) -> None: ...
def draw_labels(
    planes: _Float32,
    box: _Int32,
    rows: int,
    cols: int,
    content_h: float,
    content_w: float,
    labels: _Int32,
) -> None: ...
def measure_labels(labels: _Int32, area: _Int64, box: _Int32) -> None: ...
def felzenszwalb(
    image: NDArray[np.uint8],
    scale: np.float32,
    kernel: _Float32,
    min_size: int,
    labels: _Int32,
) -> int: ...
def watershed(relief: NDArray[np.uint8], labels: _Int32) -> int: ...
def region_tree(
    labels: _Int32,
    boundary: _Float32,
    features: _Float32,
    regions: int,
    parent: _Int32,
    height: _Float64,
    area: _Int64,
    perimeter: _Int64,
    strength: _Float64,
) -> None: ...
