"""The mask decoder against segment_anything's own, and what is promised of prompts in company."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sam_models import SamSegmenter, official, photo, small_sam, torch

from esam_fast import Esam, EsamConfig, MmgConfig
from esam_fast.config import EmrConfig
from esam_fast.segmenters.sam.decoder import FoldedDecoder


def random_points(n: int, image: np.ndarray, seed: int = 0) -> np.ndarray:
    size = image.shape[1], image.shape[0]
    return np.random.default_rng(seed).uniform(0, size, (n, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def asked() -> tuple[Any, Any, np.ndarray]:
    """A segmenter, an embedding and points."""
    image = photo(150, 220)
    segmenter = SamSegmenter(small_sam())
    return segmenter, segmenter.embed(image), random_points(45, image)


@pytest.mark.parametrize("seed", range(3))
def test_logits_and_scores_are_the_official_ones(seed: int) -> None:
    sam, image = small_sam(seed), photo(150 + 40 * seed, 220, seed)
    points = random_points(21, image, seed)
    segmenter = SamSegmenter(sam)
    assert isinstance(segmenter._decoder, FoldedDecoder)
    logits, scores = segmenter.decode(segmenter.embed(image), points)
    _, exact_logits, exact_scores = official(sam, image, points)
    assert exact_logits.std() > 0.5
    assert (logits - exact_logits).abs().max() < 1e-3
    assert (scores - exact_scores).abs().max() < 1e-4


@pytest.mark.parametrize(
    "shape",
    [
        {"layers": 1},
        {"layers": 3},
        {"heads": 4},
        {"channels": 64, "heads": 2},
        {"side": 128},
    ],
)
def test_other_official_decoders(shape: dict[str, int]) -> None:
    sam, image = small_sam(5, **shape), photo(100, 100)
    points = random_points(5, image)
    segmenter = SamSegmenter(sam)
    assert isinstance(segmenter._decoder, FoldedDecoder)
    logits, scores = segmenter.decode(segmenter.embed(image), points)
    _, exact_logits, exact_scores = official(sam, image, points)
    assert (logits - exact_logits).abs().max() < 1e-3
    assert (scores - exact_scores).abs().max() < 1e-4


def rms(x: Any) -> float:
    return float(x.square().mean().sqrt())


@pytest.mark.parametrize("at_once", [False, True], ids=["as on a CPU", "as on a GPU"])
@pytest.mark.parametrize("seed", range(2))
def test_bfloat16_is_no_further_from_float32_than_the_official_bfloat16(seed: int, at_once: bool) -> None:
    sam, image = small_sam(seed), photo(256, 256, seed)
    points = random_points(24, image, seed)
    segmenter = SamSegmenter(sam, dtype="bfloat16")
    segmenter._decoder._at_once = at_once
    segmenter._decoder._dtype = torch.bfloat16 if at_once else torch.float32
    ours = segmenter.decode(segmenter.embed(image), points)
    exact, theirs = (official(sam, image, points, kind)[1:] for kind in ("float32", "bfloat16"))
    for mine, other, true in zip(ours, theirs, exact, strict=True):
        assert rms(mine - true) <= rms(other - true)
    assert (ours[0] - exact[0]).abs().max() <= (theirs[0] - exact[0]).abs().max()


def test_a_chunk_at_once_as_on_a_gpu(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter, embedding, points = asked
    one_by_one = segmenter.decode(embedding, points)
    answer = segmenter.masks(embedding, points, min_score=float(np.median(answer_scores(segmenter, asked))))
    monkeypatch.setattr(segmenter._decoder, "_at_once", True)
    for mine, other in zip(segmenter.decode(embedding, points), one_by_one, strict=True):
        assert (mine - other).abs().max() < 1e-4
    again = segmenter.masks(embedding, points, min_score=float(np.median(answer_scores(segmenter, asked))))
    assert (again.masks.area == answer.masks.area).mean() > 0.9


def answer_scores(segmenter: Any, asked: Any) -> np.ndarray:
    return segmenter.masks(asked[1], asked[2]).scores.max(1)  # type: ignore[no-any-return]


def test_masks_are_the_logits_in_bits_by_area(asked: Any) -> None:
    segmenter, embedding, points = asked
    answer = segmenter.masks(embedding, points)
    logits, scores = (each.numpy() for each in segmenter.decode(embedding, points))
    grid = embedding.grid
    assert len(answer) == len(points)
    assert answer.masks.shape == grid.shape == (64, 64)
    bits = logits > 0
    bits[:, :, grid.rows :] = False
    bits[:, :, :, grid.cols :] = False
    areas = bits.sum((2, 3))
    order = np.argsort(areas, 1, kind="stable")
    assert np.array_equal(answer.channels, order)
    assert np.array_equal(answer.masks.area.reshape(-1, 3), np.take_along_axis(areas, order, 1))
    assert np.array_equal(answer.scores, np.take_along_axis(scores, order, 1))
    expected = np.take_along_axis(bits, order[:, :, None, None], 1)
    assert np.array_equal(answer.masks.to_bool().reshape(expected.shape), expected)
    content = np.take_along_axis(logits, order[:, :, None, None], 1)[:, :, : grid.rows, : grid.cols]
    high, low = (content > 1).sum((2, 3)), (content > -1).sum((2, 3))
    stability = np.divide(high, low, out=np.zeros(high.shape), where=low > 0)
    assert np.array_equal(answer.stability, stability.astype(np.float32))
    assert 0 < answer.stability.mean() < 1


def test_logits_are_those_of_the_models_own_output(asked: Any) -> None:
    segmenter, embedding, points = asked
    logits = segmenter.decode(embedding, points)[0].numpy()
    channels = (np.arange(len(points)) % 3).astype(np.int8)
    planes = segmenter.logits(embedding, points, channels)
    assert planes.dtype == np.float32
    assert np.abs(planes - logits[np.arange(len(points)), channels]).max() < 1e-5


def test_a_prompt_does_not_depend_on_its_neighbours(asked: Any) -> None:
    segmenter, embedding, points = asked
    together = segmenter.masks(embedding, points)
    for i in (0, 17, 44):
        alone = segmenter.masks(embedding, points[i : i + 1])
        assert np.array_equal(alone.scores[0], together.scores[i])
        assert np.array_equal(alone.masks.words, together.masks.words[3 * i : 3 * i + 3])
        assert np.array_equal(alone.stability[0], together.stability[i])
        one = segmenter.decode(embedding, points[i : i + 1])[0]
        assert torch.equal(one[0], segmenter.decode(embedding, points)[0][i])


def test_threads_make_no_difference(asked: Any) -> None:
    segmenter, embedding, points = asked
    threads = torch.get_num_threads()
    answers = []
    for n in (1, 2, 3):
        torch.set_num_threads(n)
        answers.append(segmenter.masks(embedding, points))
        assert torch.get_num_threads() == n
    torch.set_num_threads(threads)
    for other in answers[1:]:
        assert np.array_equal(other.masks.words, answers[0].masks.words)
        assert np.array_equal(other.scores, answers[0].scores)


def test_prompts_below_the_least_score_are_skipped_and_no_other_changes(asked: Any) -> None:
    segmenter, embedding, points = asked
    every = segmenter.masks(embedding, points)
    least = float(np.median(every.scores.max(1)))  # reached by the prompt that has it
    some = segmenter.masks(embedding, points, min_score=least)
    kept = (every.scores.astype(np.float64) >= least).any(1)
    assert 0 < kept.sum() < len(points)
    rows = np.repeat(kept, 3)
    assert np.array_equal(some.masks.words[rows], every.masks.words[rows])
    assert np.array_equal(some.channels[kept], every.channels[kept])
    assert np.array_equal(some.scores[kept], every.scores[kept])
    assert not some.masks.words[~rows].any()
    assert not some.stability[~kept].any()
    assert np.array_equal(np.sort(some.scores, 1), np.sort(every.scores, 1))


def test_the_same_points_on_another_image(asked: Any) -> None:
    segmenter, embedding, points = asked
    first = segmenter.masks(embedding, points)
    placed = embedding.frame.points(points).tobytes()
    start = segmenter._decoder._remembered[placed]
    other = segmenter.embed(photo(150, 220, seed=9))
    assert not np.array_equal(segmenter.masks(other, points).scores, first.scores)
    assert np.array_equal(segmenter.masks(embedding, points).scores, first.scores)
    assert segmenter._decoder._remembered[placed] is start  # made once
    for n in range(1, 6):
        segmenter.masks(embedding, points[:n])
    assert len(segmenter._decoder._remembered) == 3  # the last ones


def test_out_of_memory_halves_the_chunk_and_goes_on(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter, embedding, points = asked
    expected = segmenter.decode(embedding, points)
    sizes = []

    def small_space(size: int) -> Any:
        sizes.append(size)
        if size > 4:
            raise torch.cuda.OutOfMemoryError("no more")
        return FoldedDecoder._space(segmenter._decoder, size)

    chunks = segmenter._decoder._chunks
    monkeypatch.setattr(chunks, "size", chunks.size)
    monkeypatch.setattr(chunks, "_space", small_space)
    for mine, other in zip(segmenter.decode(embedding, points), expected, strict=True):
        assert (mine - other).abs().max() < 1e-4
    assert set(sizes) == {16, 8, 4}
    assert chunks.size == 4
    monkeypatch.setattr(chunks, "_space", lambda size: small_space(99))
    with pytest.raises(torch.cuda.OutOfMemoryError):
        segmenter.decode(embedding, points)


def test_no_points(asked: Any) -> None:
    segmenter, embedding, _ = asked
    none = np.zeros((0, 2), np.float32)
    assert len(segmenter.masks(embedding, none)) == 0
    assert segmenter.logits(embedding, none, np.zeros(0, np.int8)).shape == (0, 64, 64)
    assert [tuple(each.shape) for each in segmenter.decode(embedding, none)] == [(0, 3, 64, 64), (0, 3)]


def test_bad_arguments_are_named(asked: Any) -> None:
    segmenter, embedding, points = asked
    with pytest.raises(TypeError, match="points"):
        segmenter.masks(embedding, points.astype(np.float64))
    with pytest.raises(ValueError, match="points"):
        segmenter.masks(embedding, points[:, :1])
    with pytest.raises(TypeError, match="channels"):
        segmenter.logits(embedding, points, np.zeros(len(points), np.int64))


@pytest.mark.parametrize("grid", ["odd", "padded below", "padded right"])
def test_masks_and_logits_that_stay_on_a_device_give_the_same_map(grid: str) -> None:
    """As on a GPU, with the CPU's tensors: masks and logits are handed out as tensors and never leave torch."""
    segmenter = SamSegmenter(small_sam(3))
    mmg = MmgConfig(points_per_side=8, score_threshold=-9.0, stability_threshold=0.0)
    esam = Esam(segmenter, EsamConfig(mmg=mmg, emr=EmrConfig(points_per_side=16)))
    image = photo(*{"odd": (128, 128), "padded below": (90, 200), "padded right": (150, 70)}[grid])
    expected = esam.segment(image)
    segmenter._on_host = False
    found = esam.segment(image, keep_stages=True)
    assert all(getattr(masks, "masks", masks).device == torch.device("cpu") for masks in found.stages.values())
    assert np.array_equal(found.labels, expected.labels)
    assert np.array_equal(found.scores, expected.scores)
    assert np.array_equal(found.boxes, expected.boxes)
    assert len(found) > 0


def test_end_to_end_twice() -> None:
    segmenter = SamSegmenter(small_sam(3))
    mmg = MmgConfig(points_per_side=8, score_threshold=-9.0, stability_threshold=0.0)
    esam = Esam(segmenter, EsamConfig(mmg=mmg, emr=EmrConfig(points_per_side=16)))
    image = photo(120, 200)
    first, second = esam.segment(image), esam.segment(image)
    assert len(first) > 0
    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.scores, second.scores)
