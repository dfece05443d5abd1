"""Train a 2D U-Net on a preprocessed data set; RUN/checkpoint.pt is what Slicer and `unetseg segment` open.

The training configuration is that of PREPROCESSED/plan.yaml, edited or not, or of another plan; an option or a configuration
file wins over it (--print-config prints one to start from). The same command continues a run that was stopped, and so does
--resume RUN alone.

  unetseg train preprocessed/abdomen --output runs/first
  unetseg train preprocessed/abdomen --output runs/first --steps 4000 --patch 128,176
  unetseg train preprocessed/abdomen --output runs/first --config training.yaml --learning-rate 0.001
  unetseg train preprocessed/abdomen --output runs/first --plan mine.yaml
  unetseg train --resume runs/first                                        (with more --steps also when it is finished)
  unetseg train preprocessed/abdomen --output runs/fold2 --fold 2          (prepared with --folds)
  unetseg train preprocessed/abdomen --output runs/first --devices 4       (or: torchrun --nproc-per-node 4 -m unetseg.cli ...)

On SIGTERM, Ctrl-C, and SIGUSR1 or SIGUSR2 (then with status 75, for a scheduler to start it again) a run is saved and ends;
the same command continues it.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError

from ..console import print_line, progress, quoted, table, warn
from ..output_folder import Outputs, claimed, refuse_output_in_input
from ..stop_signals import goes_on_with
from .argument_types import non_negative_integer, non_negative_number, positive_integer
from .dataclass_options import add_dataclass_options, dataclass_values
from .parser import CommandParser, UsageError, add_overwrite
from .run_options import RUN_OPTIONS, refuse_other_options, write_run_options
from .shared_options import add_device, add_precision

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.model.checkpoint import Checkpoint

    from ..data.preprocessed_dataset import PreprocessedDataset
    from ..training.configuration import TrainingConfig
    from ..training.distributed import ProcessGroup
    from ..training.training_loop import TrainingProgress
    from ..training.training_state import TrainingState


SPLITS = ("train_split", "validation_split")


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on with this run, with its own data set and options; more --steps extend it, also when it is finished",
    )
    add_training_options(parser, resumable=True)
    parser.add_argument(
        "--fold", type=non_negative_integer, metavar="N", help="validate on this fold and train on the others"
    )
    add_overwrite(parser)


def add_training_options(parser: CommandParser, without: tuple[str, ...] = (), *, resumable: bool = False) -> None:
    """Add the options of a run of any kind, without those of the training configuration that are named in `without`.

    Data set and folder are not required where the run is `resumable`, as --resume stands in for them.
    """
    from ..training.configuration import TrainingConfig

    count: dict[str, Any] = {"nargs": "?"} if resumable else {}
    parser.add_argument("preprocessed", type=Path, **count, help="folder that unetseg prepare wrote")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare its arrays with their hashes, even if size and time are unchanged",
    )
    parser.add_argument("--output", type=Path, required=not resumable, metavar="RUN", help="folder of the run")
    parser.add_argument("--config", type=Path, metavar="YAML", help="file with any of these options")
    parser.add_argument(
        "--print-config", action="store_true", help="print all values as a file for --config, and do nothing else"
    )
    add_device(parser)
    add_precision(
        parser,
        "auto is that of the state a run goes on from, else bfloat16 where the hardware has it, float16 on older GPUs and "
        "float32 elsewhere; the loss stays float32",
    )
    parser.add_argument(
        "--device-memory",
        type=non_negative_number,
        metavar="GB",
        help="memory of the device for slices; the others are read while it computes (default: what is free)",
    )
    parser.add_argument(
        "--devices",
        type=positive_integer,
        default=1,
        metavar="N",
        help="GPUs (or CPU processes) per node that share each batch",
    )
    parser.add_argument("--nodes", type=positive_integer, default=1, metavar="N", help="machines that share each batch")
    parser.add_argument("--strategy", default="ddp", help="how they share it: a strategy of Lightning Fabric")
    parser.add_argument("--plan", type=Path, metavar="YAML", help="plan to train by (default: PREPROCESSED/plan.yaml)")
    parser.add_argument(
        "--start-from", type=Path, metavar="CHECKPOINT", help="begin with these weights instead of random ones"
    )
    parser.add_argument("--title", default="", help="title of the checkpoint (default: the data set's name)")
    parser.add_argument(
        "--validate-every", type=positive_integer, default=500, metavar="STEPS", help="steps between validations"
    )
    parser.add_argument(
        "--save-every",
        type=positive_integer,
        default=500,
        metavar="STEPS",
        help="steps between states to resume from; never more than a tenth of the run",
    )
    add_dataclass_options(parser, TrainingConfig, without)


def defaults(options: Any) -> dict[str, Any]:
    """What stands in for the options that are not given: those of the run with --resume, else the plan's configuration."""
    from ..training.configuration import option_values
    from ..training.planning import read_plan
    from .run_options import stored_options

    if getattr(options, "resume", None) is not None:
        return stored_options(options)
    needed = ("preprocessed", options.preprocessed), ("--output", options.output)
    if missing := [name for name, value in needed if value is None]:
        raise UsageError(f"the following arguments are required: {', '.join(missing)}", "unetseg train")
    path = _plan_path(options)
    values = option_values(read_plan(path).config) if path else {}
    return {name: value for name, value in values.items() if name in options}


