"""Check what `esam-fast demo --out DIR` wrote: the files agree with each other, and the things were found."""

import json
import sys
from pathlib import Path

import numpy as np
from faster_coco_eval.core import mask as rle
from PIL import Image

import esam_fast

# Points (x, y) of the photograph by the thing they lie on, set by hand: one thing has one label, two things have two.
THINGS = {
    "table": [(520, 60), (560, 370), (40, 200), (250, 10)],
    "cup and saucer": [(110, 200), (250, 340), (440, 210), (240, 240)],
    "spoon": [(365, 250), (350, 300), (385, 290)],
    "rim of the cup": [(320, 45), (190, 150), (390, 150)],
    "coffee": [(270, 150), (300, 165)],
    "corner behind the table": [(20, 20), (100, 10)],
}

out = Path(sys.argv[1])
picture = Image.open(Path(esam_fast.__file__).parent / "demo" / "coffee.jpg")
labels = np.asarray(Image.open(out / "coffee.png")).astype(np.int64)
records = json.loads((out / "coffee.json").read_text(encoding="utf-8"))
assert labels.shape == (picture.height, picture.width)
assert len(records) == labels.max(), (len(records), labels.max())
assert [r["score"] for r in records] == sorted((r["score"] for r in records), reverse=True)
for label, record in enumerate(records, start=1):
    assert (rle.decode(record["segmentation"]).astype(bool) == (labels == label)).all(), label
for name in ("coffee_overlay.jpg", "coffee_steps.jpg"):
    assert Image.open(out / name).width >= picture.width, name

found = {thing: {int(labels[y, x]) for x, y in points} for thing, points in THINGS.items()}
print(f"demo: {len(records)} entities, {(labels > 0).mean():.1%} covered; labels of {found}")
assert all(len(one) == 1 and one != {0} for one in found.values()), found
assert len(set.union(*found.values())) == len(THINGS), found
assert len(THINGS) <= len(records) <= 3 * len(THINGS), len(records)
