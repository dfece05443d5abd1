"""Offscreen slice and 3D views, drawn by Slicer's own displayable managers.

Each view stands for a view node of the scene (the slice node "Red", the 3D view node "1"), so that a picture shows what
Slicer's views show of the same scene. They are for scenes without an application (`headless_scene.py`): inside
Slicer the layout has its own views.
"""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import sys

import numpy as np
import slicer
import vtk

from ...engine.errors import InputError
from ..views.capture import window_pixels

APT_PACKAGES = "libegl1 libgl1 libgl1-mesa-dri"
BACKGROUND = (0.07, 0.08, 0.10)
SUPERSAMPLING = 2  # pictures are drawn at twice the size and averaged: smooth lines without multisampling
_SLICE_MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
)
_THREED_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLColorLegendDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
)


def check_rendering() -> None:
    """Raise InputError, which names the packages to install, where a picture can't be drawn.

    VTK ends the process at the first Render() without an OpenGL library, so the library is looked for first, and one
    small picture is drawn in a process of its own (once).
    """
    reason = _rendering_fault()
    if reason:
        raise InputError(
            f"Pictures can't be drawn here: {reason}; install Mesa's software OpenGL (Debian, Ubuntu: apt-get install "
            f"{APT_PACKAGES}; or libosmesa6)."
        )


@functools.cache
def _rendering_fault() -> str:
    """Why no picture can be drawn, empty if one can."""
    if sys.platform.startswith("linux"):
        names = ["libEGL.so.1", "libOSMesa.so.8", "libOSMesa.so.6"]
        if os.environ.get("DISPLAY"):
            names.append("libGL.so.1")
        if not any(_loads(name) for name in names):
            return "neither EGL nor OSMesa is installed (no " + ", ".join(names) + ")"
        if not os.environ.get("DISPLAY"):  # VTK would try the screen first and complain
            back_end = "vtkEGLRenderWindow" if _loads("libEGL.so.1") else "vtkOSOpenGLRenderWindow"
            os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", back_end)
    trial = (
        "import vtkmodules.vtkRenderingOpenGL2; from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow; "
        "w = vtkRenderWindow(); w.SetOffScreenRendering(1); w.SetMultiSamples(0); w.SetSize(8, 8); "
        "w.AddRenderer(vtkRenderer()); w.Render()"
    )
    try:
        done = subprocess.run([sys.executable, "-c", trial], capture_output=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"a first small picture could not be drawn ({error})"
    return "" if done.returncode == 0 else f"a first small picture ended its process with status {done.returncode}"


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def offscreen_window(size: tuple[int, int]) -> tuple[vtk.vtkRenderWindow, vtk.vtkRenderer]:
    """A render window without a screen for a picture of this size (width, height), and its renderer."""
    renderer = vtk.vtkRenderer()
    renderer.SetBackground(*BACKGROUND)
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.SetSize(*(side * SUPERSAMPLING for side in size))
    window.SetDPI(72 * SUPERSAMPLING)
    window.AddRenderer(renderer)
    return window, renderer


class _OffscreenView:
    """A render window without a screen, with the displayable managers of one view node."""

    _managers: tuple[str, ...] = ()

    def __init__(self, factory: vtk.vtkObject, application_logic: vtk.vtkObject, size: tuple[int, int]) -> None:
        check_rendering()
        self.size = size
        self.window, self.renderer = offscreen_window(size)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self.window)
        self._interactor.SetEnableRender(False)
        factory.SetMRMLApplicationLogic(application_logic)
        for name in self._managers:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.SetRenderer(self.renderer)
        self.group.Initialize(factory, self.renderer)

    def add_text(self, text: str, corner: str = "top left", size: int = 15, bold: bool = True) -> None:
        """Write into a corner or the middle of an edge: "top left", "bottom right", "top centre" and so on."""
        actor = vtk.vtkTextActor()
        actor.SetInput(text)
        style_text(actor.GetTextProperty(), size, bold)
        vertical, horizontal = corner.split()
        across = {"left": 0.0, "centre": 0.5, "right": 1.0}[horizontal]
        margin = 10 * SUPERSAMPLING
        width, height = self.window.GetSize()
        x = margin + across * (width - 2 * margin)
        y = height - margin if vertical == "top" else margin
        properties = actor.GetTextProperty()
        properties.SetJustification(round(2 * across))
        properties.SetVerticalJustification(2 if vertical == "top" else 0)
        actor.SetPosition(x, y)
        self.renderer.AddViewProp(actor)

    def picture(self) -> np.ndarray:
        """What the view shows: RGB `(height, width, 3)` uint8."""
        self.window.Render()
        return downsampled(window_pixels(self.window))

    def close(self) -> None:
        """Release the view node and the graphics memory; the scene keeps the view node."""
        self.group.SetMRMLDisplayableNode(None)
        self.window.Finalize()


