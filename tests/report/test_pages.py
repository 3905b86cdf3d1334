"""The pages in Chromium: every control used by a script, offline, from the disk."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from entity_maps import IMAGE, blobs, entity_map, three_steps
from waiting import until
from windows import resize

from esam_fast import report
from esam_fast.render import entity_colours

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=alert(1)>&amp;.png"
LABELS = blobs(120, 180, 12)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images: of 5 entities with stages, of 12, and of none, the last of a hostile name."""
    folder = tmp_path_factory.mktemp("run")
    with report.Writer(folder, "<b>A run</b>", {"segmenter": "regions", "config": {"min_area": 4}}) as writer:
        times = {"embed": 0.3, "usr": 0.0, "decode": 0.15, "total": 0.5}
        prompts = {"mmg": 1024, "gallery": 560, "usr": 3}
        writer.add("a.png", IMAGE, replace(three_steps(), timings=times, prompts=prompts))
        writer.add("b.png", IMAGE, entity_map(LABELS))
        writer.add(HOSTILE, IMAGE, entity_map(np.zeros_like(LABELS)))
    return folder


@pytest.fixture
def page(browser: Any, run: Path) -> Any:
    browser.get((run / "index.html").as_uri())
    until(lambda: len(texts(browser, "#cards .name")) == 3)
    return browser


@pytest.fixture
def opened(page: Any) -> Any:
    """The image with stages, opened."""
    click(page, "#cards li:nth-child(2) a")
    until(lambda: ready(page, "a.png"))
    return page


def one(page: Any, css: str) -> Any:
    return page.find_element("css selector", css)


def texts(page: Any, css: str) -> list[str]:
    return [
        " ".join(element.text.split()) for element in page.find_elements("css selector", css) if element.is_displayed()
    ]


def click(page: Any, css: str) -> None:
    one(page, css).click()


