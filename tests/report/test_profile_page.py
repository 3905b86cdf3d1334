"""The page of `esam-fast profile` in Chromium: nothing is cut off, on a desktop and on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scene import scene
from windows import resize

from esam_fast import Esam, load_segmenter, profiling

pytestmark = pytest.mark.browser
OUTSIDE = """
return [...document.querySelectorAll('svg')].flatMap((svg) => {
  const frame = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text, rect, circle')].filter((part) => {
    const box = part.getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1
        || box.top < frame.top - 2 || box.bottom > frame.bottom + 2;
  }).map((part) => part.textContent || part.outerHTML);
});
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images, beside the paper and an earlier run."""
    esam = Esam(load_segmenter("regions"))
    sizes = {"a.png": (96, 64), "a photograph of a rather long name.png": (64, 96)}
    measured = [profiling.measure(esam, scene(*size), runs=3, name=name) for name, size in sizes.items()]
    found = profiling.report(measured)
    compared = profiling.compare(found, profiling.report(measured[::-1]), 10)
    path = tmp_path_factory.mktemp("profile") / "profile.html"
    path.write_text(profiling.page(found | {"paper_needs": []}, compared, "old.json"), encoding="utf-8")
    return path


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (400, 800)])
def test_nothing_is_cut_off(browser: Any, page: Path, width: int, height: int) -> None:
    resize(browser, width, height, phone=width < 500)
    browser.get(page.as_uri())
    assert len(browser.find_elements("css selector", "svg")) == 11  # a bar, eight spreads, two comparisons
    assert browser.execute_script(OUTSIDE) == []
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
