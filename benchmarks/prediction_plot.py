"""The figure of the prediction benchmark: how long each contender takes from the file to labels, and its network alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .prediction_speed import Row

OURS, OTHERS, REST = "#1b7f79", "#7a8793", "#c9d1d8"


def draw(rows: list[Row], title: str, path: Path) -> None:
    """Horizontal bars, the network's part darker, with the ratio to ours at the end; SVG or PNG by the file's name."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "prediction"  # the same file for the same figures
    from matplotlib import pyplot

    shown = [row for row in rows if not row.failure]
    figure, axes = pyplot.subplots(figsize=(8, 0.42 * len(shown) + 1.1))
    for number, row in enumerate(shown):
        axes.barh(number, row.seconds, color="#8fc7c3" if number == 0 else REST)
        axes.barh(number, min(row.network_seconds, row.seconds), color=OURS if number == 0 else OTHERS)
        times = "" if number == 0 else f"  ({row.seconds / shown[0].seconds:.1f} x ours)"
        axes.text(row.seconds, number, f"  {row.seconds:.1f} s{times}", va="center", fontsize=9)
    axes.set_yticks(range(len(shown)), [row.name for row in shown])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.22 * max(row.seconds for row in shown))
    axes.set_xlabel("seconds from the file to labels; dark: the network alone")
    axes.set_title(title, fontsize=8, loc="left", wrap=True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)