class SliceView(_OffscreenView):
    """The slice view with this layout name ("Red", "Green", "Yellow"); the scene's slice node says what it shows."""

    _managers = _SLICE_MANAGERS

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        application_logic: vtk.vtkObject,
        name: str,
        size: tuple[int, int] = (420, 420),
    ) -> None:
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        super().__init__(factory, application_logic, size)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self.renderer.SetBackground(0, 0, 0)
        self.logic = slice_logic(scene, application_logic, name)
        self.node = self.logic.GetSliceNode()
        width, height = self.window.GetSize()
        self.logic.ResizeSliceNode(width, height)
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        self._mapper = mapper
        actor = vtk.vtkActor2D()
        actor.SetMapper(mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(actor)
        self.group.SetMRMLDisplayableNode(self.node)

    def look_at(
        self,
        center_ras: tuple[float, float, float],
        plane_ras: tuple[float, float, float],
        width_mm: float,
        height_mm: float,
    ) -> None:
        """Show the plane through `plane_ras` with at least this field of view around `center_ras`."""
        width, height = self.window.GetSize()
        scale = max(width_mm / width, height_mm / height)
        self.node.SetDimensions(width, height, 1)
        self.node.SetFieldOfView(width * scale, height * scale, self.node.GetFieldOfView()[2])
        self.node.SetXYZOrigin(0, 0, 0)
        self.node.JumpSliceByCentering(*center_ras)
        self.node.JumpSliceByOffsetting(*plane_ras)
        self.logic.UpdatePipeline()
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())


def slice_logic(scene: slicer.vtkMRMLScene, application_logic: vtk.vtkObject, name: str) -> slicer.vtkMRMLSliceLogic:
    """The logic of a slice view; made with its slice and composite node if the scene has none of that name."""
    for number in range(application_logic.GetSliceLogics().GetNumberOfItems()):
        logic = application_logic.GetSliceLogics().GetItemAsObject(number)
        if logic.GetSliceNode() is not None and logic.GetSliceNode().GetLayoutName() == name:
            return logic
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLApplicationLogic(application_logic)
    application_logic.GetSliceLogics().AddItem(logic)
    logic.SetMRMLScene(scene)
    node = scene.GetSingletonNode(name, "vtkMRMLSliceNode")
    if node is None:
        logic.AddSliceNode(name)
    else:
        logic.SetSliceNode(node)
    return logic


class ThreeDView(_OffscreenView):
    """The 3D view with this layout name ("1", "2")."""

    _managers = _THREED_MANAGERS

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        application_logic: vtk.vtkObject,
        name: str,
        size: tuple[int, int] = (560, 560),
    ) -> None:
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        super().__init__(factory, application_logic, size)
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(application_logic)
        application_logic.GetViewLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(scene)
        self.node = scene.GetSingletonNode(name, "vtkMRMLViewNode") or self.logic.AddViewNode(name)
        self.group.SetMRMLDisplayableNode(self.node)

    def picture(self) -> np.ndarray:
        """What the view shows: RGB `(height, width, 3)` uint8."""
        self.renderer.ResetCameraClippingRange()
        return super().picture()


def style_text(
    properties: vtk.vtkTextProperty, size: int, bold: bool, color: tuple[float, ...] = (0.93, 0.94, 0.96)
) -> None:
    """Give a text the font, size and colour that all pictures share."""
    properties.SetFontFamilyToArial()
    properties.SetFontSize(size)
    properties.SetBold(bold)
    properties.SetColor(*color)


def downsampled(pixels: np.ndarray) -> np.ndarray:
    """Each block of supersampled pixels as their mean."""
    height, width = (side // SUPERSAMPLING for side in pixels.shape[:2])
    blocks = pixels[: height * SUPERSAMPLING, : width * SUPERSAMPLING].astype(np.uint16)
    blocks = blocks.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING, 3)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)
