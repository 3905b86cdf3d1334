"""What a SAM segmenter shares with its model, its process and its caller: nothing."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from sam_models import photo, small_sam, spread, torch
from waiting import PATIENCE

from esam_fast import EsamMaskGenerator
from esam_fast.segmenters.sam import SamSegmenter
from esam_fast.segmenters.sam.threads import workers

IMAGE = photo(90, 120)
POINTS = np.array([[10.0, 12.0], [60.0, 40.0], [100.0, 80.0]], np.float32)


@pytest.fixture(scope="module")
def sam() -> Any:
    model = small_sam(4, depth=2)
    spread(model)
    return model


def answers(segmenter: SamSegmenter) -> tuple[np.ndarray, np.ndarray]:
    logits, scores = segmenter.decode(segmenter.embed(IMAGE), POINTS)
    return logits.numpy(), scores.numpy()


def same(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_changed_model_changes_nothing(dtype: str) -> None:
    model = small_sam(4, depth=2)
    spread(model)
    segmenter = SamSegmenter(model, dtype=dtype)
    before = answers(segmenter)
    other = small_sam(9, depth=2)
    model.load_state_dict(other.state_dict())
    assert same(answers(segmenter), before)
    for parameter in model.parameters():
        parameter.data.mul_(1.5)
    model.half()
    assert same(answers(segmenter), before)
    assert not same(answers(SamSegmenter(other, dtype=dtype)), before)


def test_the_model_is_not_changed(sam: Any) -> None:
    sam.train()
    state = {name: value.clone() for name, value in sam.state_dict().items()}
    answers(SamSegmenter(sam, dtype="bfloat16"))
    assert sam.training
    assert all(parameter.requires_grad and parameter.dtype == torch.float32 for parameter in sam.parameters())
    assert all(torch.equal(value, state[name]) for name, value in sam.state_dict().items())
    sam.eval()


@pytest.mark.parametrize(
    "clone", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))], ids=["copy", "pickle"]
)
def test_generators_can_be_copied_and_pickled(sam: Any, clone: Any) -> None:
    for mode in ("entities", "amg", "object"):
        generator = EsamMaskGenerator(sam, 4, mode=mode, pred_iou_thresh=-1e6, stability_score_thresh=0.0)
        before = generator.generate(IMAGE)
        again = clone(generator).generate(IMAGE)
        assert before
        for one, other in zip(before, again, strict=True):
            np.testing.assert_array_equal(one["segmentation"], other["segmentation"])
            assert one["predicted_iou"] == other["predicted_iou"]


def test_several_threads_ask_one_segmenter(sam: Any) -> None:
    segmenter = SamSegmenter(sam)
    expected = answers(segmenter)
    with ThreadPoolExecutor(3) as pool:
        assert all(same(found, expected) for found in pool.map(lambda _: answers(segmenter), range(6)))


def _in_child(pickled: bytes, found: Any) -> None:
    found.put(answers(pickle.loads(pickled)))


def test_a_spawned_process_answers_alike(sam: Any) -> None:
    segmenter = SamSegmenter(sam)
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    process = context.Process(target=_in_child, args=(pickle.dumps(segmenter), found))
    process.start()
    assert same(found.get(timeout=PATIENCE), answers(segmenter))
    process.join()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_callers_autocast_and_gradients_make_no_difference(sam: Any, dtype: Any) -> None:
    segmenter = SamSegmenter(sam)
    before = answers(segmenter)
    with torch.autocast("cpu", dtype), torch.enable_grad():
        assert same(answers(segmenter), before)


@pytest.mark.parametrize(("made", "dtype"), [("half", "float32"), ("double", "float32"), ("bfloat16", "bfloat16")])
def test_models_in_other_dtypes_serve(sam: Any, made: str, dtype: str) -> None:
    generator = EsamMaskGenerator(getattr(copy.deepcopy(sam), made)(), 4)
    assert str(generator.segmenter.dtype) == f"torch.{dtype}"
    generator.generate(IMAGE)


def test_the_dtype_blamed_is_the_one_asked_for(sam: Any) -> None:
    with pytest.raises(ValueError, match="dtype 'float16' needs a GPU"):
        EsamMaskGenerator(sam, dtype="float16")
    with pytest.raises(ValueError, match="dtype must be 'auto' or one of float32, bfloat16, float16, got 'float64'"):
        EsamMaskGenerator(sam, dtype="float64")


def test_overlapping_callers_leave_torchs_threads_as_they_were() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(16)
    try:
        inside, leave = threading.Barrier(3), [threading.Event(), threading.Event()]

        def call(number: int) -> None:
            with workers(8) as each:
                assert list(each(str, range(9))) == [str(i) for i in range(9)]
                inside.wait()
                leave[number].wait()

        callers = [threading.Thread(target=call, args=(number,)) for number in range(2)]
        for caller in callers:
            caller.start()
        inside.wait()
        for number, caller in enumerate(callers):  # the first to come is not the last to go
            leave[number].set()
            caller.join()
        seen: list[int] = []
        new = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        new.start()
        new.join()
        assert seen == [16]
        assert torch.get_num_threads() == 16
    finally:
        torch.set_num_threads(before)
