"""Structures, segmentations and label maps, and the files that hold them."""
