"""Run-length codes: what is no code, or not one of all its pixels, is refused before anything is decoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from esam_fast import rle


def test_there_and_back() -> None:
    mask = np.array([[0, 1, 1], [0, 0, 1]], bool)  # down the columns: 0 0 1 0 1 1
    code = {"size": [2, 3], "counts": [2, 1, 1, 2]}
    assert rle.encode(mask) == code
    assert rle.decode(code).tolist() == mask.tolist()
    assert list(rle.of_labels(mask.astype(np.int32), 1)) == [code]
    assert rle.decode({"size": [0, 3], "counts": []}).shape == (0, 3)


@pytest.mark.parametrize("read", [rle.decode, lambda code: rle.compress([code])])
@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ({"size": [2, 3], "counts": [2, 3]}, ValueError, "counts must be runs of 2 x 3, 6 pixels in all"),
        ({"size": [2, 3], "counts": [2, -2, 6]}, ValueError, "counts must be runs of 2 x 3"),
        ({"size": [2, 3], "counts": [2, 2**62, -(2**62) + 4]}, ValueError, "counts must be runs of 2 x 3"),
        ({"size": [2, 3], "counts": [6.0]}, TypeError, "counts must be a list of whole numbers"),
        ({"size": [2, 3], "counts": [10**30]}, TypeError, "counts must be a list of whole numbers"),
        ({"size": [2, 3], "counts": "06"}, TypeError, "counts must be a list of whole numbers"),
        ({"size": [2**20, 2**20], "counts": [2**40]}, ValueError, "size must have at most 2000000000 pixels"),
        ({"size": [2], "counts": [2]}, TypeError, "size must be two whole numbers, height and width"),
        ({"counts": [2]}, TypeError, "a code must be a dict with size and counts, got dict"),
        (None, TypeError, "a code must be a dict with size and counts, got NoneType"),
    ],
)
def test_refused(read: Any, code: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read(code)


def test_codes_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="codes must be of one size"):
        rle.compress([{"size": [1, 2], "counts": [2]}, {"size": [2, 1], "counts": [2]}])
