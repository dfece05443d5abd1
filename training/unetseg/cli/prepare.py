"""Read a data set once and write it preprocessed: two arrays and a JSON file that training reads.

DATASET is a folder in the nnU-Net v2 raw layout, that of the Medical Segmentation Decathlon, MM-WHS, or pairs of images
and labels. Patients are split here, once, so that no run trains on a test patient later.

  unetseg prepare Dataset001_Abdomen preprocessed/abdomen --test 3 --validation 2
  unetseg prepare Dataset001_Abdomen preprocessed/abdomen --test case0006,case0009 --spacing 1.5 --window -125,275
  unetseg prepare Dataset001_Abdomen preprocessed/abdomen --test 3 --plan plan.yaml --folds 5
  unetseg prepare Dataset001_Abdomen preprocessed/abdomen --test 3 --spacing 1.5 --size 192,256

What --spacing, --window and --size leave open is planned from the training cases to fit them; PREPROCESSED/plan.yaml
says what was chosen and why, and `unetseg train PREPROCESSED` executes it, edited or not.

Where PREPROCESSED exists already, DATASET and the options are compared with it instead, and nothing is written.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError

from ..console import print_line, progress, quoted
from ..output_folder import refuse_output_in_input
from .argument_types import non_negative_integer, non_negative_number, positive_number
from .dataset_options import add_dataset_options, open_dataset
from .parser import CommandParser

SMALLEST_SIZE = 16


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument("dataset", type=Path, help="folder of the data set")
    parser.add_argument("preprocessed", type=Path, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--spacing", type=positive_number, metavar="MM", help="pixel size in the slice (default: planned)"
    )
    parser.add_argument(
        "--window", default="", metavar="LOW,HIGH", help="HU range that the network sees (default: planned)"
    )
    parser.add_argument(
        "--size",
        default="",
        metavar="ROWS,COLUMNS",
        help="cut or pad slices to this about the body (default: whole slices)",
    )
    parser.add_argument("--plan", type=Path, metavar="YAML", help="plan.yaml that unetseg plan or prepare wrote")
    parser.add_argument(
        "--folds", type=non_negative_integer, default=0, metavar="N", help="divide the training patients into N folds"
    )
    add_dataset_options(parser)
    add_planning_options(parser)


def add_planning_options(parser: CommandParser) -> None:
    """Add the options that `plan` and `prepare` share: the GPU to plan for, and which patients are held out."""
    parser.add_argument(
        "--gpu-gb",
        type=non_negative_number,
        metavar="GB",
        help="plan for a GPU of this memory, 0 for a CPU (default: this machine's)",
    )
    parser.add_argument("--test", default="0", metavar="N|NAMES", help="test patients: how many, or their names")
    parser.add_argument("--validation", default="0", metavar="N|NAMES", help="patients to follow while training")
    parser.add_argument(
        "--seed", type=non_negative_integer, default=0, metavar="N", help="seed of the random choice of patients"
    )


def run(options: Any) -> None:
    """Preprocess the data set, or check one that exists."""
    from ..data.preprocessed_dataset import read_preprocessed_dataset
    from ..training.planning import gpu_memory_gb, read_plan
    from ..training.preparation import prepare, splits_of
    from ..training.preparation_checks import check_choices, check_sources

    refuse_output_in_input(options.preprocessed, [options.dataset])
    if options.spacing and not math.isfinite(options.spacing):
        raise InputError("--spacing is infinite; a pixel size in mm is expected, such as 0.8.")
    choices: dict[str, Any] = {
        "spacing_mm": options.spacing,
        "window_hu": _window_hu(options.window) if options.window else None,
        "slice_size": _slice_size(options.size) if options.size else None,
        "plan": read_plan(options.plan) if options.plan else None,
    }
    test, validation = patients_of(options.test), patients_of(options.validation)
    dataset = open_dataset(options)
    if (options.preprocessed / "pack.json").exists():
        written = read_preprocessed_dataset(options.preprocessed)
        check_sources(written, dataset)
        drawn = test or validation or options.folds
        splits = splits_of(dataset, test, validation, options.seed, options.folds) if drawn else None
        check_choices(written, options.preprocessed, **choices, splits=splits)
        print_line(f"{options.preprocessed} was prepared in this way from these files; nothing to do")
        return
    print_line(dataset.describe())
    gpu_gb = gpu_memory_gb() if options.gpu_gb is None else options.gpu_gb
    with progress("preparing", "cases") as show:
        written = prepare(
            dataset,
            options.preprocessed,
            **choices,
            test=test,
            validation=validation,
            seed=options.seed,
            folds=options.folds,
            gpu_gb=gpu_gb,
            progress=show,
        )
    slices, rows, columns = written.images.shape
    print_line(
        f"{options.preprocessed}: {counted(slices, 'slice')} of {rows} x {columns} pixels of "
        f"{written.preprocessing.pixel_mm:g} mm"
    )
    for split, names in written.splits.items():
        print_line(f"  {split:<10}  {len(names):>3}  {', '.join(names)}")
    folds = (
        f"; fold by fold: unetseg cross-validate {quoted(options.preprocessed)} --output RUNS" if options.folds else ""
    )
    print_line(
        f"{options.preprocessed / 'plan.yaml'} says how it will be trained: unetseg train {quoted(options.preprocessed)} "
        f"--output RUN{folds}"
    )


def _window_hu(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f'--window is "{text}"; two HU values are expected, such as -160,240.') from error
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f'--window is "{text}"; two finite HU values are expected, such as -160,240.')
    return low, high


def _slice_size(text: str) -> tuple[int, int]:
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdigit() and int(part) >= SMALLEST_SIZE for part in parts):
        raise InputError(
            f'--size is "{text}"; rows and columns of at least {SMALLEST_SIZE} pixels are expected, such as 192,256.'
        )
    return int(parts[0]), int(parts[1])


def patients_of(text: str) -> int | list[str]:
    """How many patients an option asks for, or their names."""
    return int(text) if text.isdigit() else [name for name in text.split(",") if name]
