"""DICOM series of small slices: HU and positions to write, and a writer by ITK."""

import numpy as np
import SimpleITK as sitk

SPACING = (0.8, 0.9, 2.5)
SIZE = (8, 12, 10)
HU = np.random.default_rng(2).integers(-1000, 1000, SIZE).astype(np.int16)
POSITIONS = [(0, 0, 5.0 * k) for k in range(len(HU))]


def write_slice(writer, path, values, spacing_mm, tags):
    """Write an axial CT slice of values (rows, columns) by ITK's writer; tags are further elements by "group|element"."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing_mm)
    for key, value in {"0008|0060": "CT", "0020|0037": "1\\0\\0\\0\\1\\0", **tags}.items():
        image.SetMetaData(key, value)
    writer.SetFileName(str(path))
    writer.Execute(image)


def write_series(folder, positions, series="1.2.3", start=0, flipped=False, shift=0.0, pixel_mm=SPACING[0]):
    """One DICOM file a position (mm along the normal) of 6 x 5 pixels; returns HU (slices, rows, columns).

    shift: mm that each slice lies further back than the one before, as with a tilted gantry.
    """
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    hu = rng.integers(-1000, 1000, (len(positions), 6, 5)).astype(np.int16)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for i, position in enumerate(positions):
        tags = {
            "0008|0018": f"{series}.{start + i + 1}",
            "0020|000e": series,
            "0020|0013": str(len(positions) - i if flipped else i),
            "0020|0032": f"-10\\{-20 + shift * i}\\{position}",
            "0028|1052": "-1024",
            "0028|1053": "1",
        }
        # the writer takes HU and stores them by the rescale
        write_slice(writer, folder / f"slice{start + i:03d}.dcm", hu[i], (pixel_mm, SPACING[1]), tags)
    return hu
