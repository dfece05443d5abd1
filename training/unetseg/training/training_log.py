"""metrics.csv and TensorBoard's events: how the loss and the Dice of a run went."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_text
from UNetSegmenterLib.engine.io.csv_text import csv_text

from .validation import mean_of_cases, mean_of_known


class TrainingLog:
    """One row per validation, in metrics.csv and, where it is installed, TensorBoard."""

    def __init__(self, run: Path, structures: list[str], first_step: int = 0) -> None:
        self.path = run / "metrics.csv"
        self.structures = structures
        self._drop_rows_after(first_step)
        try:
            from .event_file import EventFile
        except ImportError:
            self.events = None
        else:
            with _disk_error(run / "tensorboard", first_step):
                self.events = EventFile(run / "tensorboard", first_step + 1)

    def _drop_rows_after(self, step: int) -> None:
        """Drop rows of steps that will be repeated, and a row that was cut off."""
        if not self.path.exists():
            return
        head, *rows = self.path.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
        kept = [row for row in rows if row.endswith("\n") and int(row.split(",", 1)[0]) <= step]
        if not head.endswith("\n"):  # killed before the first row was written whole
            self.path.unlink()
        elif kept != rows:
            write_text(self.path, "".join([head, *kept]))

    def write(self, step: int, loss: float, learning_rate: float, dice: np.ndarray | None) -> None:
        """Append mean training loss, learning rate and the mean Dice of each structure over the validation cases.

        Raises:
            InputError: the disk is full; the run's last state is complete then.
        """
        by_structure = [float("nan")] * len(self.structures) if dice is None else mean_of_cases(dice)
        row = {
            "step": step,
            "loss": loss,
            "learning_rate": learning_rate,
            "dice_mean": float(mean_of_known(by_structure)),
        }
        row |= {csv_text(f"dice_{name}"): value for name, value in zip(self.structures, by_structure, strict=True)}
        new = not self.path.exists()
        with _disk_error(self.path, step):
            with self.path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, row, lineterminator="\n")
                if new:
                    writer.writeheader()
                writer.writerow(row)
            if self.events:
                self.events.write(row, step)


@contextmanager
def _disk_error(path: Path, step: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path} could not be written ({error.strerror}) at step {step}; free some space, and the same "
            "command goes on from the last state."
        ) from error
