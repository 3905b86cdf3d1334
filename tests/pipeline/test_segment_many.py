"""Many images: in order, read ahead, worked on behind the caller's back, and every thread gone in the end."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from painted import Painted, painted
from PIL import Image
from waiting import PATIENCE, until

from esam_fast import EmrConfig, EntityMap, Esam, EsamConfig, MmgConfig
from esam_fast._prefetch import in_order
from esam_fast.images import ImageError

ESAM = Esam(Painted(), EsamConfig(MmgConfig(points_per_side=4), EmrConfig(points_per_side=4)))


def image(things: int) -> np.ndarray:
    """An image of this many stripes."""
    return painted(np.repeat(np.arange(things), 12)[None].repeat(16, axis=0))


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("esam-")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    assert threads() == []
    yield
    assert threads() == []


# -- in_order


def test_results_come_in_order_however_long_each_takes() -> None:
    def slow(k: int) -> int:
        time.sleep(0.02 * (k % 3 == 0))
        return 10 * k

    assert list(in_order(range(9), slow, lambda k: k + 1, 3)) == [(k, 10 * k + 1) for k in range(9)]
    assert list(in_order([], slow, slow, 3)) == []


@pytest.mark.parametrize("where", ["read", "work"])
def test_an_exception_stands_for_its_item_alone(where: str) -> None:
    def fail(k: int) -> int:
        if k == 2:
            raise ValueError(f"item {k}")
        return k

    def keep(k: int) -> int:
        return k

    found = list(in_order(range(5), *((fail, keep) if where == "read" else (keep, fail)), 2))
    assert [item for item, _ in found] == list(range(5))
    assert [result for _, result in found if not isinstance(result, ValueError)] == [0, 1, 3, 4]
    assert str(found[2][1]) == "item 2"


@pytest.mark.parametrize("readers", [1, 3])
def test_only_a_few_items_are_taken_ahead_of_an_endless_iterator(readers: int) -> None:
    taken = itertools.count()
    results = in_order(iter(taken), lambda k: k, lambda k: k, readers)
    for k in range(20):
        assert next(results) == (k, k)
        assert int(repr(taken)[6:-1]) <= k + 1 + 2 * readers
    results.close()


def test_reading_goes_on_while_the_worker_works() -> None:
    read: list[int] = []

    def work(k: int) -> None:
        if k == 0:
            until(lambda: len(read) == 5)

    results = in_order(range(9), lambda k: read.append(k) or k, work, 2)
    assert next(results) == (0, None)
    results.close()


def test_the_worker_works_while_the_caller_is_busy() -> None:
    done: list[int] = []
    results = in_order(range(9), lambda k: k, done.append, 2)
    next(results)
    until(lambda: len(done) == 5)  # as many as were taken
    results.close()


def test_stopping_early_drops_what_has_not_begun() -> None:
    begun: list[int] = []
    released = threading.Event()

    def work(k: int) -> None:
        begun.append(k)
        if k == 1:
            assert released.wait(PATIENCE)

    later = threading.Timer(0.5, released.set)  # seconds from when the caller stops
    results = in_order(range(9), lambda k: k, work, 2, later.start)
    next(results)
    until(lambda: begun == [0, 1])
    results.close()
    assert begun == [0, 1]


def test_what_the_items_raise_is_raised() -> None:
    def items() -> Iterator[int]:
        yield 0
        raise ZeroDivisionError("no more")

    with pytest.raises(ZeroDivisionError, match="no more"):
        list(in_order(items(), lambda k: k, lambda k: k, 1))


@pytest.mark.parametrize("where", ["read", "work", "items", "caller"])
def test_an_interrupt_is_raised_and_leaves_no_thread(where: str) -> None:
    def interrupt_in(place: str) -> Callable[[int], int]:
        def run(k: int) -> int:
            if place == where and k == 3:
                raise KeyboardInterrupt
            return k

        return run

    def call() -> None:
        for k, _ in in_order(map(interrupt_in("items"), range(9)), interrupt_in("read"), interrupt_in("work"), 2):
            interrupt_in("caller")(k)

    with pytest.raises(KeyboardInterrupt):
        call()


def test_an_exception_that_is_kept_keeps_no_image() -> None:
    class Pixels:
        alive = 0

        def __init__(self) -> None:
            Pixels.alive += 1

        def __del__(self) -> None:
            Pixels.alive -= 1

    def work(pixels: Pixels) -> None:
        try:
            held = pixels
            raise OSError(id(held))
        except OSError as error:
            raise ValueError("cannot") from error

    errors = [result for _, result in in_order(range(6), lambda _: Pixels(), work, 2)]
    assert len(errors) == 6
    assert Pixels.alive == 0
    assert errors[0].__traceback__ is not None


# -- Esam.segment_many


def test_paths_arrays_and_failures_in_one_order(tmp_path: Path) -> None:
    Image.fromarray(image(3)).save(tmp_path / "three.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    given = [image(2), tmp_path / "three.png", str(tmp_path / "broken.png"), np.zeros(3), image(4)]
    found = list(ESAM.segment_many(x for x in given))
    assert [key for key, _ in found] == [0, given[1], given[2], 3, 4]
    maps, errors = [found[k][1] for k in (0, 1, 4)], [found[k][1] for k in (2, 3)]
    assert [len(m) for m in maps] == [2, 3, 4]
    assert np.array_equal(maps[1].labels, ESAM.segment(given[1]).labels)
    assert isinstance(errors[0], ImageError)
    assert "broken.png" in str(errors[0])
    assert "image must have shape" in str(errors[1])


def test_views_of_many_images() -> None:
    (_, found), = ESAM.segment_many([image(4)], tile=16, overlap=15)  # fmt: skip
    assert isinstance(found, EntityMap)
    assert found.grid is None
    assert np.array_equal(found.labels, ESAM.segment(image(4), tile=16, overlap=15).labels)


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[int, int | None]] = []
    for k, _ in ESAM.segment_many([image(2)] * 3, progress=lambda *numbers: told.append(numbers)):
        assert told[-1] == (k + 1, 3)
    assert len(told) == 3
    list(ESAM.segment_many(iter([image(2)]), progress=lambda *numbers: told.append(numbers)))
    assert told[-1] == (1, None)
    list(ESAM.segment_many([image(2)] * 3, progress=True))
    assert "3/3" in capsys.readouterr().err


def test_stopping_early() -> None:
    for _ in ESAM.segment_many(itertools.repeat(image(2))):
        break
    results = ESAM.segment_many(itertools.repeat(image(2)))
    next(results)
    del results


def test_stopping_ends_a_divided_image_between_its_tiles() -> None:
    begun = threading.Event()

    class Slow(Painted):
        views = 0

        def embed(self, image: np.ndarray) -> Any:
            self.views += 1
            if self.views > 1:  # of the image that nobody waits for
                begun.set()
                time.sleep(0.3)
            return super().embed(image)

    esam = Esam(Slow(), ESAM.config)
    results = esam.segment_many([image(1), image(40)], workers=1, tile=24, overlap=0)
    next(results)
    assert begun.wait(PATIENCE)
    results.close()
    assert 2 <= esam.segmenter.views < 20  # of 21


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"images": "a.png"}, TypeError, "images must be an iterable of images, got str"),
        ({"images": Path("a.png")}, TypeError, r"images must be an iterable of images, got \w+Path"),
        ({"images": 3}, TypeError, "images must be an iterable of images, got int"),
        ({"images": image(2)}, ValueError, r"images must be several images, got one of shape \[16, 24, 3\]"),
        ({"workers": 0}, ValueError, "workers must be at least 1, got 0"),
        ({"workers": 1.5}, TypeError, "workers must be a whole number, got float"),
        ({"progress": "yes"}, TypeError, "progress must be None, True or callable, got str"),
        ({"tile": 5}, ValueError, "overlap must be less than tile, 5, got 256"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ESAM.segment_many(**{"images": [], **arguments})
