"""state.pt, from which a run goes on: weights, optimiser, position, and what the run is of."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_atomically
from UNetSegmenterLib.engine.model.checkpoint import Checkpoint
from UNetSegmenterLib.engine.model.device import PRECISIONS, precision_name
from UNetSegmenterLib.engine.model.tensor_file import read_tensor_file

from ..data.preprocessed_dataset import PreprocessedDataset
from ..data.seen_cases import as_ancestors, seen_cases
from .configuration import TrainingConfig, option_values, read_config, stored_values
from .validation import mean_over_structures


class TrainingState:
    """Weights, optimiser and position of a run, written atomically; the state before the last one is kept.

    Args:
        run: folder of the run.
        config: the training configuration.
        dataset: what is trained on.
        start_from: the checkpoint that the run began with.
        may_extend: whether the configuration may have another number of steps than the run began with.

    Attributes:
        step: steps that are done: 0 in a new folder.
        extended: at which steps the run got another number of steps: {"at": step, "steps": number before}.
        precision: what the last step was computed in; None in a new folder, and where an earlier version did not note it.
        dice: (cases, structures) of the last validation, or None.
        losses: of the steps since then, one number each.
        seen_before: cases that the checkpoint which the run began with, and its ancestors, had seen.

    Raises:
        InputError: the folder holds a run of another configuration or data set, or only damaged states.
    """

    def __init__(
        self,
        run: Path,
        config: TrainingConfig,
        dataset: PreprocessedDataset,
        start_from: Checkpoint | None = None,
        *,
        may_extend: bool = False,
    ) -> None:
        self.path = run / "state.pt"
        self.previous = run / "state.previous.pt"
        self.parts: dict[str, Any] = {}
        self.identity = {
            "recipe": stored_values(config),
            "cases": [asdict(case) for case in dataset.cases],
            "preprocessing": dataset.preprocessing.to_training_json(),
            "splits": dataset.splits,
            "arrays_sha256": dataset.arrays_sha256,
            "started_from": None if start_from is None else started_from(start_from),
        }
        self.seen_before = () if start_from is None else as_ancestors(seen_cases(start_from.card))
        self.dice: np.ndarray | None = None
        self.losses: list[torch.Tensor] = []
        self.minutes = self._minutes_before = 0.0
        self.step, self.precision = 0, None
        self.extended: list[dict[str, int]] = []
        self._saved = last_good_state(run)
        if self._saved is not None:
            self.step, self.precision = self._saved["step"], _precision_of(self._saved)
            self.extended = json.loads(self._saved.get("extended", "[]"))
            self._check_identity(self._saved, may_extend)

    @property
    def mean_dice(self) -> float | None:
        """Mean over structures of their means over the cases of the last validation, as metrics.csv has it."""
        return None if self.dice is None else mean_over_structures(self.dice)

    def resume(self, parts: dict[str, Any], precision: torch.dtype) -> int:
        """Step to go on from, with the state of all parts restored: 0 in a new folder, where they stay as they are.

        Args:
            parts: objects with state_dict and load_state_dict, by name; `save` writes them.
            precision: what the following steps are computed in.
        """
        self.parts, self.precision = parts, precision
        if (content := self._saved) is None:
            return 0
        for name, part in parts.items():
            if content["parts"][name]:  # that of a gradient scaler is empty where the run computed in another precision
                part.load_state_dict(content["parts"][name])
        self.dice = None if content["dice"] is None else content["dice"].numpy()
        self.losses = list(content.get("losses", ()))
        self.minutes = self._minutes_before = content["minutes"]
        self._saved = None
        return self.step

    def _check_identity(self, content: dict[str, Any], may_extend: bool) -> None:
        # Only entries of the saved state are compared: those that came with a later version have their old meaning.
        before, now = json.loads(content["identity"]), json.loads(json.dumps(self.identity))
        steps, steps_before = now["recipe"]["steps"], before["recipe"]["steps"]
        if may_extend and steps != steps_before:
            if steps < self.step:
                raise InputError(
                    f"{self.path.parent} has done {self.step} steps already, and {steps} are asked for; give --steps at least "
                    "as many as are done."
                )
            before["recipe"]["steps"] = steps
            self.extended.append({"at": self.step, "steps": steps_before})
        if different := differences(before, now):
            first = different[0].removeprefix("recipe.")
            more = f" (and {len(different) - 1} more)" if len(different) > 1 else ""
            need = "--resume needs" if may_extend else "choose another --output, or give"
            choice = f"{need} the configuration and data set it began with"
            if first.startswith("steps ") and not more and steps >= self.step:
                choice = (
                    "choose another --output, or change the length of that run: unetseg train --resume "
                    f"{self.path.parent} --steps {steps}"
                )
            raise InputError(
                f"{self.path.parent} holds a run of another training configuration or data set: {first}{more}; {choice}."
            )

    def save(self, step: int, minutes: float) -> None:
        """Write the state after `step` steps, `minutes` after this start."""
        assert self.precision is not None, "resume comes first"
        self.minutes = self._minutes_before + minutes
        content = {
            "identity": json.dumps(self.identity),
            "precision": precision_name(self.precision),
            "extended": json.dumps(self.extended),
            "step": step,
            "dice": None if self.dice is None else torch.from_numpy(self.dice),
            "losses": torch.stack(self.losses).cpu() if self.losses else torch.empty(0),
            "minutes": self.minutes,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
        }

        def write(partial: Path) -> None:
            with partial.open("wb") as file:
                _save(content, file)
            if self.path.exists():
                self.path.replace(self.previous)

        write_atomically(self.path, write)


def last_good_state(run: Path) -> dict[str, Any] | None:
    """The newest state of a run that can be read; None in a new folder.

    Raises:
        InputError: there are states, and none can be read.
    """
    there = [path for path in (run / "state.pt", run / "state.previous.pt") if path.exists()]
    for path in there:
        try:
            return read_state(path)
        except InputError as error:
            logging.warning("%s; it was passed over", str(error).partition(";")[0])
    if there:
        raise InputError(f"{there[0]} is damaged and there is no good state before it; choose another --output.")
    return None


def read_state(path: Path) -> dict[str, Any]:
    """What TrainingState.save wrote; as with a checkpoint, no code in it is run.

    Raises:
        InputError: the file is another one, or damaged.
    """
    content = read_tensor_file(path)
    if not isinstance(content, dict) or not {"identity", "step", "dice", "minutes", "parts"} <= content.keys():
        raise InputError(f"{path} holds no state of a training run; choose another --output.")
    return content


def stored_configuration(run: Path) -> dict[str, Any] | None:
    """The training configuration that a run began with, by the names of its options as text; None where there is no run."""
    content = last_good_state(run)
    if content is None:
        return None
    return as_text(option_values(read_config(json.loads(content["identity"])["recipe"], f"{run / 'state.pt'}: recipe")))


def as_text(values: Mapping[str, Any]) -> dict[str, str]:
    """Values of options as the command line has them."""
    return {
        name: ",".join(map(str, value)) if isinstance(value, tuple) else str(value) for name, value in values.items()
    }


def done_steps(run: Path) -> int | None:
    """How many steps a finished run has done; None where it is not finished, or there is none."""
    content = last_good_state(run) if (run / "checkpoint.pt").exists() else None
    if content is None:
        return None
    steps = json.loads(content["identity"])["recipe"]["steps"]
    return steps if content["step"] >= steps else None


def _precision_of(content: dict[str, Any]) -> torch.dtype | None:
    """What a state was computed in; of an earlier version's only float16 is known, by its scaled gradients."""
    if content["parts"].get("scaler"):
        return torch.float16
    return getattr(torch, content["precision"]) if content.get("precision") in PRECISIONS[1:] else None


