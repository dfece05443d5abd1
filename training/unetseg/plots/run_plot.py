"""One picture of a run: how the loss fell, and in which order the structures were found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from UNetSegmenterLib.engine.io.csv_text import read_csv_rows
from UNetSegmenterLib.engine.labels.structures import Structure

from .plotting import new_figure, plot_colors, save_figure


def plot_run(run: Path, structures: Sequence[Structure]) -> Path:
    """Draw RUN/metrics.csv into RUN/curves.png and return that; a run without validation has the loss alone.

    The loss is the mean since the row before. Raises InputError where matplotlib is not installed.
    """
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = read_csv_rows(file)
    steps = [int(row["step"]) for row in rows]
    figure = new_figure(12, 4)
    colors = plot_colors(structures)
    loss, dice = figure.subplots(1, 2)
    loss.plot(steps, [float(row["loss"]) for row in rows], "o-", color="#3b5b7a", markersize=3)
    loss.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    for structure in structures:
        values = [float(row[f"dice_{structure.name}"]) for row in rows]
        dice.plot(steps, values, "o-", color=colors[structure.index], markersize=3, label=structure.name)
    dice.plot(steps, [float(row["dice_mean"]) for row in rows], color="black", linewidth=2.5, label="mean")
    dice.set(xlabel="step", ylabel="Dice of the validation cases", ylim=(0, 1))
    dice.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    for axes in (loss, dice):
        axes.set_xlim(0, max(steps))
        axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, run / "curves.png")
    return run / "curves.png"