def _plan_path(options: Any) -> Path | None:
    own = options.preprocessed / "plan.yaml"
    return options.plan or (own if own.exists() else None)


def run_outputs(options: Any) -> Outputs:
    """What a run writes; only the main process of several claims it."""
    names = (
        "checkpoint.pt",
        "state.pt",
        "state.previous.pt",
        "metrics.csv",
        "curves.png",
        "failed_batch.json",
        RUN_OPTIONS,
    )
    inputs = (options.preprocessed, _plan_path(options), options.start_from)
    return Outputs(options.output, names, inputs, marker="state.pt")


@goes_on_with("the same command continues from what was saved")
def run(options: Any) -> None:
    """Train, or continue a run."""
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint

    from ..data.preprocessed_dataset import read_preprocessed_dataset
    from ..training.distributed import start_process_group
    from ..training.training_state import done_steps
    from ..training.validation import validation_cases

    refuse_output_in_input(options.output, [options.preprocessed])
    dataset = read_preprocessed_dataset(options.preprocessed, options.verify)
    config = training_config(options, dataset)
    resumed: Path | None = getattr(options, "resume", None)  # cross-validate has no such option
    if resumed is not None:
        refuse_other_options(options, config)
        if done_steps(resumed) == config.steps:
            print_line(f"{resumed} is finished: all {config.steps} steps are done; more --steps extend it")
            return
    validation_cases(dataset, config)  # unusable splits are refused before anything is printed about them
    start_from = load_checkpoint(options.start_from) if options.start_from else None
    if (processes := options.devices * options.nodes) > config.batch_size:
        raise InputError(
            f"A batch of {counted(config.batch_size, 'slice')} can't be shared by {processes} processes; take a larger "
            "--batch-size."
        )
    group = start_process_group(options.device, options.devices, options.nodes, options.strategy)
    with group.all_end():
        _train(options, dataset, config, group, start_from)


