"""The viewer inside the page of one case: NiiVue, and scan, prediction and reference reduced until a page can hold them."""

from __future__ import annotations

import base64
import gzip
import struct
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..evaluation.comparison import Comparison
from ..io.geometry import Geometry
from ..io.image_writing import write_image
from ..io.slicing_axis import AXIAL
from ..io.volume import HU, Volume, shown_window
from ..labels.bounding_boxes import Box, bounding_box
from ..labels.segmentation import Segmentation, resample_labels

if TYPE_CHECKING:
    import SimpleITK as sitk

LIBRARY = Path(__file__).with_name("niivue.umd.js")
"""NiiVue's bundle, which tools/fetch_viewer.py brings; without it a report is whole but static."""
_LICENSE = Path(__file__).with_name("niivue-LICENSE.txt")
ONE_CASE_BYTES = 7_000_000
"""Most that the compressed scan takes in a report of one case; base64 and the viewer bring that to about 11 MB."""
ONE_OF_MANY_BYTES = 2_000_000
"""The same for one page of a test set."""
_MARGIN_MM = 25.0
_VOXELS_PER_BYTE = 2.5  # windowed CT takes about 0.4 byte per voxel compressed


@dataclass(frozen=True)
class ViewerData:
    """Gzipped NIfTI images of one grid, and what a reader has to know about them.

    `prediction` and `reference` hold values 1, 2, ... in the order of `structures` (name, colour, position of the largest
    error in RAS, mm). `window_hu` is what the 256 greys of `scan` span. `words` tells how the scan was reduced. `slicing_axis` is
    the axis of the slices that the viewer steps through, `unit` that of the scan's values, empty if they have none.
    """

    scan: bytes
    prediction: bytes
    reference: bytes
    structures: tuple[tuple[str, tuple[int, int, int], tuple[float, float, float] | None], ...]
    window_hu: tuple[float, float]
    words: str
    slicing_axis: str = AXIAL
    unit: str = HU


def viewer_data(
    comparison: Comparison,
    volume: Volume,
    prediction: Segmentation,
    reference: Segmentation,
    most_bytes: int = ONE_CASE_BYTES,
) -> ViewerData:
    """Reduce a case until its compressed scan takes at most `most_bytes`.

    First the scan is cut to the structures and a margin, then neighbouring voxels are averaged, along the finest axes first.
    """
    ours, theirs = (
        row_numbers(side, comparison, name) for side, name in ((prediction, "prediction"), (reference, "reference"))
    )
    sides = [_on(volume.geometry, labels, side.geometry) for labels, side in ((ours, prediction), (theirs, reference))]
    window = _window(volume, sides)
    most_voxels = int(most_bytes * _VOXELS_PER_BYTE)
    box = _box(volume.geometry, sides, most_voxels)
    image, whole = _cut(volume, box), volume.array.size
    while True:
        small = _shrink(image, most_voxels)
        geometry = Geometry.from_sitk(small)
        scan = _nifti(_greys(small, window), geometry, window)
        if len(scan) <= most_bytes or small.GetNumberOfPixels() < 1000:
            break
        most_voxels = int(small.GetNumberOfPixels() * 0.95 * most_bytes / len(scan))
    compressed = [_nifti(resample_labels(labels, volume.geometry, geometry), geometry) for labels in sides]
    rows = tuple((row.structure, row.color, row.largest_error_ras) for row in comparison.rows[:255])
    cut = image.GetNumberOfPixels() < whole
    unit = HU if volume.intensities == HU else ""
    words = _description(volume.geometry, geometry, cut, window, unit)
    return ViewerData(scan, compressed[0], compressed[1], rows, window, words, comparison.slicing_axis, unit)


def row_numbers(side: Segmentation, comparison: Comparison, name: str, matched: bool = False) -> np.ndarray:
    """Labels (slices, rows, columns) with the number of the structure's row, from 1, so that both sides agree.

    `name` is the side, "prediction" or "reference". With `matched`, structures without counterpart are left out.
    """
    table = np.zeros(256, np.uint8)
    for number, row in enumerate(comparison.rows[:255], start=1):
        structure = getattr(row, name)
        if structure is not None and not (matched and row.status == "unmatched"):
            table[structure.index] = number
    return table[side.labels]


def _on(target: Geometry, labels: np.ndarray, geometry: Geometry) -> np.ndarray:
    return labels if geometry.is_close(target) else resample_labels(labels, geometry, target)


def _window(volume: Volume, sides: Iterable[np.ndarray]) -> tuple[float, float]:
    """Soft tissue, and as much more as the structures span."""
    values = np.concatenate([volume.array[labels > 0][::7] for labels in sides])
    lowest, highest = shown_window(volume)
    if not values.size:
        return lowest, highest
    low, high = (float(value) for value in np.percentile(values, (5, 95)))
    if volume.intensities == HU:
        low, high = float(np.floor(low)), float(np.ceil(high))
    return min(lowest, low), max(highest, high)


