"""The contour network (contours.onnx, trained by training/train_contours.py) in OpenCV's dnn."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast._backend import get_num_threads
from esam_fast.masks import Float

STRIDE = 16  # the network halves its features four times
MARGIN = 16  # mirrored pixels around the image at least: the network's own zero padding stays beyond them
CHANNELS = 16  # of the embedding
ENLARGED, ENLARGED_SIDE = 1.5, 720  # small images are enlarged before the network, up to this longer side
WEIGHTS = Path(__file__).with_name("contours.onnx")

_lock = Lock()  # the network and OpenCV's thread setting are one for all


class _Fork:
    """No fork in the middle, nor beside OpenCV's threads: a child has none of them, but the locks that they held."""

    def before(self) -> None:
        _lock.acquire()
        self._threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # ends the others

    def after(self) -> None:
        cv2.setNumThreads(self._threads)
        _lock.release()


if hasattr(os, "register_at_fork"):
    _fork = _Fork()
    os.register_at_fork(before=_fork.before, after_in_parent=_fork.after, after_in_child=_fork.after)


@dataclass(frozen=True)
class Contours:
    """What the network sees in an image of h x w pixels.

    Attributes:
        strength: uint8 [h, w], how surely people would draw a contour through the pixel, in 255ths.
        embedding: float32 [h, w, CHANNELS]; pixels of one entity lie close, within a unit or two.
    """

    strength: NDArray[np.uint8]
    embedding: Float


def find_contours(image: NDArray[np.uint8], weights: Path = WEIGHTS) -> Contours:
    """Contours and embedding of an image [h, w, 3] RGB, which is not changed."""
    with _lock:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(get_num_threads())
        try:
            return _find(image, weights)
        finally:
            cv2.setNumThreads(threads)


def _find(image: NDArray[np.uint8], weights: Path) -> Contours:
    scale = min(ENLARGED, max(1.0, ENLARGED_SIDE / max(image.shape[:2])))
    seen = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    height, width = seen.shape[:2]
    bottom, right = (MARGIN + -(side + 2 * MARGIN) % STRIDE for side in (height, width))
    padded = np.asarray(cv2.copyMakeBorder(seen, MARGIN, bottom, MARGIN, right, cv2.BORDER_REFLECT_101))
    network = _network(weights)
    network.setInput(cv2.dnn.blobFromImage(padded))
    contours, embedding = network.forward(["contours", "embedding"])
    full = contours[0].reshape(2, 2, *contours.shape[2:]).transpose(2, 0, 3, 1).reshape(padded.shape[:2])
    deep = cv2.resize(embedding[0].transpose(1, 2, 0), padded.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    inside = np.s_[MARGIN : MARGIN + height, MARGIN : MARGIN + width]
    strength, deep = (
        cv2.resize(plane[inside], image.shape[1::-1], interpolation=cv2.INTER_LINEAR) for plane in (full, deep)
    )
    return Contours(np.rint(strength * 255).astype(np.uint8), deep)


@cache
def _network(weights: Path) -> Any:
    return cv2.dnn.readNetFromONNX(np.frombuffer(weights.read_bytes(), np.uint8))
