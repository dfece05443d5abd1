"""Input checks of a scan: what a user should know before it is segmented, as notes with a severity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import slicer

from ...engine.io.geometry import sizes_text
from ...engine.io.volume import HU, Note, Volume, check_volume
from .scene_nodes import nodes_of_class

if TYPE_CHECKING:
    from ...engine.model.card import Card

SPACING_FACTOR = 1.5  # in-plane spacing that differs by more than this from the model's gets a note
ORDER = ("error", "warning", "info", "pass")


def volume_error(node: slicer.vtkMRMLVolumeNode) -> Note | None:
    """The error of a node without voxels, or with more than one value per voxel; None if it has neither."""
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        return Note("error", f'"{node.GetName()}" has no image data: load the scan again or choose another volume.')
    if image.GetNumberOfScalarComponents() != 1:
        found = image.GetNumberOfScalarComponents()
        return Note(
            "error", f'"{node.GetName()}" has {found} values per voxel: a CT has one; extract one component first.'
        )
    return None


def scan_notes(node: slicer.vtkMRMLVolumeNode, volume: Volume, card: Card | None = None) -> list[Note]:
    """All notes on a scan, errors first; if there are no errors or warnings, one that describes the scan.

    Reads every voxel twice (smallest and largest value); nothing is copied.
    """
    volume, slicing = replace(volume, modality=modality_of(node)), None
    if card is not None:
        volume = replace(volume, intensities=card.preprocessing.intensities)
        slicing = card.preprocessing.slicing(volume.geometry)
    notes = [*check_volume(volume, slicing), *_placement(node), *_time_points(node)]
    if card is not None:
        notes += _compared_with_card(volume, card)
    if not any(note.severity in ("error", "warning") for note in notes):
        spacing = volume.geometry.spacing_text(".2f")
        lowest, highest = float(volume.array.min()), float(volume.array.max())
        text = f"{volume.geometry.shape_text()} voxels of {spacing} mm, {lowest:g} to {highest:g}"
        notes.append(Note("pass", f"{text} HU" if volume.intensities == HU else text))
    return sorted(notes, key=lambda note: ORDER.index(note.severity))


def modality_of(node: slicer.vtkMRMLVolumeNode) -> str:
    """The modality ("CT", "MR", ...) of a scan that was loaded from DICOM; empty where it is not known."""
    if node.GetScene() is None:
        return ""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
    if not item:
        return ""
    name = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    return str(hierarchy.GetItemAttribute(item, name)).strip()


def _placement(node: slicer.vtkMRMLVolumeNode) -> Iterator[Note]:
    transform = node.GetParentTransformNode()
    if transform is None:
        return
    if transform.IsTransformToWorldLinear():
        yield Note("info", f'under the transform "{transform.GetName()}": the result is put under it too.')
    elif "acquisition" in transform.GetName().lower():
        yield Note(
            "warning",
            f'the slices are uneven or missing ("{transform.GetName()}" corrects them): the network sees them as evenly '
            "spaced, and the result is put under the same transform.",
        )
    else:
        yield Note("info", f'under the warping transform "{transform.GetName()}": the result is put under it too.')


def _time_points(node: slicer.vtkMRMLVolumeNode) -> Iterator[Note]:
    for browser in nodes_of_class(slicer.mrmlScene, "vtkMRMLSequenceBrowserNode"):
        if browser.GetSequenceNode(node) is not None and browser.GetNumberOfItems() > 1:
            yield Note(
                "info",
                f"one of {browser.GetNumberOfItems()} time points: only the one on screen (number "
                f"{browser.GetSelectedItemNumber() + 1}) is segmented.",
            )


def _compared_with_card(volume: Volume, card: Card) -> Iterator[Note]:
    _, *in_plane = card.preprocessing.slicing(volume.geometry).spacing_mm
    wanted_mm = card.preprocessing.spacing_mm or in_plane
    factor = max(max(mm / to, to / mm) for mm, to in zip(in_plane, wanted_mm, strict=True))
    coarser = any(mm > to for mm, to in zip(in_plane, wanted_mm, strict=True))
    found = sizes_text(in_plane, ".2f")
    wanted = sizes_text(wanted_mm if len(set(wanted_mm)) > 1 else wanted_mm[:1], "g")
    if factor > SPACING_FACTOR and coarser:
        yield Note(
            "warning",
            f"pixels of {found} mm are coarser than the {wanted} mm of the model's training: fine structures may be missed.",
        )
    elif factor > SPACING_FACTOR:
        yield Note(
            "info",
            f"pixels of {found} mm are resampled to the model's {wanted} mm, and the result back to the scan's grid.",
        )
    if card.preprocessing.window_hu is None:
        return
    low, high = card.preprocessing.window_hu
    lowest, highest = float(volume.array.min()), float(volume.array.max())
    if lowest > high or highest < low:
        yield Note(
            "error", f"values of {lowest:g} to {highest:g} lie outside the model's window of {low:g} to {high:g} HU."
        )
