"""The options of a run as RUN/run.yaml keeps them, for `unetseg train --resume RUN` to go on with no other option."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_text

from .parser import UsageError, configuration_text, values_of_file

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
    stored = _read(run)
    values = {name: value for name, value in stored.items() if name in options and name not in _OF_ONE_START}
    if not (options.preprocessed or values.get("preprocessed")):
        raise InputError(
            f"{run} was begun by an earlier version, which did not note the data set; name its folder: unetseg train FOLDER "
            f"--resume {run}"
        )
    folder = options.preprocessed or Path(values["preprocessed"])
    if not (folder / "pack.json").is_file():
        raise InputError(
            f"{run} was begun with the data set {folder}, which is not there (any more); name the folder where it is now: "
            f"unetseg train FOLDER --resume {run}"
        )
    return values | {"output": run, "preprocessed": folder}


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
