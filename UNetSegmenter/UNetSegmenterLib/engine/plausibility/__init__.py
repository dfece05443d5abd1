"""Plausibility of a segmentation without ground truth, as a list of findings; `plausibility_checks.check` is the entry."""
