"""Train a 2D U-Net on a pack; RUN/checkpoint.pt is what Slicer and `unetseg segment` open.

The recipe is that of PACK/plan.yaml, edited or not, or of another plan; what is given as an option or in a configuration
file wins over it (--print_config prints one to start from). The same command goes on where a run stopped.

  unetseg train packs/abdomen --output runs/first
  unetseg train packs/abdomen --output runs/first --steps 4000 --patch 128,176
  unetseg train packs/abdomen --output runs/first --config recipe.yaml --learning-rate 0.001
  unetseg train packs/abdomen --output runs/first --plan mine.yaml
  unetseg train packs/abdomen --output runs/fold2 --fold 2                 (a pack prepared with --folds)
  unetseg train packs/abdomen --output runs/first --devices 4              (or: torchrun --nproc-per-node 4 -m unetseg.cli ...)

On SIGTERM, Ctrl-C, and SIGUSR1 or SIGUSR2 (then with status 75, for a scheduler to start it again) a run saves and ends;
the same command goes on from there.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..data.preprocessed_dataset import PreprocessedDataset
    from ..output_folder import Outputs
    from ..training.configuration import TrainingConfig
    from ..training.distributed import ProcessGroup
    from ..training.training_loop import TrainingProgress


SPLITS = ("train_split", "validation_split")


def add_options(parser: Any) -> None:
    from jsonargparse.typing import NonNegativeInt

    from .main import add_overwrite

    parser.add_argument(
        "--fold", type=NonNegativeInt, metavar="N", help="validate on this fold of the pack and train on the others"
    )
    add_training_options(parser)
    add_overwrite(parser)


def add_training_options(parser: Any, without: tuple[str, ...] = ()) -> None:
    """What a run of any kind can be told, but for the choices of the recipe that are named in `without`."""
    from jsonargparse.typing import PositiveInt

    from ..training.configuration import TrainingConfig

    parser.add_argument("pack", type=Path, help="folder that unetseg prepare wrote")
    parser.add_argument("--output", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument(
        "--devices", type=PositiveInt, default=1, help="GPUs (or CPU processes) a node that share each batch"
    )
    parser.add_argument("--nodes", type=PositiveInt, default=1, help="machines that share each batch")
    parser.add_argument("--strategy", default="ddp", help="how they do so, in Lightning Fabric's words")
    parser.add_argument(
        "--plan", type=Path, metavar="YAML", help="plan whose recipe is executed (default: PACK/plan.yaml)"
    )
    parser.add_argument(
        "--start-from", type=Path, metavar="CHECKPOINT", help="begin with these weights instead of random ones"
    )
    parser.add_argument("--title", default="", help="what the checkpoint is called (default: the data set's name)")
    parser.add_argument(
        "--validate-every",
        type=PositiveInt,
        default=500,
        metavar="STEPS",
        help="steps between looks at the validation cases",
    )
    parser.add_argument(
        "--save-every", type=PositiveInt, default=500, metavar="STEPS", help="steps between states to resume from"
    )
    parser.add_class_arguments(TrainingConfig, None, skip=set(without))


def defaults(options: Any) -> dict[str, Any]:
    """The plan's recipe, which stands in for every option of it that is not given."""
    from dataclasses import asdict

    from ..training.planning import read_plan

    path = _plan_path(options)
    recipe = asdict(read_plan(path).config) if path else {}
    changes = recipe.pop("augmentation", {})
    known = {name: value for name, value in recipe.items() if name in options}
    return known | {f"augmentation.{name}": value for name, value in changes.items()}


def _plan_path(options: Any) -> Path | None:
    own = options.pack / "plan.yaml"
    return options.plan or (own if own.exists() else None)


def run_outputs(options: Any) -> Outputs:
    """What a run writes; only the main process of several claims it."""
    from ..output_folder import Outputs

    names = ("checkpoint.pt", "state.pt", "state.previous.pt", "metrics.csv", "curves.png", "failed_batch.json")
    inputs = (options.pack, _plan_path(options), options.start_from)
    return Outputs(options.output, names, inputs, marker="state.pt")


