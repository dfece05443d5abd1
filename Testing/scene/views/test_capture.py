"""A window's picture is what is drawn in it."""

import numpy as np
import pytest
import SimpleITK as sitk
import vtk
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.scene.headless.offscreen_views import check_rendering
from UNetSegmenterLib.scene.views.capture import window_png


def test_a_window_is_captured_as_it_is_drawn(tmp_path):
    try:
        check_rendering()
    except InputError as error:
        pytest.skip(str(error))
    window, renderer = vtk.vtkRenderWindow(), vtk.vtkRenderer()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.SetSize(40, 30)
    renderer.SetBackground(1.0, 0.5, 0.0)
    window.AddRenderer(renderer)
    window.Render()
    path = tmp_path / "window.png"
    path.write_bytes(window_png(window))
    pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    assert pixels.shape == (30, 40, 3) and np.abs(pixels.astype(int) - (255, 128, 0)).max() <= 1
