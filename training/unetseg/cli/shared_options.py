"""Options that several commands have, each written once."""

from __future__ import annotations

from pathlib import Path

from .parser import CommandParser


def add_device(parser: CommandParser) -> None:
    """Add the option --device."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")


def add_checkpoints(parser: CommandParser) -> None:
    """Add the option --checkpoint, which takes one file or those of an ensemble."""
    parser.add_argument(
        "--checkpoint",
        type=Path,
        action="append",
        metavar="FILE",
        help="trained checkpoint (default: the one that is shipped), or several of one architecture, which are an ensemble",
    )
    parser.model_files.add("--checkpoint")


def add_mirror(parser: CommandParser) -> None:
    """Add the option --mirror."""
    parser.add_argument(
        "--mirror",
        action="store_true",
        help="average over mirrored slices too, where the network was trained with them (nnU-Net's test-time augmentation): "
        "up to four times as long; a baseline is not mirrored",
    )


def add_no_postprocessing(parser: CommandParser) -> None:
    """Add the option --no-postprocessing."""
    parser.add_argument(
        "--no-postprocessing",
        action="store_true",
        help="leave the labels as the network makes them, where the card would remove components or fill cavities",
    )


def add_precision(parser: CommandParser, explanation: str = "") -> None:
    """Add the option --precision, for a prediction unless another `explanation` is given."""
    from UNetSegmenterLib.engine.model.device import PRECISIONS

    of_prediction = (
        "auto is the fastest that keeps its labels; bfloat16 makes an imported nnU-Net faster on a CPU that has it, with "
        "labels that differ a little"
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help=f"what the network computes in: {explanation or of_prediction}",
    )


def add_resample(parser: CommandParser) -> None:
    """Add the option --resample."""
    parser.add_argument(
        "--resample",
        action="store_true",
        help="resample tilted or uneven slices to a straight, even grid instead of refusing them (docs/datasets.md)",
    )


def add_distinct_colors(parser: CommandParser) -> None:
    """Add the option --distinct-colors."""
    parser.add_argument(
        "--distinct-colors",
        action="store_true",
        help="report and pictures in colours that one can tell apart, also with red-green blindness, instead of Slicer's",
    )
