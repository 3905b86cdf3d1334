"""Mean of a plane over each mask."""

from __future__ import annotations

from typing import Any

from esam_fast import _arrays, _backend
from esam_fast._torch.bits import Doubles, Int32s, Int64s


def mask_mean(words: Any, area: Int64s, box: Int32s, h: int, w: int, plane: Doubles, out: Doubles) -> None:
    """Mean of plane [h, w] over each mask: out [N].

    The sum is taken in pixel order, which torch promises on no device: the words go to the host.
    """
    _backend.kernel("mask_mean", None)(_arrays.host_words(words), area, box, h, w, plane, out)
