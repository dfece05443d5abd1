"""Read a data set and write a plan: spacing, HU window, network, batch and steps, each with the reason for it.

Edit the plan and pass it back: `unetseg prepare DATASET PACK --plan PLAN`, then `unetseg train PACK --plan PLAN`.

  unetseg plan Dataset001_Abdomen plan.yaml --gpu-gb 16
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def add_options(parser: Any) -> None:
    parser.add_argument("dataset", type=Path, help="folder of the data set")
    parser.add_argument("output", type=Path, help="YAML file to write")
    parser.add_argument("--gpu_gb", type=float, default=0.0, help="memory of the GPU to train on (default: a CPU)")


def run(options: Any) -> None:
    from ..console import say
    from ..datasets import read_dataset
    from ..fingerprint import check_spacings, dataset_facts, fingerprint
    from ..plan import make_plan, write_plan

    dataset = read_dataset(options.dataset)
    say(dataset.describe())
    facts = dataset_facts(dataset)
    for warning in check_spacings({part.name: part.spacing_mm for part in facts}):
        say(f"warning: {warning}")
    plan = make_plan(fingerprint(facts), options.gpu_gb)
    write_plan(plan, options.output, dataset.name)
    for name, reason in plan.reasons.items():
        value = getattr(plan, name) if hasattr(plan, name) else getattr(plan.recipe, name)
        say(f"  {name:<18} {value!s:<16} {reason}")
    say(
        f"{options.output}: edit what you know better, then: unetseg prepare {options.dataset} PACK --plan {options.output}"
    )
