"""What a render window shows, as Slicer's own Screen Capture takes it."""

from __future__ import annotations

import vtk
from vtk.util import numpy_support


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
