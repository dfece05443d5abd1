"""What a run leaves in its folder: state.pt to resume from, metrics.csv and TensorBoard's events, and the card."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from UNetSegmenterLib import __version__
from UNetSegmenterLib.engine.card import Card, NetworkShape
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.preprocessing import Preprocessing
from UNetSegmenterLib.engine.volume import write_whole

from .pack import Pack
from .recipe import Recipe


class RunState:
    """Weights, optimiser and position of a run, written whole or not at all.

    dice: (cases, structures) of the last validation, or None; `parts` are objects with state_dict and load_state_dict.
    """

    def __init__(self, run: Path, recipe: Recipe, pack: Pack, parts: dict[str, Any]) -> None:
        self.path = run / "state.pt"
        self.parts = parts
        self.identity = {"recipe": asdict(recipe), "cases": [asdict(case) for case in pack.cases]}
        self.dice: np.ndarray | None = None
        self.minutes = self._minutes_before = 0.0

    @property
    def mean_dice(self) -> float | None:
        """Mean over cases and structures of the last validation."""
        return None if self.dice is None else float(np.nanmean(self.dice))

    def resume(self) -> int:
        """Step to go on from: 0 in a new folder. Raises InputError if the folder holds a run of another recipe or pack."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            return 0
        content = torch.load(self.path, map_location="cpu", weights_only=True)
        if json.loads(content["identity"]) != json.loads(json.dumps(self.identity)):
            raise InputError(
                f"{self.path.parent} holds a run of another recipe or pack; choose another --output, or remove it."
            )
        for name, part in self.parts.items():
            part.load_state_dict(content["parts"][name])
        self.dice = None if content["dice"] is None else content["dice"].numpy()
        self.minutes = self._minutes_before = content["minutes"]
        return content["step"]

    def save(self, step: int, minutes: float) -> None:
        """Write the state after `step` steps, `minutes` after this start."""
        self.minutes = self._minutes_before + minutes
        content = {
            "identity": json.dumps(self.identity),
            "step": step,
            "dice": None if self.dice is None else torch.from_numpy(self.dice),
            "minutes": self.minutes,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
        }
        write_whole(self.path, lambda partial: torch.save(content, partial))


class RunLog:
    """One row a validation, in metrics.csv and, where it is installed, TensorBoard."""

    def __init__(self, run: Path, structures: list[str]) -> None:
        self.path = run / "metrics.csv"
        self.structures = structures
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.board = None
        else:
            self.board = SummaryWriter(str(run / "tensorboard"))

    def write(self, step: int, loss: float, learning_rate: float, dice: np.ndarray | None) -> None:
        """Append mean training loss, learning rate and the mean Dice of each structure over the validation cases."""
        by_structure = [float("nan")] * len(self.structures) if dice is None else _mean_of_cases(dice)
        row = {"step": step, "loss": loss, "learning_rate": learning_rate, "dice_mean": float(_mean(by_structure))}
        row |= {f"dice_{name}": value for name, value in zip(self.structures, by_structure, strict=True)}
        new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
        if self.board:
            for name, value in row.items():
                self.board.add_scalar(name, value, step)
            self.board.flush()


def training_card(
    pack: Pack, recipe: Recipe, preprocessing: Preprocessing, title: str, device: str, state: RunState
) -> Card:
    """Card of a finished run."""
    cases = pack.of_split(recipe.train_split)
    validation = {}
    if state.dice is not None:
        for structure, values in zip(pack.structures, state.dice.T, strict=True):
            known = values[np.isfinite(values)]
            spread = (
                {"mean": float(known.mean()), "sd": float(known.std(ddof=1)) if len(known) > 1 else None}
                if len(known)
                else {}
            )
            validation[structure.name] = {"dice": spread | {"n": len(known)}}
    return Card(
        title or f"{pack.name}, 2D U-Net",
        NetworkShape(recipe.input_slices, len(pack.structures) + 1, recipe.base_width, recipe.depth),
        pack.structures,
        preprocessing,
        data_licence=pack.licence,
        data_citation=pack.citation,
        training={
            "data_set": pack.name,
            "cases": [case.name for case in cases],
            "splits": pack.splits,
            "slices": sum(case.stop - case.start for case in cases),
            "recipe": asdict(recipe),
            "pack_sha256": hashlib.sha256(json.dumps(state.identity["cases"]).encode()).hexdigest(),
            "device": device,
            "minutes": round(state.minutes, 1),
            "software": f"unetsegmenter {__version__}, torch {torch.__version__}",
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
        },
        validation=validation,
    )


def _mean(values: Any) -> float:
    known = np.asarray(values)[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _mean_of_cases(dice: np.ndarray) -> list[float]:
    return [_mean(column) for column in dice.T]
