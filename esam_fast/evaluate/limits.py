"""What annotations, results and label maps may cost, stated once and checked before anything is made of them.

Images may have `esam_fast.images.MAX_PIXELS`, and a JSON file `esam_fast._files.MAX_JSON_BYTES`.
"""

from __future__ import annotations

MAX_ENTITIES = 5_000  # annotated in one image
MAX_PREDICTIONS = 5_000  # for one image; tables of all pairs with the annotations take about 1 GB
MAX_AREA = 1e10  # pixels of an annotation; COCO's evaluation leaves out what is larger
MAX_OUTLINE = 10_000_000  # pixels that the polygons of one image go round; filling one takes 60 bytes for each
MAX_PNG_BYTES = 1 << 30  # of a label map, read into memory whole
