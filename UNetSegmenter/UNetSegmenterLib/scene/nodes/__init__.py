"""MRML nodes in and out: scans, segmentations, label maps, results."""