def press(page: Any, key: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(page).send_keys(key).perform()


def ready(page: Any, name: str) -> bool:
    """Whether this image is open and all there."""
    if texts(page, "#name") != [name]:
        return False
    return one(page, "#viewer").get_attribute("data-state") == "ready" and one(page, "#photo").get_property("complete")


def point(page: Any, x: float, y: float, *, click: bool = False) -> None:
    """Move the mouse over the picture, to a pixel of the image."""
    from selenium.webdriver.common.action_chains import ActionChains

    picture = one(page, "#picture")
    size = picture.size
    dx, dy = (x + 0.5) / 180 * size["width"] - size["width"] / 2, (y + 0.5) / 120 * size["height"] - size["height"] / 2
    action = ActionChains(page).move_to_element_with_offset(picture, round(dx), round(dy))
    (action.click() if click else action).perform()


def slide(page: Any, css: str, value: float) -> None:
    """Move a slider to a value, as a person would: the page hears of it."""
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"
    page.execute_script(script, one(page, css), value)


def seen(page: Any, css: str) -> np.ndarray:
    """What an element looks like: uint8 [h, w, 3] RGB."""
    png = np.frombuffer(one(page, css).screenshot_as_png, np.uint8)
    return cv2.cvtColor(cv2.imdecode(png, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def colour_at(page: Any, x: float, y: float) -> np.ndarray:
    picture = seen(page, "#picture")
    row, column = int((y + 0.5) / 120 * picture.shape[0]), int((x + 0.5) / 180 * picture.shape[1])
    return picture[row - 1 : row + 2, column - 1 : column + 2].reshape(-1, 3).mean(0)


# --- the gallery


def test_gallery(page):
    assert page.title == "<b>A run</b>"
    assert texts(page, "#title") == ["<b>A run</b>"]
    assert texts(page, "#summary") == ["3 images, 17 entities"]
    assert texts(page, "#cards .name") == [HOSTILE, "a.png", "b.png"]
    assert texts(page, "#cards .count") == ["0 entities", "5 entities", "12 entities"]
    assert page.find_elements("css selector", "img[src=x], #cards b") == []
    click(page, "#about summary")
    assert texts(page, "#about dd") == ["regions", '{"min_area":4}']


def test_images_are_found_and_sorted(page):
    one(page, "#find").send_keys("B.p")
    assert texts(page, "#cards .name") == ["b.png"]
    assert texts(page, "#found") == ["1 of 3"]
    one(page, "#find").clear()
    one(page, "#find").send_keys("png")
    click(page, "#sort option[value=most]")
    assert texts(page, "#cards .count") == ["12 entities", "5 entities", "0 entities"]
    click(page, "#sort option[value=fewest]")
    assert texts(page, "#cards .count") == ["0 entities", "5 entities", "12 entities"]


def test_the_gallery_by_keys(page):
    focused = "return document.activeElement.querySelector('.name').textContent"
    press(page, "\ue014")  # right: the first card
    press(page, "\ue014")
    assert page.execute_script(focused) == "a.png"
    press(page, "\ue012")  # left
    assert page.execute_script(focused) == HOSTILE
    press(page, "\ue014")
    press(page, "\ue007")  # enter
    until(lambda: ready(page, "a.png"))
    press(page, "\ue00c")  # escape
    until(lambda: len(texts(page, "#cards .name")) == 3)
    assert page.execute_script(focused) == "a.png"  # where it was


# --- an image


def test_the_picture_is_tinted_in_the_overlays_colours(opened):
    entities = three_steps()
    colours = entity_colours(IMAGE, entities.labels)
    for label, (x, y) in {1: (30, 30), 2: (30, 90), 5: (160, 60)}.items():
        assert entities.at(x, y) == label
        around = IMAGE[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(0)
        assert np.abs(colour_at(opened, x, y) - (0.5 * around + 0.5 * colours[label])).max() < 12


def test_hover_tells_what_an_entity_is(opened):
    plain = seen(opened, "#picture")
    point(opened, 160, 60)
    assert texts(opened, "#tip") == ["#5, score 0.500, 20.0 %"]
    assert (np.abs(seen(opened, "#picture").astype(int) - (255, 225, 0)).max(2) < 8).sum() > 500  # outlined
    point(opened, 135, 60)
    assert texts(opened, "#tip") == []  # no entity
    np.testing.assert_array_equal(seen(opened, "#picture"), plain)


def test_click_shows_an_entity_and_its_cut_out(opened):
    point(opened, 30, 30, click=True)
    assert texts(opened, "#entity-name") == ["Entity 1"]
    assert texts(opened, "#entity-facts dd") == ["0.9000", "0.8000", "3,600 px, 16.7 %", "60 x 60 px at 0, 0"]
    assert one(opened, '#entities li[data-label="1"] button').get_attribute("aria-pressed") == "true"
    cut = cv2.resize(seen(opened, "#cutout"), (60, 60), interpolation=cv2.INTER_AREA)
    assert np.abs(cut.astype(int) - IMAGE[:60, :60]).mean() < 6
    point(opened, 135, 60, click=True)  # no entity
    assert texts(opened, "#entity-name") == []


def test_entities_are_chosen_from_the_list(opened):
    click(opened, '#entities li[data-label="3"] button')
    assert texts(opened, "#entity-name") == ["Entity 3"]
    click(opened, "#close")
    assert texts(opened, "#entity-name") == []
    click(opened, '#entities li[data-label="3"] button')
    click(opened, '#entities li[data-label="3"] button')  # again: closed
    assert texts(opened, "#entity-name") == []
    click(opened, '#entities li[data-label="3"] button')
    press(opened, "\ue00c")  # escape closes the entity first ...
    assert texts(opened, "#entity-name") == []
    assert texts(opened, "#name") == ["a.png"]
    press(opened, "\ue00c")  # ... then the image
    until(lambda: texts(opened, "#name") == [])


def test_filters(opened):
    assert texts(opened, "#shown") == ["5"]
    slide(opened, "#score", 75)
    assert texts(opened, "#score-value") == ["0.75"]
    assert texts(opened, "#shown") == ["2 of 5"]
    assert texts(opened, "#entities .number") == ["#1", "#2"]
    assert np.abs(colour_at(opened, 160, 60) - IMAGE[59:62, 159:162].reshape(-1, 3).mean(0)).max() < 12  # bare
    point(opened, 160, 60)
    assert texts(opened, "#tip") == []
    slide(opened, "#score", 0)
    slide(opened, "#area", 100)  # the largest: 16 x 8 cells of 36 pixels
    assert texts(opened, "#area-value") == ["4,608 px"]
    assert texts(opened, "#entities .number") == ["#3"]
    slide(opened, "#area", 0)
    assert texts(opened, "#shown") == ["5"]


def test_what_is_filtered_out_is_no_longer_selected(opened):
    click(opened, '#entities li[data-label="5"] button')
    slide(opened, "#score", 75)
    assert texts(opened, "#entity-name") == []


def test_colour_slider(opened):
    press(opened, "0")
    plain = colour_at(opened, 30, 30)
    press(opened, "4")
    slide(opened, "#alpha", 0)
    assert np.abs(colour_at(opened, 30, 30) - plain).max() < 3
    slide(opened, "#alpha", 100)
    colours = entity_colours(IMAGE, three_steps().labels)
    assert np.abs(colour_at(opened, 30, 30) - colours[1]).max() < 3


def test_stages(opened):
    names = ["Image", "1. Find: 4 masks", "2. Refine: 1 split, 1 merged", "3. Complete: 1 added", "Result: 5 entities"]
    assert texts(opened, "#stages span") == names
    looks = []
    for k in range(5):
        click(opened, f"#stages label:nth-of-type({k + 1})")
        looks.append(seen(opened, "#picture"))
    assert len({look.tobytes() for look in looks}) == 5
    click(opened, "#stages label:nth-of-type(2)")
    point(opened, 30, 30)
    assert texts(opened, "#tip") == ["Mask 1 over mask 4"]
    assert "two masks overlap" in one(opened, "#legend").text
    press(opened, "2")
    assert one(opened, "#stages label:nth-of-type(3) input").is_selected()
    point(opened, 30, 90)
    assert texts(opened, "#tip") == ["Mask 2, split"]
    assert "split in this step" in one(opened, "#legend").text
    orange = np.abs(seen(opened, "#picture").astype(int) - (255, 140, 0)).max(2) < 8
    assert orange[:, : orange.shape[1] // 3].sum() > 500  # what was split is on the left
    assert orange[:, orange.shape[1] // 3 + 20 :].sum() == 0
    click(opened, '#entities li[data-label="5"] button')  # beside the stage's marks, not in their place
    both = seen(opened, "#picture").astype(int)
    assert (np.abs(both - (255, 140, 0)).max(2) < 8).sum() == orange.sum()
    assert (np.abs(both - (255, 225, 0)).max(2) < 8).sum() > 500
    slide(opened, "#score", 75)  # the filters are those of the result
    assert one(opened, "#stages label:nth-of-type(5) input").is_selected()


def test_timings_and_prompts(opened):
    assert texts(opened, "#seconds") == ["0.50 s"]
    assert texts(opened, "#timings dt") == ["embed", "decode"]
    assert texts(opened, "#timings dd") == ["0.300 s", "0.150 s"]
    bars = "return [...document.querySelectorAll('#timings dd')].map((bar) => getComputedStyle(bar, '::before').width)"
    embed, decode = (float(width.removesuffix("px")) for width in opened.execute_script(bars))
    assert abs(decode / embed - 0.5) < 0.01
    assert texts(opened, "#prompts") == ["Points asked: 1024 at first, 560 for guidance, 3 where nothing was found"]


def test_from_image_to_image(opened):
    assert texts(opened, "#position") == ["2 of 3"]
    press(opened, "\ue014")
    until(lambda: ready(opened, "b.png"))
    assert texts(opened, "#shown") == ["12"]
    assert not one(opened, "#next").is_enabled()
    click(opened, "#previous")
    until(lambda: ready(opened, "a.png"))
    press(opened, "\ue012")
    until(lambda: ready(opened, HOSTILE))
    assert texts(opened, "#shown") == ["0"]
    assert not one(opened, "#previous").is_enabled()
    click(opened, "#next")
    until(lambda: ready(opened, "a.png"))
    slide(opened, "#alpha", 30)
    one(opened, "#alpha").send_keys("\ue014")  # an arrow in a slider moves the slider alone
    assert texts(opened, "#alpha-value") == ["31 %"]
    assert texts(opened, "#name") == ["a.png"]
    click(opened, "#back")
    until(lambda: len(texts(opened, "#cards .name")) == 3)


def test_the_chosen_stage_stays_where_the_next_image_has_it(opened):
    press(opened, "0")
    press(opened, "\ue014")
    until(lambda: ready(opened, "b.png"))
    assert texts(opened, "#stages span") == ["Image", "Result: 12 entities"]
    assert one(opened, "#stages label:nth-of-type(1) input").is_selected()
    press(opened, "\ue012")
    until(lambda: ready(opened, "a.png"))
    press(opened, "2")
    press(opened, "\ue014")
    until(lambda: ready(opened, "b.png"))
    assert one(opened, "#stages label:nth-of-type(2) input").is_selected()  # no such stage: the result


def test_the_browsers_own_back(opened):
    opened.back()
    until(lambda: len(texts(opened, "#cards .name")) == 3)
    opened.forward()
    until(lambda: texts(opened, "#name") == ["a.png"])


def test_an_image_whose_script_is_gone(browser, run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    for script in (tmp_path / "run" / "report" / "images").glob("b-*.js"):
        script.unlink()
    browser.get((tmp_path / "run" / "index.html").as_uri())
    until(lambda: len(texts(browser, "#cards .name")) == 3)
    click(browser, "#cards li:nth-child(3) a")
    until(lambda: texts(browser, "#trouble"))
    assert "cannot be read: is the folder report complete?" in texts(browser, "#trouble")[0]
    press(browser, "\ue012")
    until(lambda: ready(browser, "a.png"))
    assert texts(browser, "#trouble") == []
    assert all("ERR_FILE_NOT_FOUND" in entry["message"] for entry in browser.get_log("browser"))


def test_a_phone(page):
    resize(page, 390, 844, phone=True)
    assert page.execute_script("return document.documentElement.scrollWidth") <= 390
    tap(page, "#cards li:nth-child(2) a")
    until(lambda: ready(page, "a.png"))
    assert page.execute_script("return document.documentElement.scrollWidth") <= 390
    tap(page, "#picture", 0.75, 0.5)
    assert texts(page, "#tip") == texts(page, "#entity-name") == []  # no entity there
    tap(page, "#picture", 1 / 6, 1 / 4)
    assert texts(page, "#tip") == ["#1, score 0.900, 16.7 %"]
    assert one(page, "#entity-name").text == "Entity 1"
    assert page.execute_script("return scrollY") == 0  # the picture stays in view


def tap(page: Any, css: str, x: float = 0.5, y: float = 0.5) -> None:
    box = one(page, css).rect
    place = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [place]})
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_dark_and_light(page):
    ground = "return getComputedStyle(document.body).backgroundColor"
    found = []
    for scheme in ("light", "dark", ""):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        found.append(page.execute_script(ground))
    assert found[:2] == ["rgb(250, 250, 248)", "rgb(20, 20, 22)"]


def test_every_control_has_a_name(opened):
    click(opened, '#entities li[data-label="1"] button')
    for element in opened.find_elements("css selector", "button, input, select, a, [role=img]"):
        if element.is_displayed():
            assert element.accessible_name.strip(), element.get_attribute("outerHTML")


# --- many images


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    with report.Writer(folder, "Many") as writer:
        for k in range(300):
            writer.add(f"image {k}.png", IMAGE, entity_map(LABELS))
    return folder


def test_many_images_open_at_once_and_load_when_they_are_looked_at(browser, many):
    browser.get((many / "index.html").as_uri())
    until(lambda: browser.execute_script("return document.querySelectorAll('#cards li').length") == 300)
    until(lambda: browser.execute_script("return document.querySelector('#cards img').naturalWidth") > 0)
    loaded = "return [...document.images].filter((image) => image.naturalWidth > 0).length"
    assert browser.execute_script(loaded) < 100
    assert texts(browser, "#cards .name")[9:11] == ["image 9.png", "image 10.png"]
    one(browser, "#find").send_keys("299")
    click(browser, "#cards a")
    until(lambda: ready(browser, "image 299.png"))
    assert browser.execute_script("return viewer.kept.size") == 1


# --- two results


@pytest.fixture
def comparison(browser: Any, tmp_path: Path) -> Any:
    after = LABELS.copy()
    after[LABELS == 2] = 1  # merged
    after[:, 100:][LABELS[:, 100:] == 3] = 2  # split, unless all of it lies on one side
    after[LABELS == 4] = 0  # gone
    page = report.compare(tmp_path, IMAGE, entity_map(LABELS), entity_map(relabelled(after)), ("as is", "<i>new</i>"))
    browser.get(page.as_uri())
    until(lambda: one(browser, "body").get_attribute("data-state") == "ready")
    return browser


def relabelled(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)


def test_comparison(comparison):
    assert texts(comparison, "#name-a") == ["a: as is"]
    assert texts(comparison, "#name-b") == ["b: <i>new</i>"]
    words = [line.split(maxsplit=1) for line in texts(comparison, "#changes summary")]
    assert [word for _, word in words] == [
        "split in b", "merged in b", "grew or shrank", "came: only in b", "went: only in a", "kept",
    ]  # fmt: skip
    assert words[1][0] == words[4][0] == "1"
    assert texts(comparison, ".merged button") == ["a1 a2 → b1"]
    assert texts(comparison, ".went button") == ["a4"]


def differ(a: np.ndarray, b: np.ndarray) -> float:
    """Share of pixels that look different; scaling may round differently beside an edge."""
    return float((np.abs(a.astype(int) - b).max(axis=2) > 40).mean())


def test_swipe(comparison):
    slide(comparison, "#swipe", 100)
    a = seen(comparison, "#picture")
    slide(comparison, "#swipe", 0)
    b = seen(comparison, "#picture")
    slide(comparison, "#swipe", 50)
    half = seen(comparison, "#picture")
    middle = a.shape[1] // 2
    assert (
        differ(half[:, : middle - 30], a[:, : middle - 30])
        < 0.001
        < differ(half[:, : middle - 30], b[:, : middle - 30])
    )
    assert (
        differ(half[:, middle + 30 :], b[:, middle + 30 :])
        < 0.001
        < differ(half[:, middle + 30 :], a[:, middle + 30 :])
    )
    point(comparison, 45, 60, click=True)  # the divider follows the pointer
    assert abs(float(one(comparison, "#swipe").get_attribute("value")) - 25) < 1.5
    press(comparison, "\ue014")
    assert abs(float(one(comparison, "#swipe").get_attribute("value")) - 27) < 1.5


def test_what_changed_is_outlined_on_both_sides(comparison):
    plain = seen(comparison, "#picture")
    click(comparison, ".merged button")
    assert one(comparison, ".merged button").get_attribute("aria-pressed") == "true"
    click(comparison, "h1")  # the pointer away from the list
    for at in (0, 100):
        slide(comparison, "#swipe", at)
        assert (np.abs(seen(comparison, "#picture").astype(int) - (255, 225, 0)).max(2) < 8).sum() > 500
    slide(comparison, "#swipe", 50)
    press(comparison, "\ue00c")
    assert differ(seen(comparison, "#picture"), plain) == 0


def test_comparison_tells_entities_of_the_side_under_the_pointer(comparison):
    y, x = (int(v) for v in np.argwhere(LABELS == 4).mean(0))
    slide(comparison, "#swipe", 100)
    point(comparison, x, y)
    assert texts(comparison, "#tip")[0].startswith("a4, ")
    slide(comparison, "#swipe", 0)
    point(comparison, x + 1, y)
    assert texts(comparison, "#tip") == []
    click(comparison, ".kept summary")
    assert texts(comparison, ".kept button")[-1].endswith("IoU 1.000")


def test_the_page_of_the_command(browser, tmp_path):
    from click.testing import CliRunner

    from esam_fast.cli import main
    from esam_fast.cli.demo import PHOTO

    settings = ["--segmenter", "regions", "--b", "mmg.score_threshold=0.7,usr.enabled=false"]
    done = CliRunner().invoke(main, ["compare", str(PHOTO), *settings, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    browser.get((tmp_path / "compare.html").as_uri())
    until(lambda: one(browser, "body").get_attribute("data-state") == "ready")
    assert texts(browser, "#name-b") == ["b: mmg.score_threshold=0.7, usr.enabled=false"]
    went = int(texts(browser, "#changes details.went summary")[0].split()[0])
    assert went > 0
    assert f", {went} went, " in done.stdout
    looks = []
    for at in (0, 100):
        slide(browser, "#swipe", at)
        looks.append(seen(browser, "#picture"))
    assert differ(*looks) > 0.05
