"""Options of every command that reads a labelled data set: which structures, and whether tilted scans are resampled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .parser import CommandParser
from .shared_options import add_resample

if TYPE_CHECKING:
    from ..data.dataset import Dataset


def add_dataset_options(parser: CommandParser) -> None:
    """Add --structures and --resample."""
    parser.add_argument(
        "--structures",
        metavar="NAMES",
        help='only these, all else is background; "liver,left kidney+right kidney=kidneys" merges two',
    )
    add_resample(parser)


def open_dataset(options: Any) -> Dataset:
    """The data set `options.dataset` with what the options choose."""
    from ..data.dataset import resampled
    from ..data.layouts.detection import read_dataset
    from ..data.structure_selection import selected

    dataset = read_dataset(options.dataset)
    dataset = resampled(dataset) if options.resample else dataset
    return dataset if options.structures is None else selected(dataset, options.structures)
