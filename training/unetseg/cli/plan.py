"""Read a data set and write a plan: spacing, HU window, network, batch and steps, each with the reason for it.

Edit the plan and pass it back: `unetseg prepare DATASET PREPROCESSED --plan PLAN`; then `unetseg train PREPROCESSED` executes it.
Only training cases are read: give the same --test, --validation and --seed as for `unetseg prepare`.

  unetseg plan Dataset001_Abdomen plan.yaml --gpu-gb 16 --test 3 --validation 2
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..console import print_line, warn
from ..output_folder import Outputs
from .dataset_options import add_dataset_options, open_dataset
from .parser import CommandParser


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    from .prepare import add_planning_options

    parser.add_argument("dataset", type=Path, help="folder of the data set")
    parser.add_argument("output", type=Path, help="YAML file to write")
    add_dataset_options(parser)
    add_planning_options(parser)


def outputs(options: Any) -> Outputs:
    """What this command writes and reads."""
    return Outputs(options.output, inputs=(options.dataset,))


def run(options: Any) -> None:
    """Write the plan and print its reasons."""
    from dataclasses import replace

    from ..data.fingerprint import check_spacings, dataset_facts, fingerprint
    from ..training.planning import gpu_memory_gb, make_plan, write_plan
    from ..training.preparation import splits_of
    from .prepare import patients_of

    dataset = open_dataset(options)
    print_line(dataset.describe())
    splits = splits_of(dataset, patients_of(options.test), patients_of(options.validation), options.seed)
    training = tuple(case for case in dataset.cases if case.name in splits["train"])
    held_out = len(dataset.cases) - len(training)
    print_line(
        f"planned from {len(training)} training cases"
        + (f"; {held_out} are held out" if held_out else ", which are all of them")
    )
    facts = dataset_facts(replace(dataset, cases=training))
    for warning in check_spacings({part.name: part.spacing_mm for part in facts}):
        warn(warning)
    plan = make_plan(fingerprint(facts), gpu_memory_gb() if options.gpu_gb is None else options.gpu_gb)
    write_plan(plan, options.output, dataset.name)
    for name, reason in plan.reasons.items():
        value = getattr(plan, name) if hasattr(plan, name) else getattr(plan.config, name)
        print_line(f"  {name:<18} {value!s:<16} {reason}")
    print_line(
        f"{options.output}: edit it as needed, then: unetseg prepare {options.dataset} PREPROCESSED --plan {options.output}"
    )