def run(options: Any) -> None:
    from UNetSegmenterLib.engine.errors import InputError
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint

    from ..console import print_line, progress, warn
    from ..data.dataset import some
    from ..data.preprocessed_dataset import read_preprocessed_dataset
    from ..output_folder import claimed
    from ..training.distributed import start_process_group
    from ..training.fine_tuning import tested_but_trained_on, warnings_of_parent
    from ..training.run_lock import Stopped
    from ..training.training_loop import train
    from ..training.validation import validation_cases

    pack = read_preprocessed_dataset(options.pack)
    recipe = recipe_of(options, pack)
    validation_cases(pack, recipe)  # splits that can't be trained are refused before anything is said of them
    start_from = load_checkpoint(options.start_from) if options.start_from else None
    if (processes := options.devices * options.nodes) > recipe.batch_size:
        raise InputError(
            f"A batch of {recipe.batch_size} slices can't be shared by {processes} processes; take a larger --batch-size."
        )
    team = start_process_group(options.device, options.devices, options.nodes, options.strategy)
    if not team.is_main_process:
        train(
            pack,
            options.output,
            recipe,
            validate_every=options.validate_every,
            save_every=options.save_every,
            process_group=team,
            start_from=start_from,
        )
        return
    if start_from is not None:
        for warning in warnings_of_parent(start_from, pack, recipe):
            warn(warning)
    if tested := tested_but_trained_on(pack, recipe):
        warn(
            f"test cases are trained on ({some(tested)}): nothing that is evaluated on them says anything of new patients"
        )
    print_line(
        f"{pack.name}: {recipe_in_words(recipe)}, on {len(pack.of_split(recipe.train_split))} cases, {_where(team)}"
    )
    try:
        with claimed(run_outputs(options), "train", options.overwrite):
            with progress("training", "steps") as show:
                checkpoint = train(
                    pack,
                    options.output,
                    recipe,
                    title=options.title,
                    validate_every=options.validate_every,
                    save_every=options.save_every,
                    watch=lambda now: show(now.step, now.steps, _words(now)),
                    process_group=team,
                    start_from=start_from,
                )
            _tell(checkpoint)
    except Stopped as stop:
        warn(f"stopped by {stop.name} after step {stop.step}; all is saved, and the same command goes on from there")
        raise


def recipe_of(options: Any, pack: PreprocessedDataset) -> TrainingConfig:
    """The options' recipe, with the splits of the fold if one is asked for."""
    from dataclasses import fields, replace

    from ..data.splits import fold_splits
    from ..training.augmentation import Augmentation
    from ..training.configuration import TrainingConfig
    from ..training.planning import check_plan, read_plan

    values = {field.name: options[field.name] for field in fields(TrainingConfig) if field.name in options}
    recipe = TrainingConfig(**values | {"augmentation": Augmentation(**vars(values["augmentation"]))})
    if path := _plan_path(options):
        check_plan(read_plan(path), pack, path)
    if options.fold is not None:
        train_split, validation_split = fold_splits(pack.splits, options.fold)
        recipe = replace(recipe, train_split=train_split, validation_split=validation_split)
    return recipe


def recipe_in_words(recipe: TrainingConfig) -> str:
    """What a person looks at first."""
    size = " x ".join(map(str, recipe.patch))
    return (
        f"{recipe.steps} steps of {recipe.batch_size} slices of {size} pixels, {recipe.input_slices} as input, width "
        f"{recipe.base_width}, depth {recipe.depth}, loss {recipe.loss}"
    )


def _where(team: ProcessGroup) -> str:
    import torch

    name = torch.cuda.get_device_name(team.device) if team.device.type == "cuda" else team.device.type
    return name + (f" x {team.world_size}" if team.world_size > 1 else "")


def _words(now: TrainingProgress) -> str:
    dice = "" if now.dice is None else f", Dice {now.dice:.3f}"
    return f"loss {now.loss:.3f}{dice}, {now.slices_per_second:.0f} slices/s"


def _tell(checkpoint: Path) -> None:
    """What came of it: a table, a picture and what to do next."""
    from UNetSegmenterLib.engine.errors import InputError
    from UNetSegmenterLib.engine.model.checkpoint import read_card

    from ..console import print_line, table
    from ..plots.plotting import plot_run

    card = read_card(checkpoint)
    rows = [
        (name, f"{part['dice'].get('mean', float('nan')):.3f}", str(part["dice"]["n"]))
        for name, part in card.validation.items()
    ]
    if rows:
        table(("structure", "Dice", "cases"), rows, "validation cases, whole volumes")
    with suppress(InputError):  # matplotlib is not installed
        print_line(f"{plot_run(checkpoint.parent, card.structures)}: loss and Dice over the steps")
    print_line(f"{checkpoint}: open it in Slicer, or run: unetseg segment SCAN --checkpoint {checkpoint} --output DIR")
