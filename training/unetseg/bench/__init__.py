"""Measurements: prediction speed and memory, and what the plausibility checks catch."""
