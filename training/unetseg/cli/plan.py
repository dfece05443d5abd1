"""Read a data set and write a plan: spacing, HU window, network, batch and steps, each with the reason for it.

Edit the plan and pass it back: `unetseg prepare DATASET PACK --plan PLAN`; then `unetseg train PACK` executes it. Training cases
alone are read: give --test, --validation and --seed as you will give them to `unetseg prepare`.

  unetseg plan Dataset001_Abdomen plan.yaml --gpu-gb 16 --test 3 --validation 2
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..output_folder import Outputs


def add_options(parser: Any) -> None:
    from jsonargparse.typing import NonNegativeFloat

    from . import RESAMPLE_HELP
    from .prepare import add_split_options

    parser.add_argument("dataset", type=Path, help="folder of the data set")
    parser.add_argument("output", type=Path, help="YAML file to write")
    parser.add_argument(
        "--gpu-gb",
        type=NonNegativeFloat,
        metavar="GB",
        help="plan for a GPU of this memory, 0 for a CPU (default: this machine's)",
    )
    parser.add_argument("--resample", action="store_true", help=RESAMPLE_HELP)
    add_split_options(parser)


def outputs(options: Any) -> Outputs:
    from ..output_folder import Outputs

    return Outputs(options.output, inputs=(options.dataset,))


def run(options: Any) -> None:
    from dataclasses import replace

    from ..console import print_line, warn
    from ..data.dataset import resampled
    from ..data.fingerprint import check_spacings, dataset_facts, fingerprint
    from ..data.layouts.detection import read_dataset
    from ..data.preparation import splits_of
    from ..training.planning import gpu_memory_gb, make_plan, write_plan
    from .prepare import patients_of

    dataset = read_dataset(options.dataset)
    dataset = resampled(dataset) if options.resample else dataset
    print_line(dataset.describe())
    splits = splits_of(dataset, patients_of(options.test), patients_of(options.validation), options.seed)
    training = tuple(case for case in dataset.cases if case.name in splits["train"])
    held_out = len(dataset.cases) - len(training)
    print_line(
        f"planned from {len(training)} training cases"
        + (f"; {held_out} are held out" if held_out else ", which are all")
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
        f"{options.output}: edit what you know better, then: unetseg prepare {options.dataset} PACK --plan {options.output}"
    )
