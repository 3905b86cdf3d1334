"""`esam-fast profile --load simulated` with a SAM of random weights."""

from __future__ import annotations

import json

import numpy as np
from click.testing import CliRunner
from PIL import Image
from sam_models import segment_anything, small_sam, torch
from scene import scene

from esam_fast import EmrConfig, Esam, EsamConfig, MmgConfig, weights
from esam_fast.cli import main
from esam_fast.evaluate import simulated_load
from esam_fast.segmenters.sam import untrained


def test_the_work_of_a_sam_and_the_masks_of_a_simulation(tmp_path, monkeypatch):
    monkeypatch.setitem(segment_anything.sam_model_registry, "vit_b", lambda: small_sam(side=1024, width=12, depth=2))
    monkeypatch.setattr(weights, "find", lambda name: None)
    Image.fromarray(scene(96, 64)).save(tmp_path / "photo.png")
    settings = ["--set", "mmg.points_per_side=6", "--set", "emr.points_per_side=6", "--dtype", "float32"]
    arguments = ["profile", tmp_path / "photo.png", "--load", "simulated", "--segmenter", "vit_b", *settings]
    done = CliRunner().invoke(main, [*map(str, arguments), "--runs", "1", "--json", str(tmp_path / "p.json")])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "p.json").read_text())
    assert found["segmenter"] == "sam:vit_b with random weights"
    (image,) = found["images"]
    assert image["masks"].startswith("simulated SAM over")
    assert image["entities"] > 1
    assert 0 < found["seconds"]["encoder"]["share_of_floor"] < 1.5
    assert found["seconds"]["decoder"]["share_of_floor"] is None


def test_where_a_gpu_works_the_stages_get_masks_on_it(monkeypatch):
    monkeypatch.setitem(segment_anything.sam_model_registry, "vit_b", lambda: small_sam(side=1024, width=12, depth=2))
    timed, image = untrained("vit_b", "cpu", "float32"), scene(96, 64)
    config = EsamConfig(MmgConfig(points_per_side=4), EmrConfig(points_per_side=6))
    expected = Esam(simulated_load.simulated_load(timed, image), config).segment(image, keep_stages=True)
    assert expected.stages["usr"].masks.device is None
    monkeypatch.setattr(simulated_load, "gpu", lambda segmenter: segmenter.device)  # torch's CPU
    segmenter = simulated_load.simulated_load(timed, image)
    assert segmenter.device == timed.device
    for _ in range(2):  # asked for the first time, and remembered
        found = Esam(segmenter, config).segment(image, keep_stages=True)
        assert found.stages["usr"].masks.device == timed.device
        np.testing.assert_array_equal(found.labels, expected.labels)


def test_untrained_is_the_same_every_time_and_leaves_torchs_random_numbers_alone(monkeypatch):
    def build():
        sam = small_sam()
        torch.nn.init.normal_(sam.mask_decoder.iou_token.weight)
        return sam

    monkeypatch.setitem(segment_anything.sam_model_registry, "vit_b", build)
    state = torch.random.get_rng_state()
    image, points = scene(96, 64), np.array([[20, 30]], np.float32)
    first, second = (untrained("vit_b", "cpu", "float32") for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    answers = [segmenter.masks(segmenter.embed(image), points) for segmenter in (first, second)]
    np.testing.assert_array_equal(answers[0].scores, answers[1].scores)
