"""Figures of scans, data sets and runs (matplotlib)."""
