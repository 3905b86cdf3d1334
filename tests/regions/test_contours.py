import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest
from scene import scene
from waiting import PATIENCE

import esam_fast
from esam_fast.segmenters.regions import RegionsSegmenter
from esam_fast.segmenters.regions.contours import CHANNELS, MARGIN, STRIDE, find_contours
from esam_fast.segmenters.regions.hierarchy import hierarchy


@pytest.fixture(autouse=True)
def _restore_threads():
    before, of_opencv = esam_fast.get_num_threads(), cv2.getNumThreads()
    yield
    esam_fast.set_num_threads(before)
    cv2.setNumThreads(of_opencv)


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (31, 2), (64, 96), (101, 67)])
def test_shapes(rng, shape):
    image = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    image.flags.writeable = False
    found = find_contours(image)
    assert found.strength.dtype == np.uint8
    assert found.strength.shape == shape
    assert found.embedding.dtype == np.float32
    assert found.embedding.shape == (*shape, CHANNELS)
    assert np.isfinite(found.embedding).all()


def test_the_same_bytes_from_any_number_of_threads():
    image = scene(480, 320)
    seen = set()
    for threads in (1, 2, 2, 1, 3, 2):
        esam_fast.set_num_threads(threads)
        found = find_contours(image)
        h = hierarchy(image)
        seen.add((found.strength.tobytes(), found.embedding.tobytes(), h.tree.height.tobytes(), h.leaf.tobytes()))
    assert len(seen) == 1


def test_the_thread_setting_of_opencv_is_left_alone():
    cv2.setNumThreads(2)
    esam_fast.set_num_threads(1)
    find_contours(scene(90, 60))
    assert cv2.getNumThreads() == 2


def test_contours_lie_between_things():
    # A dark disc on a bright, slightly noisy ground: only its outline is a contour.
    y, x = np.mgrid[:160, :200]
    radius = np.hypot(y - 80, x - 100)
    grey = np.where(radius < 45, 60, 190) + np.random.default_rng(0).normal(0, 3, radius.shape)
    strength = find_contours(np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=2)).strength
    on, off = np.abs(radius - 45) < 1.5, np.abs(radius - 45) > 8
    assert strength[on].mean() > 128
    assert strength[off].mean() < 32


@pytest.mark.parametrize("extra", [0, 1, 13, STRIDE - 1])
def test_padding_never_shows(extra):
    # One tone up to its edges: whatever the padding to a multiple of the stride, no contour appears there.
    side = 4 * STRIDE - 2 * MARGIN + extra
    strength = find_contours(np.full((side, side, 3), 120, np.uint8)).strength
    assert strength.max() < 64
    edge = np.concatenate([strength[0], strength[-1], strength[:, 0], strength[:, -1]])
    assert abs(float(edge.mean()) - float(strength.mean())) < 16


def test_large_images_are_segmented_at_the_side_asked_for():
    image = scene(300, 200)
    small = RegionsSegmenter(side=150).embed(image)
    assert small.rank_at_work.shape == (100, 150)
    assert RegionsSegmenter().embed(image).rank_at_work.shape == (200, 300)
    with pytest.raises(ValueError, match="side"):
        RegionsSegmenter(side=31)
    with pytest.raises(TypeError, match="side"):
        RegionsSegmenter(side=99.5)


def test_weights_are_small_and_their_licence_is_beside_them():
    home = files("esam_fast.segmenters.regions")
    assert len(home.joinpath("contours.onnx").read_bytes()) < 1_000_000
    licence = home.joinpath("LICENSE.regions").read_text("utf-8")
    for name in ("contours.onnx", "calibration.json", "non-commercial research"):
        assert name in licence
    packaged = sum(f.stat().st_size for f in Path(str(home)).iterdir() if f.is_file())
    assert packaged < 1_000_000


def test_needs_no_torch():
    code = "import sys; import numpy as np; from esam_fast import load_segmenter\n"
    code += "image = np.zeros((60, 90, 3), np.uint8); image[:, 40:] = 200; load_segmenter('regions').embed(image)\n"
    code += "assert not {'torch', 'onnx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_children_forked_while_a_thread_looks_for_contours():
    """A lock that a thread of the parent holds is nobody's in the child: without care, children wait for ever."""
    code = """if True:
        import os, sys, threading, time
        import numpy as np
        from esam_fast.segmenters.regions.contours import find_contours
        image, running = np.random.default_rng(0).integers(0, 256, (160, 240, 3), np.uint8), True
        expected = find_contours(image).strength.tobytes()
        def work():
            while running:
                find_contours(image)
        thread = threading.Thread(target=work)
        thread.start()
        answers = []
        for _ in range(12):
            child = os.fork()
            if child == 0:
                os._exit(find_contours(image).strength.tobytes() != expected)
            end = time.monotonic() + 100
            while (answer := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
                time.sleep(0.01)
            if answer == (0, 0):
                os.kill(child, 9)
                os.waitpid(child, 0)
            answers.append(answer[1] if answer[0] else "hangs")
            if answers[-1] == "hangs":
                break
        running = False
        thread.join()
        print(answers)
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert done.stdout.strip() == str([0] * 12)
