"""Data sets on disk: which scans there are, where their labels lie and what the label values mean.

One file a layout; `read_dataset` finds out by itself which it is.
"""

from ..dataset import Case, DataSet, resampled
from .detection import LAYOUTS, declared_structures, holds_images, read_dataset

__all__ = ["LAYOUTS", "Case", "DataSet", "declared_structures", "holds_images", "read_dataset", "resampled"]
