"""A segmenter that runs anywhere: learned contours, a tree of regions over them, and a calibrated score.

A network of a quarter of a million weights (contours.onnx, in OpenCV's dnn) finds contours and an embedding of the
pixels. The basins of the contours become the leaves of a binary partition tree (`esam_fast.ops.region_tree`). Each
node gets a predicted IoU, from boosted trees fitted on human segmentations (calibration.json). A point's three masks
are nested nodes on the path from its leaf to the root. A stand-in, not SAM.
"""

from __future__ import annotations

from esam_fast.segmenters.regions.segmenter import NOTICE, RegionsEmbedding, RegionsSegmenter

__all__ = ["NOTICE", "RegionsEmbedding", "RegionsSegmenter"]
