"""The figure of the prediction benchmark: how long each contender takes from the file to labels, and its network alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .prediction_speed import Row

OURS, OURS_REST = "#1b7f79", "#8fc7c3"
OTHERS, OTHERS_REST = "#7a8793", "#c9d1d8"


def draw(rows: list[Row], title: str, path: Path, cpu_seconds: bool = False) -> None:
    """Horizontal bars, the network's part darker, with the ratio to ours at the end.

    Args:
        rows: ours first; failed ones are left out.
        title: what was measured, on which machine.
        path: SVG or PNG, by its name.
        cpu_seconds: show the time of all cores: with one thread that is what a machine with nothing else to do would take.
    """
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "prediction"  # the same file for the same figures
    from matplotlib import pyplot

    shown = [row for row in rows if not row.failure]
    name = "cpu_seconds" if cpu_seconds else "seconds"
    seconds = [getattr(row, name) for row in shown]
    network = [getattr(row, f"network_{name}") for row in shown]
    figure, axes = pyplot.subplots(figsize=(8, 0.42 * len(shown) + 1.1))
    for number, (whole, part) in enumerate(zip(seconds, network, strict=True)):
        axes.barh(number, whole, color=OURS_REST if number == 0 else OTHERS_REST)
        axes.barh(number, min(part, whole), color=OURS if number == 0 else OTHERS)
        times = "" if number == 0 else f"  ({whole / seconds[0]:.1f} x ours)"
        axes.text(whole, number, f"  {whole:.1f} s{times}", va="center", fontsize=9)
    axes.set_yticks(range(len(shown)), [row.name for row in shown])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.22 * max(seconds))
    axes.set_xlabel(f"{'CPU seconds' if cpu_seconds else 'seconds'} from the file to labels; dark: the network alone")
    axes.set_title(title, fontsize=8, loc="left", wrap=True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)