def _box(geometry: Geometry, sides: list[np.ndarray], most_voxels: int) -> Box:
    """The whole grid where it fits, else the structures and a margin around them."""
    whole = tuple(slice(0, size) for size in geometry.shape)
    box = bounding_box(*sides)
    if box is None or np.prod(geometry.shape) <= most_voxels:
        return whole  # type: ignore[return-value]
    pads = [int(np.ceil(_MARGIN_MM / mm)) for mm in geometry.spacing_mm]
    cut = zip(box, pads, geometry.shape, strict=True)
    return tuple(slice(max(0, s.start - pad), min(size, s.stop + pad)) for s, pad, size in cut)  # type: ignore[return-value]


def _cut(volume: Volume, box: Box) -> sitk.Image:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array[box]))
    volume.geometry.apply_to(image)
    image.SetOrigin(volume.geometry.position_lps_mm([part.start for part in box]))
    return image


def _shrink(image: sitk.Image, most_voxels: int) -> sitk.Image:
    """Means of blocks, so many along each axis that no more voxels are left and their edges are about equally long."""
    import SimpleITK as sitk

    size, spacing, factors = image.GetSize(), image.GetSpacing(), [1, 1, 1]
    while np.prod([n // factor for n, factor in zip(size, factors, strict=True)]) > most_voxels:
        finest = min(
            (axis for axis in range(3) if size[axis] >= 2 * (factors[axis] + 1)),
            key=lambda axis: factors[axis] * spacing[axis],
            default=None,
        )
        if finest is None:
            break
        factors[finest] += 1
    small = image if factors == [1, 1, 1] else sitk.BinShrink(image, factors)
    return sitk.DICOMOrient(small, "RAS")  # so that the page's indices run as NIfTI's world does


def _greys(image: sitk.Image, window: tuple[float, float]) -> np.ndarray:
    import SimpleITK as sitk

    low, high = window
    scaled = (sitk.GetArrayViewFromImage(image).astype(np.float32) - low) * (255 / (high - low))
    return np.rint(scaled.clip(0, 255)).astype(np.uint8)


def _nifti(array: np.ndarray, geometry: Geometry, window: tuple[float, float] | None = None) -> bytes:
    """A gzipped NIfTI file; with `window` its header says which HU 0 and 255 stand for."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nii"
        write_image(array, geometry, path)
        content = bytearray(path.read_bytes())
    if window is not None:
        struct.pack_into("<ff", content, 112, (window[1] - window[0]) / 255, window[0])  # scl_slope, scl_inter
    return gzip.compress(bytes(content), 6, mtime=0)


def _description(full: Geometry, small: Geometry, cut: bool, window: tuple[float, float], unit: str) -> str:
    text = f"The scan is shown in {small.shape_text()} voxels of {small.spacing_text()} mm"
    if cut:
        text += f", cut to the structures and {_MARGIN_MM:g} mm around them"
    if small.voxel_ml > 1.001 * full.voxel_ml:
        text += f", averaged from {full.spacing_text()} mm"
    low, high = (f"{value:.0f}" if unit else f"{value:.4g}" for value in window)
    greys = f"in 256 greys from {low} to {high} {unit}".rstrip().replace("-", "−")
    text = text.replace(" x ", " × ")
    return f"{text}, {greys}. The measures in this report were taken in full resolution."


def viewer_content(data: ViewerData) -> dict[str, Any]:
    """What templates/viewer.html lays out; no `library` where NiiVue is not there."""
    if not LIBRARY.is_file():
        return {"library": ""}
    names = [name for name, _, _ in data.structures]
    setup = {
        "names": ["", *names],
        "colors": [[0, 0, 0], *(list(color) for _, color, _ in data.structures)],
        "positions": [None, *(None if ras is None else [round(mm, 1) for mm in ras] for _, _, ras in data.structures)],
        "window": list(data.window_hu),
        **({} if data.slicing_axis == AXIAL else {"axis": data.slicing_axis}),
        **({} if data.unit == HU else {"unit": data.unit}),
    }
    return {
        "structures": names,
        "axis": data.slicing_axis,
        "description": data.words,
        "license": _LICENSE.read_text(encoding="utf-8"),
        "setup": setup,
        "library": _compressed_library(LIBRARY.stat().st_mtime),
        **{name: base64.b64encode(getattr(data, name)).decode() for name in ("scan", "prediction", "reference")},
    }


@cache
def _compressed_library(changed: float) -> str:  # `changed`: a library that was fetched meanwhile is read anew
    return base64.b64encode(gzip.compress(LIBRARY.read_bytes(), 9, mtime=0)).decode()
