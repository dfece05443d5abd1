"""What the figures of scans, data sets and runs share, the HU of tissues, and the figure of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_atomically
from UNetSegmenterLib.engine.io.csv_text import read_csv_rows
from UNetSegmenterLib.engine.labels.structures import Structure

# Usual HU: T. Buzug, Computed Tomography, Springer 2008, section 13.1 (rounded).
TISSUES_HU = (
    ("air", -1024, -950, "#9ecae1"),
    ("lung", -950, -500, "#c6dbef"),
    ("fat", -120, -60, "#fdd49e"),
    ("soft tissue", 10, 80, "#fc9272"),
    ("bone", 250, 1500, "#d9d9d9"),
)
CONTRAST_HU = (200, 500)  # blood with contrast agent, as in CT angiography
LOWEST_HU, HIGHEST_HU = -1024.0, 1500.0


def check_plotting() -> None:
    """Check that plots can be drawn, before the work begins.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise InputError(
            'A plot needs matplotlib, which is not installed; it comes with: pip install "unetsegmenter[training]"'
        ) from error
    matplotlib.use("Agg")


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure of that many inches.

    Raises:
        InputError: matplotlib is not installed.
    """
    check_plotting()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Any, path: Path) -> None:
    """Write a PNG atomically."""
    write_atomically(path, lambda partial: figure.savefig(partial, dpi=100, format="png"))


def mark_tissues(axes: Any, low: float = LOWEST_HU, high: float = HIGHEST_HU) -> None:
    """Shade the usual ranges of tissues in a plot over HU from `low` to `high` and name them above it."""
    transform = axes.get_xaxis_transform()
    for name, start, end, color in TISSUES_HU:
        left, right = max(start, low), min(end, high)
        if left < right:
            axes.axvspan(left, right, color=color, alpha=0.45, zorder=0, linewidth=0)
            axes.text((left + right) / 2, 1.01, name, transform=transform, ha="center", va="bottom", fontsize=9)
    if high > CONTRAST_HU[0]:
        left, right = CONTRAST_HU[0], min(CONTRAST_HU[1], high)
        axes.plot((left, right), (0.97, 0.97), transform=transform, color="#de2d26", linewidth=3, solid_capstyle="butt")
        axes.text(
            (left + right) / 2,
            0.95,
            "blood with\ncontrast agent",
            transform=transform,
            ha="center",
            va="top",
            fontsize=9,
        )
    axes.set(xlim=(low, high), xlabel="HU")
    axes.spines[["top", "right"]].set_visible(False)


def plot_colors(structures: Sequence[Structure]) -> dict[int, tuple[float, float, float]]:
    """A colour per structure index, distinct from the next one; many of Slicer's own colours are shades of red."""
    from matplotlib import colormaps

    palette = colormaps["tab10" if len(structures) <= 10 else "tab20"].colors  # type: ignore[attr-defined]
    return {structure.index: palette[i % len(palette)] for i, structure in enumerate(structures)}


def plot_run(run: Path, structures: Sequence[Structure]) -> Path:
    """Draw loss and Dice of RUN/metrics.csv into RUN/curves.png, and return its path.

    The loss is the mean since the row before; a run without validation has no Dice.

    Raises:
        InputError: matplotlib is not installed.
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
