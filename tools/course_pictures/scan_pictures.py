"""Page 1: what a CT measures; page 2: two annotations of one slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .sample import (
    ACCENT,
    INK,
    SECOND,
    SLICE,
    SPACING_MM,
    chest_scan,
    index_of,
    outline,
    panels,
    reference,
    sample,
    save,
    scan,
    show,
)

RADIOLOGISTS = Path(__file__).resolve().parents[2] / "docs" / "course" / "radiologists"
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


def radiologists(path: Path) -> None:
    """One slice of a nodule in the lung that four radiologists outlined, and how many of them have each pixel."""
    readers = [sitk.ReadImage(str(one)) for one in sorted(RADIOLOGISTS.glob("radiologist-*.nii.gz"))]
    masks = np.stack([sitk.GetArrayFromImage(one) for one in readers]).astype(bool)  # (4, slices, rows, columns)
    best = int(np.argmax(masks.sum(axis=(0, 2, 3))))
    left, top, bottom_mm = readers[0].GetOrigin()
    pixel_mm, _, distance_mm = readers[0].GetSpacing()
    first_row, first_column = round(top / pixel_mm), round(left / pixel_mm)
    chest = sitk.ReadImage(str(chest_scan()))
    number = round((bottom_mm + best * distance_mm - chest.GetOrigin()[2]) / chest.GetSpacing()[2])
    rows, columns = masks.shape[2:]
    part = sitk.GetArrayViewFromImage(chest)[
        number, first_row : first_row + rows, first_column : first_column + columns
    ]
    figure, axes = panels(12, 4.4, 1, 3)
    show(axes[0], part, "a nodule in the right lung, -1350 to 150 HU", (-1350, 150))
    show(axes[1], part, "four outlines", (-1350, 150))
    for mask, colour in zip(masks[:, best], (ACCENT, SECOND, "#ffd60a", "#7cfc00"), strict=True):
        outline(axes[1], mask, colour, 1.6)
    axes[2].imshow(masks[:, best].sum(axis=0), cmap="viridis", vmin=0, vmax=4, interpolation="nearest")
    axes[2].set_title("how many of the four have the pixel", fontsize=11, color=INK)
    axes[2].set_axis_off()
    figure.colorbar(axes[2].images[0], ax=axes[2], ticks=range(5), fraction=0.046)
    save(figure, path)


PICTURES = {
    "radiologists.png": radiologists,
    "windows.png": windows,
    "slice-distance.png": slice_distance,
    "one-voxel.png": one_voxel,
    "two-annotations.png": two_annotations,
}
