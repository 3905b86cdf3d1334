"""SAM in torch. Importing this needs torch and segment_anything (the extra "sam")."""

from __future__ import annotations

from esam_fast.segmenters.sam.models import family, largest_fitting, load_sam, untrained
from esam_fast.segmenters.sam.segmenter import SamEmbedding, SamSegmenter

__all__ = ["SamEmbedding", "SamSegmenter", "family", "largest_fitting", "load_sam", "untrained"]
