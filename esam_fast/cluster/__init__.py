"""Images by the million on many machines, with Ray. Needs the extra "ray".

Ray places the work, starts anew what dies and scales the pool (`pool`); this package makes datasets of images
(`inputs`), segments them in the pool's processes (`worker`), counts what an image has brought down (`crashes`), leaves
out what is done (`resume`), and writes the files of a run into a folder (`files`). torch is imported by the pool, never
by the program that drives it.
"""

from __future__ import annotations

from esam_fast.cluster.datasets import segment_dataset
from esam_fast.cluster.inputs import images, webdataset

__all__ = ["images", "segment_dataset", "webdataset"]
