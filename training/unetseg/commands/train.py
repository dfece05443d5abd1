"""Train a 2D U-Net on a pack; RUN/checkpoint.pt is what Slicer and `unetseg segment` open.

The same command goes on where a run stopped. Options can come from a YAML file, and what is given on the command line
wins over it; --print_config prints one to start from.

  unetseg train packs/abdomen --output runs/first --steps 4000
  unetseg train packs/abdomen --output runs/first --config recipe.yaml --learning-rate 0.001
  unetseg train packs/abdomen --output runs/first --plan packs/abdomen/plan.yaml
  unetseg train packs/abdomen --output runs/fold2 --fold 2                 (a pack prepared with --folds)
  unetseg train packs/abdomen --output runs/first --devices 4              (or: torchrun --nproc-per-node 4 -m unetseg.cli ...)

On SIGTERM, Ctrl-C, and SIGUSR1 or SIGUSR2 (then with status 75, for a scheduler to start it again) a run saves and ends;
the same command goes on from there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..pack import Pack
    from ..recipe import Recipe
    from ..train import Progress


def add_options(parser: Any) -> None:
    from ..recipe import Recipe

    parser.add_argument("pack", type=Path, help="folder that unetseg prepare wrote")
    parser.add_argument("--output", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--devices", type=int, default=1, help="GPUs (or CPU processes) a node that share each batch")
    parser.add_argument("--nodes", type=int, default=1, help="machines that share each batch")
    parser.add_argument("--strategy", default="ddp", help="how they do so, in Lightning Fabric's words")
    parser.add_argument(
        "--plan", type=Path, metavar="YAML", help="plan whose recipe is executed; options here win over it"
    )
    parser.add_argument(
        "--fold", type=int, metavar="N", help="validate on this fold of the pack and train on the others"
    )
    parser.add_argument(
        "--start-from", type=Path, metavar="CHECKPOINT", help="begin with these weights instead of random ones"
    )
    parser.add_argument("--title", default="", help="what the checkpoint is called (default: the data set's name)")
    parser.add_argument("--validate_every", type=int, default=500, help="steps between looks at the validation cases")
    parser.add_argument("--save_every", type=int, default=500, help="steps between states to resume from")
    parser.add_class_arguments(Recipe, None)


def run(options: Any) -> None:
    from UNetSegmenterLib.engine.checkpoint import load_checkpoint, read_card

    from ..console import progress, say, warn
    from ..guard import Stopped
    from ..output import output_folder
    from ..pack import read_pack
    from ..team import make_team
    from ..train import train

    pack = read_pack(options.pack)
    recipe = _recipe(options, pack)
    start_from = load_checkpoint(options.start_from) if options.start_from else None
    team = make_team(options.device, options.devices, options.nodes, options.strategy)
    if not team.leads:
        train(
            pack,
            options.output,
            recipe,
            validate_every=options.validate_every,
            save_every=options.save_every,
            team=team,
            start_from=start_from,
        )
        return
    say(f"{pack.name}: {len(pack.of_split(recipe.train_split))} cases to train on, {recipe.steps} steps")
    try:
        with output_folder(options.output) as folder, progress("training", "steps") as show:
            checkpoint = train(
                pack,
                folder,
                recipe,
                options.device,
                options.title,
                options.validate_every,
                options.save_every,
                lambda now: show(now.step, now.steps, _words(now)),
                team,
                start_from,
            )
    except Stopped as stop:
        warn(f"stopped by {stop.name} after step {stop.step}; all is saved, and the same command goes on from there")
        raise
    _print_validation(read_card(checkpoint).validation)
    say(f"{checkpoint}: open it in Slicer, or run: unetseg segment SCAN --checkpoint {checkpoint} --output DIR")


def _recipe(options: Any, pack: Pack) -> Recipe:
    """The options' recipe; where they keep the default, that of the plan; and the splits of the fold, if one is asked for."""
    from dataclasses import fields, replace

    from ..augmentation import Augmentation
    from ..plan import check_plan, read_plan
    from ..recipe import Recipe
    from ..splits import fold_splits

    values = {field.name: options[field.name] for field in fields(Recipe)}
    recipe = Recipe(**values | {"augmentation": Augmentation(**vars(values["augmentation"]))})
    if options.plan:
        plan = read_plan(options.plan)
        check_plan(plan, pack, options.plan)
        given = {name: value for name, value in vars(recipe).items() if value != getattr(Recipe(), name)}
        recipe = replace(plan.recipe, **given)
    if options.fold is not None:
        train_split, validation_split = fold_splits(pack.splits, options.fold)
        recipe = replace(recipe, train_split=train_split, validation_split=validation_split)
    return recipe


def _words(now: Progress) -> str:
    dice = "" if now.dice is None else f", Dice {now.dice:.3f}"
    return f"loss {now.loss:.3f}{dice}, {now.slices_per_second:.0f} slices/s"


def _print_validation(validation: dict[str, Any]) -> None:
    from ..console import table

    rows = [
        (name, f"{part['dice'].get('mean', float('nan')):.3f}", str(part["dice"]["n"]))
        for name, part in validation.items()
    ]
    if rows:
        table(("structure", "Dice", "cases"), rows, "validation cases, whole volumes")
