"""Synthetic hearts with known anatomy, and deliberate corruptions of segmentations."""
