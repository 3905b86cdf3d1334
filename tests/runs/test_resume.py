"""A run goes on from what is there: what is done again, what is not, and what is refused."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import pytest
from painted import Painted
from small_runs import CONFIG, contents, entries, save

from esam_fast import EmrConfig, Esam, EsamConfig, MmgConfig
from esam_fast.runs import manifest as manifests
from esam_fast.runs.collect import collect
from esam_fast.runs.listing import Shard
from esam_fast.runs.manifest import Conflict, Manifest
from esam_fast.runs.outputs import Outputs
from esam_fast.runs.record import Made, Settings, made_by

ALL = ["a.png", "b.png", "sub/a.png", "sub/c d.png"]


def names(entries):
    return [entry["file_name"] for entry in entries]


def lines(path="out/manifest.jsonl"):
    return entries(Path(path))


def test_an_entry(segment):
    (entry, *_) = segment()
    (line, *_) = lines()
    assert line == entry
    status = os.stat("in/a.png")
    assert (line["path"], line["file_name"], line["name"]) == (os.path.join("in", "a.png"), "a.png", "a")
    assert (line["size"], line["mtime_ns"]) == (status.st_size, status.st_mtime_ns)
    assert (line["width"], line["height"], line["entities"], line["covered"]) == (36, 16, 3, 1.0)
    assert line["prompts"] == {"mmg": 16, "gallery": line["prompts"]["gallery"], "usr": 0}
    assert line["outputs"] == {"labels": ["a.png"], "coco": ["a.json"], "overlay": ["a_overlay.jpg"]}
    assert line["run"] == json.loads(Path("out/run.json").read_text())["hash"]


def test_nothing_is_done_twice(segment):
    assert names(segment()) == ALL
    before = contents(Path("out"))
    assert segment() == []
    assert contents(Path("out")) == before


def _touch():
    os.utime("in/b.png", ns=(1, 1))


def _longer():
    status = os.stat("in/b.png")
    save(Path("in/b.png"), 7)
    os.utime("in/b.png", ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [_touch, _longer, *(partial(os.remove, f"out/b{suffix}") for suffix in (".png", ".json", "_overlay.jpg"))],
    ids=["time", "size", "labels", "records", "overlay"],
)
def test_what_changed_or_is_gone_is_done_again(segment, change):
    segment()
    before = contents(Path("out"))
    change()
    assert names(segment()) == ["b.png"]
    assert contents(Path("out")).keys() == before.keys()
    assert segment() == []


def test_a_new_image_is_done(segment):
    segment()
    save(Path("in/0.png"))
    assert names(segment()) == ["0.png"]


def test_a_further_format_is_made_where_it_is_missing(segment):
    segment()
    os.remove("in/a.png")
    more = Outputs(("labels", "coco", "geojson"))
    assert names(segment(outputs=more)) == ALL[1:]
    save(Path("in/a.png"), 3)
    assert names(segment(outputs=more)) == ["a.png"]
    assert segment() == segment(outputs=more) == segment(outputs=Outputs(("geojson",), overlay=False)) == []


def test_fewer_formats_do_not_forget_the_others(segment):
    segment()
    assert names(segment(outputs=Outputs(("yolo",), overlay=False))) == ALL
    assert lines()[-1]["outputs"].keys() == {"labels", "coco", "overlay", "yolo"}
    assert segment() == []


def test_an_overlay_with_ids_replaces_the_one_without(segment):
    segment()
    assert names(segment(outputs=Outputs(ids=True))) == ALL
    assert segment(outputs=Outputs(ids=True)) == []
    assert names(segment()) == ALL


def test_failed_images_are_tried_again(segment):
    Path("in/b.png").write_text("no image")
    (failed,) = [entry for entry in segment() if "error" in entry]
    assert failed["file_name"] == "b.png"
    assert "expected an image" in failed["error"]
    assert names(segment()) == ["b.png"]
    save(Path("in/b.png"))
    assert "error" not in segment()[0]
    assert segment() == []


OTHERS = {
    "config": {"config": EsamConfig(MmgConfig(points_per_side=4), EmrConfig(points_per_side=4, delta=0.25))},
    "tile": {"settings": Settings(tile=20, overlap=4)},
    "wrap": {"settings": Settings(wrap=True)},
    "stretch": {"settings": Settings(stretch=True)},
    "min_area": {"settings": Settings(min_area=5)},
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_config_is_refused(segment, other):
    segment()
    before = contents(Path("out"))
    with pytest.raises(Conflict, match=r"out holds results of another config: .* there, .* here; choose another --out"):
        segment(**OTHERS[other])
    assert contents(Path("out")) == before
    assert names(segment(**OTHERS[other], overwrite=True)) == ALL
    assert segment(**OTHERS[other]) == []
    with pytest.raises(Conflict):
        segment()


def test_what_differs_is_named(segment):
    segment()
    with pytest.raises(Conflict, match=r"config: config\.emr\.delta 0\.05 there, 0\.25 here; choose"):
        segment(**OTHERS["config"])


def test_overlap_matters_only_with_views(segment):
    segment()
    assert segment(settings=Settings(overlap=3)) == []


def test_results_whose_run_json_is_lost_are_refused_too(segment):
    segment()
    os.remove("out/run.json")
    with pytest.raises(Conflict, match=r"another config: [0-9a-f]{16} in manifest\.jsonl, [0-9a-f]{16} here"):
        segment(**OTHERS["config"])


def test_overwriting_does_all_again(segment):
    segment()
    assert names(segment(overwrite=True)) == ALL
    assert len(lines()) == 4


def test_a_torn_last_line_is_cut_off(segment):
    segment()
    path = Path("out/manifest.jsonl")
    *whole, _ = path.read_bytes().splitlines(keepends=True)  # but the line that says it has ended
    path.write_bytes(b"".join(whole)[:-30])
    assert names(segment()) == [ALL[-1]]
    assert [line["file_name"] for line in lines()] == ALL
    path.write_bytes(b'{"file')
    assert names(segment()) == ALL


def test_a_run_that_has_ended_says_so_until_the_next_one_begins(segment):
    segment()
    path = Path("out/manifest.jsonl")
    run = json.loads(Path("out/run.json").read_text())["hash"]
    assert manifests.last_line(path) == {"run": run, "ended": manifests.last_line(path)["ended"]}
    assert manifests.last_line(path)["ended"] >= lines()[-1]["time"]
    for shard in (None, Shard(0, 2)):
        with pytest.raises(Conflict):
            segment(**OTHERS["config"], shard=shard)  # begins nothing
    assert len(manifests.all_in("out")) == 1
    assert "ended" in manifests.last_line(path)
    Manifest("out", made_by(Esam(Painted(), CONFIG))).close()
    assert "ended" not in manifests.last_line(path)
    assert segment() == []
    assert [("ended" in json.loads(line)) for line in path.read_text().splitlines()] == [False] * 4 + [True]


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"[]\n", b'{"ended": "now"}\n', b'{"ended": 1.0}', b"x" * 100_000 + b"\n"]
)
def test_last_lines_that_no_run_wrote(tmp_path, content):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(content)
    assert manifests.last_line(path) == {}
    path.write_bytes(content + b'\n{"ended": 2.5}\n')
    assert manifests.last_line(path) == {"ended": 2.5}


def test_lines_of_others_are_passed_over(segment):
    segment()
    path = Path("out/manifest.jsonl")
    path.write_bytes(b"no JSON\n" + path.read_bytes() + b'{"else": 1}\n')
    assert segment() == []


@pytest.mark.parametrize(
    "change",
    [
        {"file_name": 5}, {"file_name": "\ud900.png"}, {"time": "late"}, {"path": None}, {"run": {}}, {"size": "9"},
        {"mtime_ns": None}, {"width": [1]}, {"seconds": "1"}, {"covered": 10**400}, {"timings": []},
        {"timings": {"total": "1"}}, {"outputs": 5}, {"outputs": ["a"]},
        {"outputs": {"coco": "a.json"}}, {"outputs": {"coco": [5]}}, {"error": 5}, {"error": "", "outputs": 5},
        {"covered": float("inf")}, {"time": float("nan")}, {"more": json.loads("[" * 900 + "]" * 900)},
    ],
)  # fmt: skip
def test_a_line_with_rubbish_is_passed_over(segment, change):
    segment()
    path = Path("out/manifest.jsonl")
    path.write_text(
        path.read_text() + json.dumps({**lines()[0], "time": 1e12, **change}).replace("Infinity", "1e999") + "\n"
    )
    assert segment() == []
    assert collect("out").missing == []


def test_shards_know_what_the_whole_run_did_and_the_other_way(segment):
    segment()
    assert segment(shard=Shard(0, 2)) == segment(shard=Shard(1, 2)) == []
    segment(overwrite=True, shard=Shard(0, 2))
    assert not Path("out/manifest.jsonl").exists()
    one = {entry["file_name"] for entry in lines("out/manifest-0-of-2.jsonl")}
    assert set(names(segment())) == set(ALL) - one


def test_a_second_writer_is_refused(photos):
    made = Made({"segmenter": "x"}, {})
    first = Manifest("out", made)
    with pytest.raises(Conflict, match=r"manifest\.jsonl: another run is writing into out; wait for it, or choose"):
        Manifest("out", made)
    Manifest("out", made, Shard(0, 2)).close()
    first.close()
    Manifest("out", made).close()


def test_no_run_begins_anew_over_one_at_work(photos):
    made = Made({"segmenter": "x"}, {})
    first = Manifest("out", made, Shard(0, 2))
    with pytest.raises(Conflict, match=r"manifest-0-of-2\.jsonl: another run is writing into out; wait for it"):
        Manifest("out", made, overwrite=True)
    assert os.listdir("out") == ["manifest-0-of-2.jsonl"]
    first.close()
    Manifest("out", made, overwrite=True).close()
    assert os.listdir("out") == ["manifest.jsonl"]


def test_a_run_that_could_not_begin_leaves_no_manifest(photos):
    os.makedirs("out/manifest-0-of-2.jsonl")
    with pytest.raises(OSError, match=r"got a folder: 'out.manifest-0-of-2\.jsonl'"):
        Manifest("out", Made({"segmenter": "x"}, {}))
    assert os.listdir("out") == ["manifest-0-of-2.jsonl"]


def test_many_entries_are_found(photos):
    made = Made({"segmenter": "x"}, {})
    manifest = Manifest("out", made)
    about = {"path": "a", "run": made.hash, "size": 1, "mtime_ns": 2, "width": 1, "height": 1, "entities": 0}
    about |= {"covered": 0.0, "seconds": 0.1, "outputs": {}}
    for k in range(3000):
        manifest.add({"file_name": f"{k % 1000}.png", "time": k, "number": k, **about})
    manifest.close()
    again = Manifest("out", made)
    assert len(again) == 3000
    assert [again._same(f"{k}.png", 1, 2)["number"] for k in (0, 500, 999)] == [2000, 2500, 2999]
    assert again._same("0.png", 1, 3) is again._same("1000.png", 1, 2) is None
    again.close()


def test_the_manifests_of_a_folder(photos):
    for name in ("manifest.jsonl", "manifest-1-of-3.jsonl", "manifest-x.jsonl", "manifest-1-of-3.jsonl.old"):
        Path(name).touch()
    assert {path.name: shard for path, shard in manifests.all_in(".").items()} == {
        "manifest.jsonl": None,
        "manifest-1-of-3.jsonl": Shard(1, 3),
    }
