"""Check what `esam-fast demo --out DIR` wrote: the files agree with each other, and the scene's things were found."""

import json
import sys
from pathlib import Path

import numpy as np
from faster_coco_eval.core import mask as rle
from PIL import Image

from esam_fast.evaluate.covering import covering
from esam_fast.scene import scene_labels

out = Path(sys.argv[1])
picture = Image.open(out / "scene.png")
labels = np.asarray(Image.open(out / "entities.png")).astype(np.int64)
records = json.loads((out / "entities.json").read_text(encoding="utf-8"))
assert labels.shape == (picture.height, picture.width)
assert len(records) == labels.max() > 3, (len(records), labels.max())
assert [r["score"] for r in records] == sorted((r["score"] for r in records), reverse=True)
for label, record in enumerate(records, start=1):
    assert (rle.decode(record["segmentation"]).astype(bool) == (labels == label)).all(), label
for name in ("entities_overlay.jpg", "entities_steps.jpg"):
    assert Image.open(out / name).width >= picture.width, name

covered = covering(labels, [scene_labels() + 1])
print(f"demo: {len(records)} entities, {(labels > 0).mean():.1%} covered, covering of the true scene {covered:.2f}")
assert covered > 0.5
