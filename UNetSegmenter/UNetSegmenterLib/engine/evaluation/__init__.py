"""A segmentation compared with its reference: measures, statistics over cases, error map, a reviewer's verdict."""