def _save(content: dict[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(content, file)
    except RuntimeError as error:  # torch's own message hides that the disk is full
        raise error.__context__ if isinstance(error.__context__, OSError) else error from error


def started_from(checkpoint: Checkpoint) -> dict[str, Any]:
    """What the card keeps of the checkpoint whose weights a run began with."""
    training, preprocessing = checkpoint.card.training, checkpoint.card.preprocessing
    return {
        "title": checkpoint.card.title,
        "sha256": checkpoint.sha256,
        "data_set": training.get("data_set", ""),
        "cases": training.get("cases", []),
        "preprocessing": preprocessing.to_training_json() if preprocessing.is_of_training else preprocessing.to_json(),
        "steps": training.get("recipe", {}).get("steps"),
    }


def differences(before: Any, now: Any, name: str = "") -> list[str]:
    """The differences of two JSON values, one sentence each; entries that `before` does not have are ignored."""
    if isinstance(before, dict) and isinstance(now, dict):
        pairs = [(f"{name}.{key}".strip("."), value, now.get(key)) for key, value in before.items()]
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = [(f"{name}[{i}]", old, new) for i, (old, new) in enumerate(zip(before, now, strict=True))]
    else:
        return [] if before == now else [f"{name} was {_short(before)} and is {_short(now)}"]
    return [text for path, old, new in pairs for text in differences(old, new, path)]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
