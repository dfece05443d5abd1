"""Compare two checkpoints by their evaluations on the same cases, structure by structure: is the second one better?

Differences are paired by case, with a 95 % interval, Wilcoxon's signed-rank test and Holm's correction over structures. Look
at the difference and its interval first: with five cases no p below 0.06 is possible.

  unetseg evaluate old.pt DATASET --split test --output evaluated/old
  unetseg evaluate new.pt DATASET --split test --output evaluated/new
  unetseg compare-models evaluated/old evaluated/new

`unetseg evaluate new.pt DATASET --baseline old.pt` does all three, with a section in the report.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError

from ..console import print_line, warn
from .parser import CommandParser


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument("first", type=Path, help="folder that unetseg evaluate wrote")
    parser.add_argument("second", type=Path, help="another one, on the same cases")
    parser.add_argument(
        "--measure", default="dice", help="dice, iou, precision, recall, nsd, hd95_mm, hd_mm or assd_mm"
    )


def run(options: Any) -> None:
    """Compare two evaluations and print the table."""
    from ..evaluation.paired_comparison import compare_paired, read_unseen
    from ..evaluation.result_table import print_pairs

    if options.first.resolve() == options.second.resolve():
        raise InputError(f"{options.second} is given twice; name the folders of two evaluations.")
    (first, second), seen = read_unseen((options.first, options.second), options.measure)
    if seen:
        kept = any(case in seen for case, _ in first)
        done = "are compared all the same, as there is no other" if kept else "are left out"
        warn(f"cases that one of the two was trained on {done}: {', '.join(seen)}")
    rows = compare_paired(first, second, less_is_better=options.measure.endswith("_mm"))
    print_pairs(rows, f"{options.measure}: {options.second} minus {options.first}, paired by case")
    alone = len(set(first) ^ set(second))
    if alone:
        print_line(f"left out: {counted(alone, 'value')} of one of the two only")
