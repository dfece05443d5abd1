"""The figure of a scan: the histogram of its HU with the ranges of tissues, and three slices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from UNetSegmenterLib.engine.io.volume import SOFT_TISSUE_HU

from .plotting import HIGHEST_HU, LOWEST_HU, mark_tissues, new_figure, plot_colors, save_figure

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.io.volume import Volume
    from UNetSegmenterLib.engine.labels.segmentation import Segmentation


def plot_scan(volume: Volume, path: Path, segmentation: Segmentation | None = None) -> None:
    """Draw a PNG: histogram (logarithmic) above axial, coronal and sagittal slices through the middle.

    With a segmentation on the same grid, the histogram has one line per structure, and the slices go through the middle of the
    labelled voxels and show them, in a window in which their brightest ones are not white.
    """
    figure = new_figure(12, 8)
    top, bottom = figure.subfigures(2, 1, height_ratios=(2, 3))
    _histogram(top.subplots(), volume, segmentation)
    _slices(bottom.subplots(1, 3), volume, segmentation)
    figure.suptitle(volume.name)
    save_figure(figure, path)


def _histogram(axes: Any, volume: Volume, segmentation: Segmentation | None) -> None:
    hu = volume.array
    low, high = min(LOWEST_HU, float(hu.min())), max(HIGHEST_HU, float(np.percentile(hu, 99.99)))
    counts, edges = np.histogram(hu, bins=300, range=(low, high))
    axes.fill_between(edges[:-1], np.maximum(counts, 0.5), 0.5, step="post", color="#9fb0c1", label="all voxels")
    axes.set(yscale="log", ylim=(0.5, counts.max() * 4), ylabel="voxels")
    mark_tissues(axes, low, high)
    if segmentation is None:
        return
    colors = plot_colors(segmentation.structures)
    for structure in segmentation.structures:
        inside, _ = np.histogram(hu[segmentation.mask(structure.index)], bins=edges)
        if inside.any():
            axes.step(
                edges[:-1],
                np.maximum(inside, 0.5),
                where="post",
                color=colors[structure.index],
                label=structure.name,
            )
    axes.legend(fontsize=8, loc="upper right")


def _slices(axes: Any, volume: Volume, segmentation: Segmentation | None) -> None:
    low, high = _window(volume, segmentation)
    view = volume.geometry.to_axial(volume.array)  # (inferior-superior, anterior-posterior, right-left)
    labels = None if segmentation is None else volume.geometry.to_axial(segmentation.labels)
    between, row_mm, column_mm = volume.geometry.axial_spacing_mm
    axial_slice, row, column = [size // 2 for size in view.shape] if labels is None else _middle(labels)
    pictures = (
        ("axial", np.s_[axial_slice], row_mm / column_mm, ("R", "L")),
        ("coronal", np.s_[::-1, row], between / column_mm, ("R", "L")),
        ("sagittal", np.s_[::-1, :, column], between / row_mm, ("A", "P")),
    )
    for axis, (name, cut, aspect, (left, right)) in zip(axes, pictures, strict=True):
        axis.imshow(
            view[cut],
            cmap="gray",
            vmin=low,
            vmax=high,
            aspect=aspect,
            interpolation="nearest",
        )
        if labels is not None and segmentation is not None:
            axis.imshow(_colored(labels[cut], segmentation), aspect=aspect, interpolation="nearest")
        axis.set_title(f"{name}, {low:.0f} to {high:.0f} HU", fontsize=10)
        axis.set_axis_off()
        for x, letter in ((0.02, left), (0.98, right)):
            axis.text(x, 0.5, letter, transform=axis.transAxes, color="yellow", ha="center", va="center")


def _window(volume: Volume, segmentation: Segmentation | None) -> tuple[float, float]:
    """That of soft tissue, up to the brightest structure: blood with contrast agent would be white like bone."""
    low, high = SOFT_TISSUE_HU
    if segmentation is not None and (segmentation.labels > 0).any():
        high = max(high, float(np.percentile(volume.array[segmentation.labels > 0], 99.5)))
    return low, high


def _middle(labels: np.ndarray) -> list[int]:
    """The middle of the labelled voxels, of the array if there are none."""
    middle = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        found = np.flatnonzero(labels.any(axis=others))
        middle.append(int(found.mean()) if found.size else labels.shape[axis] // 2)
    return middle


def _colored(labels: np.ndarray, segmentation: Segmentation) -> np.ndarray:
    """RGBA of a slice of labels, background transparent."""
    table = np.zeros((256, 4), dtype=np.uint8)
    for index, color in plot_colors(segmentation.structures).items():
        table[index] = (*(round(255 * part) for part in color), 130)
    return table[labels]
