"""Arrays resampled to another grid; and sheared voxels, such as a tilted gantry leaves, to a straight one on request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from .geometry import SHEAR_MM, Geometry, box_corners, sheared_text
from .image_header import StoredImage
from .volume import Note


def resample_array(
    array: np.ndarray, geometry: Geometry, target: Geometry, *, nearest: bool, outside: float = 0.0
) -> np.ndarray:
    """An array on another grid, of the same type.

    Args:
        array: (slices, rows, columns), with a last axis if a voxel has several values.
        geometry: the grid of `array`.
        target: the grid that is wanted.
        nearest: take the nearest voxel, as labels need it, instead of interpolating linearly.
        outside: what voxels get that lie outside of `geometry`.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(array), isVector=array.ndim == 4)
    geometry.apply_to(image)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(size) for size in target.shape[::-1]])
    resampler.SetOutputSpacing(target.spacing_mm[::-1])
    resampler.SetOutputOrigin(target.origin_lps)
    resampler.SetOutputDirection([value for row in target.direction for value in row])
    resampler.SetInterpolator(sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear)
    resampler.SetDefaultPixelValue(outside)
    return sitk.GetArrayFromImage(resampler.Execute(image))


def check_straight(path: Path, geometry: Geometry, notes: Iterable[Note] = ()) -> None:
    """Raise InputError for sheared voxels; the message adds the contradictions of the header among `notes`."""
    if geometry.shear_mm() > SHEAR_MM:
        also = "".join(f" Also: {note.text}" for note in notes if "sform" in note.text)
        also += " If the qform is the right one, copy it into the sform." if "qform and sform" in also else ""
        raise InputError(f"{path}: {sheared_text(geometry)}{also}")


def straight_geometry(geometry: Geometry) -> Geometry:
    """The straight grid that covers a sheared one: rows and columns keep their plane, slices follow its normal.

    The slice spacing is that along the normal; the grid is as large as needed. A straight grid is returned unchanged.
    """
    if geometry.shear_mm() <= SHEAR_MM:
        return geometry
    affine = geometry.affine_lps()
    columns = affine[:3, 0] / np.linalg.norm(affine[:3, 0])
    rows = affine[:3, 1] - (affine[:3, 1] @ columns) * columns
    rows /= np.linalg.norm(rows)
    normal = np.cross(columns, rows)
    normal *= np.sign(normal @ affine[:3, 2])
    axes = np.stack([columns, rows, normal], axis=1)
    spacing = np.abs(np.diag(axes.T @ affine[:3, :3]))
    along = (box_corners(geometry.shape) @ affine.T)[:, :3] @ axes
    low, high = along.min(axis=0), along.max(axis=0)
    size = [int(np.ceil(value - 1e-3)) + 1 for value in (high - low) / spacing]
    x, y, z = (float(value) for value in spacing)
    return Geometry(
        (size[2], size[1], size[0]),
        (z, y, x),
        tuple(float(value) for value in axes @ low),  # type: ignore[arg-type]
        tuple(tuple(float(value) for value in row) for row in axes),  # type: ignore[arg-type]
    )


def straightened(image: StoredImage, labels: bool) -> StoredImage:
    """The image resampled to `straight_geometry` if its voxels are sheared, else unchanged.

    Voxels outside of the image get its lowest value, which is air in a CT, or 0 in labels.
    """
    if image.geometry.shear_mm() <= SHEAR_MM:
        return image
    target = straight_geometry(image.geometry)
    outside = 0.0 if labels else float(image.array.min())
    array = resample_array(image.array, image.geometry, target, nearest=labels, outside=outside)
    text = (
        f"the voxels were sheared by {image.geometry.tilt_degrees():.3g} degrees and were resampled to a straight grid of "
        f"{target.shape_text()}, {'nearest neighbour' if labels else 'linearly'}."
    )
    return replace(image, array=array, geometry=target, notes=(*image.notes, Note("warning", text)))
