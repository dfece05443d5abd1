"""What a render window shows: as pixels, and as the bytes of a PNG file."""

from __future__ import annotations

import numpy as np
import vtk
from vtk.util import numpy_support

from ...engine.io.image_writing import png_bytes


def window_pixels(window: vtk.vtkRenderWindow) -> np.ndarray:
    """Pixels of a render window, RGB with the top row first, as they were drawn last."""
    reader = vtk.vtkWindowToImageFilter()
    reader.SetInput(window)
    reader.ReadFrontBufferOff()
    reader.ShouldRerenderOff()
    return _pixels(reader)


def window_png(window: vtk.vtkRenderWindow) -> bytes:
    """The picture in a render window as the bytes of a PNG file; empty for a window without any size."""
    reader = vtk.vtkWindowToImageFilter()
    reader.SetInput(window)
    pixels = _pixels(reader)
    return b"" if min(pixels.shape[:2]) < 2 else png_bytes(pixels)


def _pixels(reader: vtk.vtkWindowToImageFilter) -> np.ndarray:
    reader.SetInputBufferTypeToRGB()
    reader.Update()
    image = reader.GetOutput()
    width, height, _ = image.GetDimensions()
    if min(width, height) < 1:
        return np.zeros((0, 0, 3), np.uint8)
    pixels = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    return np.ascontiguousarray(pixels.reshape(height, width, -1)[::-1, :, :3])