def _train(
    options: Any,
    dataset: PreprocessedDataset,
    config: TrainingConfig,
    group: ProcessGroup,
    start_from: Checkpoint | None,
) -> None:
    """Train in every process; the main one says what it does and claims the files of the run."""
    from ..training.run_lock import Stopped
    from ..training.training_loop import train

    settings: dict[str, Any] = {
        "validate_every": options.validate_every,
        "save_every": min(options.save_every, max(1, config.steps // 10)),
        "process_group": group,
        "start_from": start_from,
        "precision": options.precision,
        "device_memory_gb": options.device_memory,
        "may_extend": getattr(options, "resume", None) is not None,
    }
    if not group.is_main_process:
        train(dataset, options.output, config, **settings)
        return
    for warning in _warnings(dataset, config, start_from):
        warn(warning)
    cases = len(dataset.of_split(config.train_split))
    print_line(f"{dataset.name}: {summary_of(config)}, on {counted(cases, 'case')}, {_device_text(group)}")
    try:
        with claimed(run_outputs(options), "train", options.overwrite):
            with progress("training", "steps") as show:
                checkpoint = train(
                    dataset,
                    options.output,
                    config,
                    title=options.title,
                    watch=lambda now: show(now.step, now.steps, _progress_text(now)),
                    on_start=lambda state: _begin(options, config, state),
                    **settings,
                )
            _print_outcome(checkpoint)
    except Stopped as stop:
        warn(
            f"stopped by {stop.name} after step {stop.step}; all is saved, and the same command continues from there, or: "
            f"unetseg train --resume {quoted(options.output)}"
        )
        raise


def _begin(options: Any, config: TrainingConfig, state: TrainingState) -> None:
    """Keep the options of the run, and say where it goes on if it is not a new one."""
    from UNetSegmenterLib.engine.model.device import precision_name

    from ..training.optimisation import schedule

    write_run_options(options, options.output)
    if not state.step:
        return
    if state.step == config.steps:
        print_line(
            f"{options.output} has done all {config.steps} steps: nothing is trained, only validated and written again (more "
            f"steps: unetseg train --resume {quoted(options.output)} --steps N)"
        )
        return
    assert state.precision is not None, "on_start comes after the state was read"
    print_line(
        f"{options.output} goes on after step {state.step} of {config.steps}, in {precision_name(state.precision)}"
    )
    if state.extended and state.extended[-1]["at"] == state.step:
        before = replace(config, steps=state.extended[-1]["steps"])
        rates = [one.learning_rate * schedule(min(state.step, one.steps - 1), one) for one in (before, config)]
        warn(
            f"the run had {counted(before.steps, 'step')} and now has {config.steps}: the learning rate goes on as the schedule "
            f"of {config.steps} steps has it ({rates[0]:.2g} becomes {rates[1]:.2g}), so the weights are not those of a run that "
            f"was begun with {config.steps} steps"
        )


def training_config(options: Any, dataset: PreprocessedDataset) -> TrainingConfig:
    """The training configuration of the options, with the splits of the fold if one is asked for."""
    from ..data.splits import fold_splits
    from ..training.configuration import TrainingConfig
    from ..training.planning import check_plan, read_plan

    config = TrainingConfig(**dataclass_values(TrainingConfig, options))
    if path := _plan_path(options):
        check_plan(read_plan(path), dataset, path)
    if options.fold is not None:
        train_split, validation_split = fold_splits(dataset.splits, options.fold)
        config = replace(config, train_split=train_split, validation_split=validation_split)
    return config


def summary_of(config: TrainingConfig) -> str:
    """The choices that a user looks at first."""
    size = " x ".join(map(str, config.patch))
    return (
        f"{counted(config.steps, 'step')} of {counted(config.batch_size, 'slice')} of {size} pixels, "
        f"{config.input_slices} as input, width {config.base_width}, depth {config.depth}, loss {config.loss}"
    )


def _warnings(dataset: PreprocessedDataset, config: TrainingConfig, start_from: Any) -> list[str]:
    from ..data.dataset import first_few
    from ..training.fine_tuning import tested_but_trained_on, warnings_of_parent

    warnings = [] if start_from is None else warnings_of_parent(start_from, dataset, config)
    if tested := tested_but_trained_on(dataset, config):
        warnings.append(
            f"test cases are trained on ({first_few(tested)}): an evaluation on them says nothing about new patients"
        )
    return warnings


def _device_text(group: ProcessGroup) -> str:
    import torch

    name = torch.cuda.get_device_name(group.device) if group.device.type == "cuda" else group.device.type
    return name + (f" x {group.world_size}" if group.world_size > 1 else "")


def _progress_text(now: TrainingProgress) -> str:
    # After the last step the Dice at hand is still that of the validation before, and the table of the last one follows.
    is_old = now.step == now.steps
    dice = "" if now.dice is None or math.isnan(now.dice) or is_old else f", Dice {now.dice:.3f}"
    return f"loss {now.loss:.3f}{dice}, {now.slices_per_second:.0f} slices/s"


def _print_outcome(checkpoint: Path) -> None:
    """Print the validation results, where the curves are and what to do next."""
    from UNetSegmenterLib.engine.model.checkpoint import read_card

    from ..plots.plotting import plot_run

    card = read_card(checkpoint)
    rows = [
        (name, f"{part['dice']['mean']:.3f}" if part["dice"]["n"] else "-", str(part["dice"]["n"]))
        for name, part in card.validation.items()
    ]
    if rows:
        table(("structure", "Dice", "cases"), rows, "validation cases, whole volumes")
    else:
        print_line("no Dice: no validation cases (prepare sets some apart with --validation or --folds)")
    with suppress(InputError):  # matplotlib is not installed
        print_line(f"{plot_run(checkpoint.parent, card.structures)}: loss and Dice over the steps")
    print_line(
        f"{checkpoint}: open it in Slicer, or run: unetseg segment SCAN --checkpoint {quoted(checkpoint)} --output DIR"
    )
