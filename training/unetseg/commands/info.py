"""Say what a scan is before a network sees it.

unetseg info scan.nii.gz
unetseg info dicom_folder --plot scan.png
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.volume import Volume

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


def add_options(parser: Any) -> None:
    parser.add_argument("scan", type=Path, help="NIfTI, NRRD or MetaImage file, or a folder with one DICOM series")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="also draw the HU histogram and three middle slices")


def run(options: Any) -> None:
    from UNetSegmenterLib.engine.volume import check_volume, read_volume

    from ..console import say, warn

    volume = read_volume(options.scan)
    facts = describe(volume)
    width = max(map(len, facts))
    for name, text in facts.items():
        say(f"{name:<{width}}  {text}")
    for note in check_volume(volume):
        if note.severity == "info":
            say(f"{'note':<{width}}  {note.text}")
        else:
            warn(f"{volume.name}: {note.text}")
    if options.plot:
        from ..scan_plot import plot_scan

        plot_scan(volume, options.plot)
        say(f"{'plot':<{width}}  {options.plot}")


def describe(volume: Volume) -> dict[str, str]:
    """What `info` prints, as name and text; a volume read from DICOM was refused already if its slices are uneven."""
    import numpy as np

    geometry = volume.geometry
    slices, rows, columns = geometry.to_axial(volume.array).shape
    between, row_mm, column_mm = geometry.axial_spacing_mm
    across = [n * mm for n, mm in zip((columns, rows, slices), (column_mm, row_mm, between), strict=True)]
    percentiles = np.percentile(volume.array, PERCENTILES)
    angle = geometry.obliqueness_degrees()
    stored = " x ".join(map(str, geometry.shape[::-1]))
    return {
        "scan": volume.name,
        "size": f"{columns} x {rows} pixels, {slices} axial slices (stored as {stored}, {volume.array.dtype})",
        "spacing": f"{column_mm:.4g} x {row_mm:.4g} mm in the slice",
        "slice distance": f"{between:.4g} mm, even",
        "field of view": " x ".join(f"{mm:.0f}" for mm in across) + " mm (right-left, front-back, feet-head)",
        "orientation": geometry.orientation() + (f", oblique by {angle:.1f} degrees" if angle > 0.1 else ""),
        "origin": " ".join(f"{mm:.2f}" for mm in geometry.origin_lps) + " mm (LPS)",
        "HU": f"{volume.array.min():g} to {volume.array.max():g}, mean {volume.array.mean(dtype=float):.1f}",
        "HU percentiles": ", ".join(f"{p} %: {hu:.0f}" for p, hu in zip(PERCENTILES, percentiles, strict=True)),
    }
