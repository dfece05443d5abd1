"""What a render window shows: as pixels, and as the bytes of a PNG file."""

from __future__ import annotations

import numpy as np
import vtk
from vtk.util import numpy_support


def window_pixels(window: vtk.vtkRenderWindow) -> np.ndarray:
    """Pixels of a render window, RGB with the top row first."""
    reader = vtk.vtkWindowToImageFilter()
    reader.SetInput(window)
    reader.SetInputBufferTypeToRGB()
    reader.ReadFrontBufferOff()
    reader.ShouldRerenderOff()
    reader.Update()
    image = reader.GetOutput()
    width, height, _ = image.GetDimensions()
    pixels = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    return np.ascontiguousarray(pixels.reshape(height, width, -1)[::-1, :, :3])


def window_png(window: vtk.vtkRenderWindow) -> bytes:
    """The picture in a render window as the bytes of a PNG file; empty for a window without any size."""
    reader = vtk.vtkWindowToImageFilter()
    reader.SetInput(window)
    reader.SetInputBufferTypeToRGB()
    reader.Update()
    if min(reader.GetOutput().GetDimensions()[:2]) < 2:
        return b""
    writer = vtk.vtkPNGWriter()
    writer.SetWriteToMemory(True)
    writer.SetInputData(reader.GetOutput())
    writer.Write()
    return numpy_support.vtk_to_numpy(writer.GetResult()).tobytes()
