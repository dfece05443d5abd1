"""Anatomical structures and their terminology; segmentations, label maps and the files that hold them; matching."""
