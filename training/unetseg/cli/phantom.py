"""Write synthetic hearts in the layout of MM-WHS, to try the commands on before there is real data.

  unetseg phantom hearts --count 12
  unetseg prepare hearts preprocessed/hearts --test 2 --validation 2

A network that segments phantoms says nothing about patients.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError

from ..console import print_line
from ..output_folder import Outputs, output_folder
from .argument_types import integer, non_negative_integer
from .parser import CommandParser


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument("output", type=Path, metavar="DIR", help="folder for the scans and labels")
    parser.add_argument("--count", type=integer, default=12, help="how many hearts")
    parser.add_argument(
        "--seed",
        type=non_negative_integer,
        default=0,
        help="seed of the first heart; the next heart takes the next number",
    )
    parser.add_argument("--size", type=integer, default=128, metavar="PIXELS", help="rows and columns of a slice")
    parser.add_argument("--slices", type=integer, default=80, help="slices of a scan")
    parser.add_argument("--axial", action="store_true", help="all stored as LPS; else orientations vary, as in MM-WHS")


def outputs(options: Any) -> Outputs:
    """What this command writes and reads."""
    return Outputs(options.output, ("ct_train_*_image.nii.gz", "ct_train_*_label.nii.gz"))


def run(options: Any) -> None:
    """Write the hearts."""
    from ..synthetic.phantom_cases import write_phantoms

    if options.count < 1 or options.size < 16 or options.slices < 4:
        raise InputError(
            f"{counted(options.count, 'heart')} of {counted(options.slices, 'slice')} of {counted(options.size, 'pixel')} can't "
            "be made; at least one of 4 slices of 16 pixels is expected."
        )
    shape = (options.slices, options.size, options.size)
    with output_folder(options.output) as folder:
        pairs = write_phantoms(
            folder, options.count, options.seed, shape=shape, orientation="lps" if options.axial else "varied"
        )
    print_line(
        f"{options.output}: {counted(len(pairs), 'scan')} with labels, {pairs[0][0].name} to {pairs[-1][0].name}"
    )
