"""Layouts of data sets on disk, one file per layout; `detection.read_dataset` finds out which one a folder is in."""
