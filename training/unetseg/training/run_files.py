"""The files of a run: state.pt to resume from, metrics.csv and TensorBoard's events, and the card of the checkpoint."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from UNetSegmenterLib import __version__
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_atomically, write_text
from UNetSegmenterLib.engine.io.csv_text import csv_text
from UNetSegmenterLib.engine.model.card import Card
from UNetSegmenterLib.engine.model.checkpoint import Checkpoint
from UNetSegmenterLib.engine.model.device import PRECISIONS, precision_name
from UNetSegmenterLib.engine.model.preprocessing import Preprocessing
from UNetSegmenterLib.engine.model.tensor_file import read_tensor_file

from ..data.preprocessed_dataset import PreprocessedDataset
from ..data.seen_cases import (
    VALIDATED,
    as_ancestors,
    case_identity,
    find_overlap,
    seen_by_run,
    seen_cases,
    to_json,
    without_duplicates,
)
from .configuration import TrainingConfig, option_values, read_config, stored_values
from .validation import validation_cases


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
        self.minutes = self._minutes_before = 0.0
        self.step, self.precision = 0, None
        self.extended: list[dict[str, int]] = []
        self._saved = self._last_good()
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
            more = f" (and {len(different) - 1} more)" if len(different) > 1 else ""
            raise InputError(
                f"{self.path.parent} holds a run of another training configuration or data set: {different[0]}{more}; choose "
                "another --output, or give the configuration and data set it began with."
            )

    def _last_good(self) -> dict[str, Any] | None:
        """The newest state that can be read; None in a new folder.

        Raises:
            InputError: there are states, and none can be read.
        """
        there = [path for path in (self.path, self.previous) if path.exists()]
        for path in there:
            try:
                return read_state(path)
            except InputError as error:
                logging.warning("%s; it was passed over", str(error).partition(";")[0])
        if there:
            raise InputError(f"{there[0]} is damaged and there is no good state before it; choose another --output.")
        return None

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
            "minutes": self.minutes,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
        }

        def write(partial: Path) -> None:
            with partial.open("wb") as file:
                _save(content, file)
            if self.path.exists():
                self.path.replace(self.previous)

        write_atomically(self.path, write)


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
    there = [path for path in (run / "state.pt", run / "state.previous.pt") if path.exists()]
    if not there:
        return None
    identity = json.loads(read_state(there[0])["identity"])
    values = option_values(read_config(identity["recipe"], f"{there[0]}: recipe"))
    return {
        name: ",".join(map(str, value)) if isinstance(value, tuple) else str(value) for name, value in values.items()
    }


def done_steps(run: Path) -> int | None:
    """How many steps a finished run has done; None where it is not finished, or there is none."""
    if not (run / "checkpoint.pt").exists() or not (run / "state.pt").exists():
        return None
    content = read_state(run / "state.pt")
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


class RunLog:
    """One row per validation, in metrics.csv and, where it is installed, TensorBoard."""

    def __init__(self, run: Path, structures: list[str], first_step: int = 0) -> None:
        self.path = run / "metrics.csv"
        self.structures = structures
        self._drop_rows_after(first_step)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.board = None
        else:
            self.board = SummaryWriter(str(run / "tensorboard"), purge_step=first_step + 1)

    def _drop_rows_after(self, step: int) -> None:
        """Drop rows of steps that will be repeated, and a row that was cut off."""
        if not self.path.exists():
            return
        head, *rows = self.path.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
        kept = [row for row in rows if row.endswith("\n") and int(row.split(",", 1)[0]) <= step]
        if kept != rows:
            write_text(self.path, "".join([head, *kept]))

    def write(self, step: int, loss: float, learning_rate: float, dice: np.ndarray | None) -> None:
        """Append mean training loss, learning rate and the mean Dice of each structure over the validation cases.

        Raises:
            InputError: the disk is full; the run's last state is complete then.
        """
        by_structure = [float("nan")] * len(self.structures) if dice is None else _mean_of_cases(dice)
        row = {"step": step, "loss": loss, "learning_rate": learning_rate, "dice_mean": float(_mean(by_structure))}
        row |= {csv_text(f"dice_{name}"): value for name, value in zip(self.structures, by_structure, strict=True)}
        new = not self.path.exists()
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, row, lineterminator="\n")
                if new:
                    writer.writeheader()
                writer.writerow(row)
            if self.board:
                for name, value in row.items():
                    self.board.add_scalar(name, value, step)
                self.board.flush()
        except OSError as error:
            raise InputError(
                f"{self.path} could not be written ({error.strerror}) at step {step}; free some space, and the same "
                "command goes on from the last state."
            ) from error


def default_title(data_set: str) -> str:
    """The title of a checkpoint that was given none."""
    return f"{data_set}, 2D U-Net"


def training_card(
    dataset: PreprocessedDataset,
    config: TrainingConfig,
    preprocessing: Preprocessing,
    title: str,
    device: str,
    state: TrainingState,
) -> Card:
    """Card of a finished run; its validation figures are over the cases that no ancestor was trained on."""
    assert state.precision is not None, "the run has begun"
    cases = dataset.of_split(config.train_split)
    validated = () if state.dice is None else validation_cases(dataset, config)
    known = find_overlap(state.seen_before, [case_identity(case, dataset.name) for case in validated])
    seen = [seen_by_run(case_identity(case, dataset.name)) for case in cases]
    seen += [seen_by_run(case_identity(case, dataset.name), VALIDATED) for case in validated]
    return Card(
        title or default_title(dataset.name),
        config.network(len(dataset.structures)),
        dataset.structures,
        preprocessing,
        data_licence=dataset.licence,
        data_citation=dataset.citation,
        training={
            "data_set": dataset.name,
            "cases": [case.name for case in cases],
            "splits": dataset.splits,
            "slices": sum(case.stop - case.start for case in cases),
            "recipe": stored_values(config),
            "started_from": state.identity["started_from"],
            "seen_cases": to_json(without_duplicates(*seen, *state.seen_before)),
            "plan": dataset.fingerprint.get("plan", {}),
            "pack_sha256": hashlib.sha256(json.dumps(state.identity["cases"]).encode()).hexdigest(),
            "device": device,
            "precision": precision_name(state.precision),
            "minutes": round(state.minutes, 1),
            "software": f"unetsegmenter {__version__}, torch {torch.__version__}",
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
        }
        | ({"extended": state.extended} if state.extended else {})
        | ({"validated_though_trained_on": known} if known else {}),
        validation=_validation(dataset, state.dice, [case.name not in known for case in validated]),
        statistics=label_statistics(dataset, {case.name for case in cases}),
    )


def label_statistics(dataset: PreprocessedDataset, trained: set[str]) -> dict[str, Any]:
    """Statistics of the labels of the training cases, without the cases that a run validates on.

    Empty, so that the plausibility checks use their default ranges, where the folder of an earlier version has no statistics
    of single cases.
    """
    training = dataset.splits["train"]
    if trained.issuperset(training):
        return dataset.fingerprint.get("label_statistics", {})
    by_case = dataset.fingerprint.get("label_facts", {})
    if not by_case:
        return {}
    from UNetSegmenterLib.engine.plausibility.training_statistics import (  # here: it needs SimpleITK, training does not
        case_quantities_from_json,
        statistics_from_cases,
    )

    known = [case_quantities_from_json(by_case[name]) for name in training if name in trained and name in by_case]
    return statistics_from_cases(known) if known else {}


def _validation(dataset: PreprocessedDataset, dice: np.ndarray | None, counted: list[bool]) -> dict[str, Any]:
    """Mean, standard deviation and n of each structure's Dice over the validation cases that count."""
    if dice is None or not any(counted):
        return {}
    validation = {}
    for structure, values in zip(dataset.structures, dice[np.array(counted)].T, strict=True):
        known = values[np.isfinite(values)]
        mean_and_sd = (
            {"mean": float(known.mean()), "sd": float(known.std(ddof=1)) if len(known) > 1 else None}
            if len(known)
            else {}
        )
        validation[structure.name] = {"dice": mean_and_sd | {"n": len(known)}}
    return validation


def mean_over_structures(dice: np.ndarray) -> float:
    """Mean over structures of each one's mean over cases; dice: (cases, structures), NaN where neither side has it."""
    return _mean(_mean_of_cases(dice))


def _mean(values: Any) -> float:
    known = np.asarray(values)[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _mean_of_cases(dice: np.ndarray) -> list[float]:
    return [_mean(column) for column in dice.T]
