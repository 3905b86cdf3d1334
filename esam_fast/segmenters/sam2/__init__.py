"""SAM 2.1 in torch, on images. Importing this needs SAM's packages and sam2 (the extra "sam2")."""

from __future__ import annotations

from esam_fast.segmenters.sam2.models import load_sam2
from esam_fast.segmenters.sam2.segmenter import Sam2Segmenter

__all__ = ["Sam2Segmenter", "load_sam2"]
