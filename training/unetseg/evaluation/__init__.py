"""A checkpoint on a test set: prediction, comparison with the reference, paired tests."""
