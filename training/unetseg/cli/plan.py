"""Read a data set and write a plan: spacing, HU window, network, batch and steps, each with the reason for it.

Edit the plan and pass it back: `unetseg prepare DATASET PREPROCESSED --plan PLAN`; then `unetseg train PREPROCESSED` executes it.
Only training cases are read: give the same --test, --validation and --seed as for `unetseg prepare`. A few steps are tried on
made-up slices, to say about how long the training will take on this machine and how much memory it needs.

  unetseg plan Dataset001_Abdomen plan.yaml --gpu-gb 16 --test 3 --validation 2
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.counting import counted

from ..console import print_line, quoted, warn
from ..output_folder import Outputs
from .dataset_options import add_dataset_options, open_dataset
from .parser import CommandParser

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.labels.structures import Structure

    from ..training.planning import Plan


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    from .prepare import add_planning_options

    parser.add_argument("dataset", type=Path, help="folder of the data set")
    parser.add_argument("output", type=Path, help="YAML file to write")
    add_dataset_options(parser)
    add_planning_options(parser)


def outputs(options: Any) -> Outputs:
    """What this command writes and reads."""
    return Outputs(options.output, inputs=(options.dataset,), endings=(".yaml", ".yml"))


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
        f"planned from {counted(len(training), 'training case')}"
        + (f"; {held_out} are held out" if held_out else ", which are all of them")
    )
    facts = dataset_facts(replace(dataset, cases=training))
    for warning in check_spacings({part.name: part.spacing_mm for part in facts}):
        warn(warning)
    gpu_gb = gpu_memory_gb() if options.gpu_gb is None else options.gpu_gb
    plan = make_plan(found := fingerprint(facts), gpu_gb)
    effort = _effort(plan, dataset.structures, found, gpu_gb)
    plan = replace(plan, reasons=plan.reasons | {"steps": f"{plan.reasons['steps']}; {effort}"})
    write_plan(plan, options.output, dataset.name)
    for name, reason in plan.reasons.items():
        value = getattr(plan, name) if hasattr(plan, name) else getattr(plan.config, name)
        print_line(f"  {name:<18} {value!s:<16} {reason}")
    print_line(f"training: {effort} (an estimate, without validation: other work on the machine makes it slower)")
    print_line(
        f"{options.output}: edit it as needed, then: unetseg prepare {quoted(options.dataset)} PREPROCESSED "
        f"--plan {quoted(options.output)}"
    )


def _effort(plan: Plan, structures: tuple[Structure, ...], found: dict[str, Any], gpu_gb: float) -> str:
    """About how long the run takes on this machine and how much memory it needs, or why that is not known."""
    from UNetSegmenterLib.engine.model.device import choose_device

    from ..training.run_estimate import estimate_run

    device = choose_device()
    if gpu_gb and device.type == "cpu":
        return f"planned for a GPU of {gpu_gb:.0f} GB, which this machine does not have, so time and memory are not estimated"
    _, pixel, _ = found["median_spacing_mm"]
    whole = (round(length * pixel / plan.spacing_mm) for length in found["median_size"][1:])
    rows, columns = plan.slice_size if all(plan.slice_size) else whole
    estimate = estimate_run(plan, structures, (rows, columns), found["slices"], device)
    return (
        f"the memory of {device} is too small for it; take a smaller batch_size"
        if estimate is None
        else estimate.text()
    )
