"""Data sets: layouts on disk, fingerprint, splits, and the preprocessed data set that training reads."""
