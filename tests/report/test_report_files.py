"""What a report writes: files beside the page, packed labels, names that cannot harm."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from entity_maps import IMAGE, blobs, entity_map, three_steps
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from esam_fast import report
from esam_fast.export import is_result
from esam_fast.render import entity_colours
from esam_fast.report.packing import packed, varints
from esam_fast.report.run import _natural, key_of

LABELS = blobs(120, 180, 12)


def value_of(path):
    """The object that a script hands over, after the line with its head."""
    head, call = path.read_bytes().splitlines()
    value = json.loads(call[call.index(b"(") + 1 : -2])
    assert json.loads(head.removeprefix(b"//")).items() <= value.items() or "sides" in value
    return value


def unpacked(text, shape):
    """A label map from its packed form, pixel by pixel."""
    numbers, value, shift = [], 0, 0
    for byte in base64.b64decode(text):
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(value)
            value = shift = 0
    flat = []
    for code, pixels in zip(numbers[::2], numbers[1::2], strict=True):
        for _ in range(pixels):
            flat.append(code - 1 if code else flat[-shape[1]])
    return np.array(flat, np.int32).reshape(shape)


def images_of(folder):
    return {path.name for path in (folder / "report" / "images").iterdir()}


def test_varints_by_hand():
    assert varints(np.array([0, 1, 127, 128, 300, 2**28])) == bytes([0, 1, 127, 128, 1, 172, 2, 128, 128, 128, 128, 1])


def test_packed_by_hand():
    labels = np.array([[0, 0, 5, 5], [0, 0, 5, 7]], np.int32)
    assert base64.b64decode(packed(labels)) == bytes([1, 2, 6, 2, 0, 3, 8, 1])


@given(
    arrays(np.int32, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.sampled_from([0, 1, 2, 200, 70_000]))
)
def test_packed_maps_come_back(labels):
    np.testing.assert_array_equal(unpacked(packed(labels), labels.shape), labels)


def test_a_run(tmp_path):
    with report.Writer(tmp_path, "A run", {"segmenter": "regions", "min_area": 4}) as writer:
        writer.add("b/10.png", IMAGE, three_steps())
        writer.add("b/9.png", IMAGE, entity_map(LABELS))
    assert {path.name for path in tmp_path.iterdir()} == {"index.html", "report"}
    index = value_of(tmp_path / "report" / "index.js")
    assert index["title"] == "A run"
    assert index["about"] == {"segmenter": "regions", "min_area": 4}
    assert [(image["name"], image["count"]) for image in index["images"]] == [("b/9.png", 12), ("b/10.png", 5)]
    assert images_of(tmp_path) == {
        image["key"] + suffix for image in index["images"] for suffix in (".js", ".jpg", "_thumb.jpg")
    }
    assert all(is_result(path) for path in (tmp_path / "report" / "images").glob("*.jpg"))


def test_an_image(tmp_path):
    entities = three_steps()
    with report.Writer(tmp_path, "A run") as writer:
        writer.add("a.png", IMAGE, entities)
    image = value_of(tmp_path / "report" / "images" / f"{key_of('a.png')}.js")
    assert value_of(tmp_path / "report" / "times.js") == {key_of("a.png"): {"total": 0.5}}
    np.testing.assert_array_equal(unpacked(image["map"]["labels"], LABELS.shape), entities.labels)
    assert image["map"]["colours"] == entity_colours(IMAGE, entities.labels).tolist()  # the overlay's
    assert image["areas"] == entities.areas.tolist()
    assert image["boxes"] == entities.boxes.tolist()
    assert [(stage["title"], stage["counts"]) for stage in image["stages"]] == [
        ("1. Find", {"masks": 4}),
        ("2. Refine", {"split": 1, "merged": 1}),
        ("3. Complete", {"added": 1}),
    ]
    assert image["stages"][1]["changed"] == {"split": [1, 2], "merged": [3]}


def test_large_images_are_shown_smaller_and_their_labels_too(tmp_path):
    labels = np.kron(blobs(20, 34, 30), np.ones((100, 100), np.int32))
    entities = entity_map(labels)
    report.Writer(tmp_path, "A run").add("a.png", np.zeros((2000, 3400, 3), np.uint8), entities)
    image = value_of(tmp_path / "report" / "images" / f"{key_of('a.png')}.js")
    assert (image["width"], image["height"]) == (3400, 2000)
    assert (image["map"]["width"], image["map"]["height"]) == (1600, 941)
    assert set(np.unique(unpacked(image["map"]["labels"], (941, 1600)))) == set(np.unique(labels))


@pytest.mark.parametrize(
    "labels", [np.zeros((5, 8), np.int32), np.ones((1, 1), np.int32), np.ones((1, 3000), np.int32)]
)
def test_odd_images(tmp_path, labels):
    report.Writer(tmp_path, "A run").add("a.png", np.zeros((*labels.shape, 3), np.uint8), entity_map(labels))
    assert value_of(tmp_path / "report" / "images" / f"{key_of('a.png')}.js")["scores"] == [0.9] * int(labels.max())


def test_no_image(tmp_path):
    report.Writer(tmp_path, "Nothing")
    assert value_of(tmp_path / "report" / "index.js") == {"title": "Nothing", "about": {}, "images": []}


def test_a_run_that_goes_on_keeps_what_is_there(tmp_path):
    report.Writer(tmp_path, "First", {"a": 1}).add("1.png", IMAGE, entity_map(LABELS))  # broken off: never closed
    report.build(tmp_path)
    index = value_of(tmp_path / "report" / "index.js")
    assert (index["title"], index["about"]) == ("First", {"a": 1})
    with report.Writer(tmp_path, "Second", {}) as writer:
        writer.add("2.png", IMAGE, entity_map(LABELS))
        writer.add("1.png", IMAGE, three_steps())  # again
    index = value_of(tmp_path / "report" / "index.js")
    assert index["title"] == "Second"
    assert [(image["name"], image["count"]) for image in index["images"]] == [("1.png", 5), ("2.png", 12)]


HOSTILE = [
    "<img src=x onerror=alert(1)>.jpg",
    "</script><script>alert(1)</script>",
    "a\u2028b\nalert(1)//.png",
    "../../up.png",
    "\udcff.jpg",
    "x" * 5000,
    "9" * 5000,
    "CON.png",
    "日本.png",
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_text(tmp_path, name):
    with report.Writer(tmp_path / "run", name) as writer:
        writer.add(name, IMAGE, entity_map(LABELS))
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
    script = tmp_path / "run" / "report" / "images" / f"{key_of(name)}.js"
    assert script.read_bytes().isascii()
    assert value_of(script)["name"] == name
    assert value_of(tmp_path / "run" / "report" / "index.js")["images"][0]["name"] == name
    page = Path(report.__file__).parent / "page" / "index.html"
    assert (tmp_path / "run" / "index.html").read_bytes() == page.read_bytes()  # no name ever gets into HTML


def test_numbers_in_names_sort_by_value():
    names = ["a1", "a02", "a2b", "a10", "a010c", "B1", "b007/9", "b007/10"]
    assert sorted((names[k] for k in (5, 2, 7, 0, 3, 6, 1, 4)), key=_natural) == names


def test_the_page_names_no_address_on_a_network():
    for path in (Path(report.__file__).parent / "page").iterdir():
        content = path.read_text("utf-8")
        assert "http" not in content, path.name
        assert 'src="//' not in content, path.name


def test_names_that_look_alike_have_files_of_their_own():
    names = ["a/b.png", "a-b.png", "A/B.png", "a/b.jpg", "a b"]
    assert len({key_of(name).casefold() for name in names}) == len(names)


def test_a_stranger_among_the_scripts(tmp_path):
    report.Writer(tmp_path, "A run")
    (tmp_path / "report" / "images" / "x.js").write_text("alert(1)")
    with pytest.raises(ValueError, match=r"x\.js: expected a script that a report's Writer wrote, got b'alert\(1\)'"):
        report.build(tmp_path)


@pytest.mark.parametrize("name", ["index.js", "images/x.js"])
@pytest.mark.parametrize(
    "head", ['{"name": []}', '{"title": "x"}', '{"name": "x", "count": "1"}', "[]", "[" * 20 + "]" * 20]
)
def test_a_script_with_another_head(tmp_path, name, head):
    report.Writer(tmp_path, "A run")
    (tmp_path / "report" / name).write_text(f"//{head}\n")
    with pytest.raises(ValueError, match=r"\.js: expected a script that a report's Writer wrote, got b'//"):
        report.build(tmp_path)


def test_wrong_arguments(tmp_path):
    with pytest.raises(TypeError, match="title must be a str, got int"):
        report.Writer(tmp_path, 1)
    with pytest.raises(ValueError, match="JSON"):
        report.Writer(tmp_path, "a", {"b": float("nan")})
    writer = report.Writer(tmp_path, "a")
    with pytest.raises(TypeError, match="name must be a str, got PosixPath"):
        writer.add(tmp_path, IMAGE, entity_map(LABELS))
    with pytest.raises(ValueError, match=r"image must have shape"):
        writer.add("a", IMAGE[:50], entity_map(LABELS))
    assert images_of(tmp_path) == set()


def test_compare(tmp_path):
    a, b = entity_map(np.repeat([[1, 1, 2, 3, 0]], 3, 0)), entity_map(np.repeat([[1, 2, 3, 3, 4]], 3, 0))
    image = np.zeros((3, 5, 3), np.uint8)
    assert report.compare(tmp_path, image, a, b, ("one", "two")) == tmp_path / "compare.html"
    found = value_of(tmp_path / "report" / "compare" / "data.js")
    assert [side["name"] for side in found["sides"]] == ["one", "two"]
    assert found["changes"] == {
        "split": [{"a": [1], "b": [1, 2]}],
        "merged": [{"a": [2, 3], "b": [3]}],
        "resized": [],
        "came": [{"a": [], "b": [4]}],
        "went": [],
        "kept": [],
    }


def test_compare_gives_what_is_the_same_one_colour(tmp_path):
    labels = blobs(60, 80, 9)
    other = np.where(np.arange(10) == 0, 0, (np.arange(10) + 3) % 9 + 1).astype(np.int32)
    image = np.full((60, 80, 3), 128, np.uint8)
    report.compare(tmp_path, image, entity_map(labels), entity_map(other[labels]))
    a, b = (np.array(side["colours"]) for side in value_of(tmp_path / "report" / "compare" / "data.js")["sides"])
    np.testing.assert_array_equal(b[other[1:]], a[1:])


def test_compare_wrong_arguments(tmp_path):
    a = entity_map(LABELS)
    with pytest.raises(ValueError, match=r"b\.labels must have shape"):
        report.compare(tmp_path, IMAGE, a, entity_map(np.ones((50, 180), np.int32)))
    with pytest.raises(TypeError, match="a must be an EntityMap, got list"):
        report.compare(tmp_path, IMAGE, [a], a)
    assert not any(tmp_path.iterdir())
