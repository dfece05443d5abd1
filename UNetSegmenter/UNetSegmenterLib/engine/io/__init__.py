"""Volumes and their grids; image files and DICOM series in and out; files that are written atomically."""
