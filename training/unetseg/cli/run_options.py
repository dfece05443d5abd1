"""The options of a run as RUN/run.yaml keeps them, for `unetseg train --resume RUN` to go on with no other option."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_text

from ..console import quoted
from . import RENAMED_OPTIONS
from .parser import UsageError, configuration_text, values_of_file

if TYPE_CHECKING:
    from ..training.configuration import TrainingConfig

RUN_OPTIONS = "run.yaml"
_OF_ONE_START = ("resume", "overwrite", "verify", "plan", "output")
"""Options that are not kept: they are of one start of the command, or hold nothing that the others do not."""
_PATHS = ("preprocessed", "start_from")


def write_run_options(options: Any, run: Path) -> None:
    """Write run.yaml; paths are absolute, so that a run goes on from any folder."""
    kept = type(options)(**{name: value for name, value in vars(options).items() if name not in _OF_ONE_START})
    for name in _PATHS:
        if (path := getattr(kept, name)) is not None:
            setattr(kept, name, path.absolute())
    text = configuration_text(kept)
    write_text(
        run / RUN_OPTIONS, f"# The options of this run; it goes on with: unetseg train --resume {run.name}\n{text}"
    )


def stored_options(options: Any) -> dict[str, Any]:
    """The options of the run that `options.resume` names, by the names of their values.

    Raises:
        InputError: the folder holds no run, or its data set is not where it was.
        UsageError: the options name another folder too, or no data set although an earlier version wrote the run.
    """
    run = options.resume
    if options.output is not None and options.output.absolute() != run.absolute():
        raise UsageError(
            f"--resume {run} goes on in that folder, but --output is {options.output}; leave it out", "unetseg train"
        )
    if options.plan is not None:
        raise UsageError(
            f"--resume {run} goes on with the options of that run, so --plan {options.plan} would change nothing; leave it out",
            "unetseg train",
        )
    stored = _read(run)
    values = {name: value for name, value in stored.items() if name in options and name not in _OF_ONE_START}
    if not (options.preprocessed or values.get("preprocessed")):
        raise InputError(
            f"{run} was begun by an earlier version, which did not note the data set; name its folder: unetseg train FOLDER "
            f"--resume {run}"
        )
    folder = options.preprocessed or Path(values["preprocessed"])
    if not (folder / "pack.json").is_file():
        if options.preprocessed:
            raise InputError(
                f"{folder} is no preprocessed data set (it has no pack.json); name the one that {run} was begun with, or none: "
                f"unetseg train --resume {quoted(run)}"
            )
        raise InputError(
            f"{run} was begun with the data set {folder}, which is not there (any more); name the folder where it is now: "
            f"unetseg train FOLDER --resume {quoted(run)}"
        )
    return values | {"output": run, "preprocessed": folder}


def refuse_other_options(options: Any, config: TrainingConfig) -> None:
    """Raise UsageError if a run that goes on would do so with other options than it was begun with, but for more steps.

    Args:
        options: those of the command, with those of the run where none was given.
        config: the training configuration of these options.
    """
    from ..training.configuration import option_values
    from ..training.training_state import as_text, stored_configuration

    run, before = options.resume, stored_configuration(options.resume)
    if before is None:  # stopped before its first state, so it begins anew
        return
    now = as_text(option_values(config))
    changed = {name: (before[name], now[name]) for name in before if name != "steps" and now.get(name) != before[name]}
    kept = values_of_file(run / RUN_OPTIONS) if (run / RUN_OPTIONS).is_file() else {}
    if changed.keys() & {"train_split", "validation_split"} and options.fold is not None:
        changed = {"fold": (kept.get("fold", "none"), str(options.fold)), **changed}
    if kept and options.start_from is not None and _is_other(options.start_from, kept.get("start_from")):
        changed |= {"start_from": (kept.get("start_from", "none"), str(options.start_from))}
    if changed:
        name, (old, new) = next(iter(changed.items()))
        option = f"--{name}".replace("_", "-")
        option = RENAMED_OPTIONS.get(option, option)
        more = f" ({len(changed)} options differ)" if len(changed) > 1 else ""
        raise UsageError(
            f"--resume {run} goes on with the options that the run was begun with, but {name} was {old} and is {new}{more}; "
            f"leave {option} out, or begin another run with another --output",
            "unetseg train",
        )


def _is_other(path: Path, before: str | None) -> bool:
    """Whether a file is another one than before; one that was moved since is told by its content, when the run goes on."""
    return before is None or (Path(before).exists() and path.absolute() != Path(before))


def _read(run: Path) -> dict[str, Any]:
    """Options of run.yaml; of a run of an earlier version, which has none, the training configuration of its state."""
    from ..training.training_state import stored_configuration

    if (run / RUN_OPTIONS).is_file():
        return values_of_file(run / RUN_OPTIONS)
    if (configuration := stored_configuration(run)) is None:
        raise InputError(
            f"{run} holds no run to go on with (neither {RUN_OPTIONS} nor state.pt); begin one with: unetseg train "
            f"PREPROCESSED --output {run}"
        )
    return configuration
