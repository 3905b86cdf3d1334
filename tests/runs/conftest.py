from small_runs import photos, segment

__all__ = ["photos", "segment"]
