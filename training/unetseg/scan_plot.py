"""One picture of a scan: the histogram of its HU with the ranges of tissues, and three middle slices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.volume import write_whole

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.volume import Volume

# Usual HU without contrast agent: T. Buzug, Computed Tomography, Springer 2008, section 13.1 (rounded).
TISSUES_HU = (
    ("air", -1024, -950, "#9ecae1"),
    ("lung", -950, -500, "#c6dbef"),
    ("fat", -120, -60, "#fdd49e"),
    ("soft tissue", 10, 80, "#fc9272"),
    ("bone", 250, 1500, "#d9d9d9"),
)
WINDOW_HU = (-160, 240)


def plot_scan(volume: Volume, path: Path) -> None:
    """Draw a PNG: histogram of all voxels (logarithmic) above axial, coronal and sagittal slices through the middle."""
    try:
        import matplotlib
    except ImportError as error:
        raise InputError("--plot needs matplotlib; install it with: pip install matplotlib") from error
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(2, 3))
    top, bottom = parts
    _histogram(top.subplots(), volume.array)
    _slices(bottom.subplots(1, 3), volume)
    figure.suptitle(volume.name)
    write_whole(path, lambda partial: figure.savefig(partial, dpi=100, format="png"))


def _histogram(axes: Any, hu: np.ndarray) -> None:
    low, high = min(-1024.0, float(hu.min())), max(1500.0, float(np.percentile(hu, 99.99)))
    counts, edges = np.histogram(hu, bins=300, range=(low, high))
    axes.fill_between(edges[:-1], np.maximum(counts, 0.5), 0.5, step="post", color="#3b5b7a")
    axes.set(yscale="log", xlim=(low, high), ylim=(0.5, counts.max() * 4), xlabel="HU", ylabel="voxels")
    for name, start, end, color in TISSUES_HU:
        axes.axvspan(start, end, color=color, alpha=0.45, zorder=0)
        axes.text((start + end) / 2, counts.max() * 1.6, name, ha="center", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def _slices(axes: Any, volume: Volume) -> None:
    view = volume.geometry.to_axial(volume.array)  # (inferior-superior, anterior-posterior, right-left)
    between, row_mm, column_mm = volume.geometry.axial_spacing_mm
    slices, rows, columns = view.shape
    pictures = (
        ("axial", view[slices // 2], row_mm / column_mm, ("R", "L")),
        ("coronal", view[::-1, rows // 2], between / column_mm, ("R", "L")),
        ("sagittal", view[::-1, :, columns // 2], between / row_mm, ("A", "P")),
    )
    for axis, (name, picture, aspect, (left, right)) in zip(axes, pictures, strict=True):
        axis.imshow(picture, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], aspect=aspect, interpolation="nearest")
        axis.set_title(f"{name}, {WINDOW_HU[0]} to {WINDOW_HU[1]} HU", fontsize=10)
        axis.set_axis_off()
        for x, letter in ((0.02, left), (0.98, right)):
            axis.text(x, 0.5, letter, transform=axis.transAxes, color="yellow", ha="center", va="center")
