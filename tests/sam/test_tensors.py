"""An image in a torch tensor, channels first or last, is the same image."""

from __future__ import annotations

import numpy as np
import pytest
from sam_models import torch
from scene import scene

from esam_fast import Esam, load_segmenter

IMAGE = scene(96, 64)


def test_tensors():
    esam = Esam(load_segmenter("regions"))
    expected = esam.segment(IMAGE).labels
    last = torch.from_numpy(IMAGE)
    first = last.permute(2, 0, 1)
    for tensor in (last, first, first.contiguous(), first.float() / 255):
        np.testing.assert_array_equal(esam.segment(tensor).labels, expected)
        np.testing.assert_array_equal(esam.segment(tensor, tile=500).labels, expected)
    assert [key for key, _ in esam.segment_many(last[None])] == [0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda tensor: tensor.to(torch.bfloat16), TypeError, r"got a tensor of torch\.bfloat16"),
        (lambda tensor: tensor.int(), TypeError, "image must be uint8, uint16, bool or float, got int32"),
        (lambda tensor: tensor[None], ValueError, "image must have shape"),
    ],
)
def test_what_is_no_image(change, error, message):
    with pytest.raises(error, match=message):
        Esam(load_segmenter("regions")).segment(change(torch.from_numpy(IMAGE)))


def test_many_are_not_one():
    with pytest.raises(ValueError, match=r"images must be several images, got one of shape \[64, 96, 3\]"):
        Esam(load_segmenter("regions")).segment_many(torch.from_numpy(IMAGE))
