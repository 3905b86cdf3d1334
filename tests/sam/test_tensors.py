"""Images and masks in torch tensors are the same images and masks."""

from __future__ import annotations

import numpy as np
import pytest
from cases import blobs, pack
from sam_models import torch
from scene import scene
from synthetic import SyntheticSegmenter

from esam_fast import Esam, load_segmenter
from esam_fast.session import Session

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


@pytest.mark.parametrize("count", [0, 5])
def test_masks_go_to_the_device_of_the_backend(count):
    segmenter = SyntheticSegmenter(seed=3)
    session = Session(segmenter, segmenter.image(), "torch")
    answer = session.ask(session.grid.point_grid(5)[:count])
    assert str(answer.masks.device) == "cpu"


def test_pixels_of_masks_in_tensors(rng):
    objects, pixels = pack(blobs(rng, 20, (33, 40))), np.arange(0, 33 * 40, 7)
    np.testing.assert_array_equal(objects.to("cpu").at(pixels), objects.to_bool().reshape(20, -1)[:, pixels])
    np.testing.assert_array_equal(objects.at(pixels), objects.to_bool().reshape(20, -1)[:, pixels])
