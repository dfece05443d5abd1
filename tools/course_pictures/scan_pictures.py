"""Page 1: what a CT measures; page 2: two annotations of one slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .sample import ACCENT, SECOND, SLICE, SPACING_MM, index_of, outline, panels, reference, sample, save, scan, show

WINDOWS = (("lung", -1350, 150), ("soft tissue", -150, 250), ("bone", -450, 1050))
WINDOW_SLICE, CORONAL_ROW = 106, 56
DISTANCES = (1, 3, 5)  # every n-th slice of 3 mm


def windows(path: Path) -> None:
    """One slice in three windows."""
    figure, axes = panels(12, 3.9, 1, 3)
    for axis, (name, low, high) in zip(axes, WINDOWS, strict=True):
        show(axis, scan()[WINDOW_SLICE], f"{name}: {low} to {high} HU", (low, high))
    save(figure, path)


def slice_distance(path: Path) -> None:
    """One coronal cut with slices of 3, 9 and 15 mm, drawn in millimetres."""
    figure, axes = panels(12, 4.2, 1, 3)
    for axis, every in zip(axes, DISTANCES, strict=True):
        cut = scan()[::every, CORONAL_ROW][::-1]
        show(axis, cut, f"a slice every {every * SPACING_MM:.0f} mm: {len(cut)} slices", aspect=every)
    save(figure, path)


def one_voxel(path: Path) -> None:
    """From the patient to a number: coronal cut with one slice marked, the slice with a square, the square's HU."""
    figure, axes = panels(12, 4.1, 1, 3)
    show(axes[0], scan()[::-1, CORONAL_ROW], "the volume, seen from the front")
    axes[0].axhline(len(scan()) - 1 - SLICE, color=ACCENT)
    show(axes[1], scan()[SLICE], f"slice {SLICE} of {len(scan())}: 101 x 122 pixels of 3 mm")
    rows, columns = slice(50, 56), slice(80, 86)
    square = np.array([[79.5, 85.5, 85.5, 79.5, 79.5], [49.5, 49.5, 55.5, 55.5, 49.5]])
    axes[1].plot(*square, color=ACCENT)
    part = scan()[SLICE, rows, columns]
    show(axes[2], part, "6 x 6 of its pixels, in HU")
    for (row, column), hu in np.ndenumerate(part):
        axes[2].text(column, row, f"{hu:.0f}", ha="center", va="center", color="white" if hu < 40 else "black")
    save(figure, path)


def two_annotations(path: Path) -> None:
    """The same slice annotated twice, by two programs."""
    from unetseg.evaluation.scan_prediction import open_predictor, predict

    prediction = predict(open_predictor(None, "cpu"), sample().volume).segmentation
    labels = prediction.geometry.to_axial(prediction.labels)
    figure, axes = panels(12, 4, 1, 3)
    for axis, name in zip(axes, ("left kidney", "spleen", "pancreas"), strict=True):
        first = reference() == index_of(name)
        second = labels == next(one.index for one in prediction.structures if one.name == name)
        best = int(np.argmax((first & second).sum(axis=(1, 2))))
        dice = 2 * (first & second).sum() / (first.sum() + second.sum())
        show(axis, scan()[best], f"{name}, slice {best}; Dice of the volumes {dice:.2f}")
        outline(axis, first[best], ACCENT)
        outline(axis, second[best], SECOND)
        rows, columns = np.nonzero(first[best] | second[best])
        axis.set_xlim(columns.min() - 12, columns.max() + 12)
        axis.set_ylim(rows.max() + 10, rows.min() - 10)
    save(figure, path)


PICTURES = {
    "windows.png": windows,
    "slice-distance.png": slice_distance,
    "one-voxel.png": one_voxel,
    "two-annotations.png": two_annotations,
}
