"""Large images and panoramas, seen in overlapping windows: which ones, and their label maps made into one."""
