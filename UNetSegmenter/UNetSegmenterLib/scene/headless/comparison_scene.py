"""A scene that shows a result: the scan, the prediction and the reference, side by side as Slicer shows them.

The layout is Slicer's "Dual 3D": above the prediction's surfaces left and the reference's right, linked; below three
slices with the prediction filled and the reference as a line on top.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import slicer
from vtk.util import numpy_support

from ...engine.io.volume import Volume, shown_window
from ...engine.labels.segmentation import Segmentation
from ..nodes.segmentation_to_node import segmentation_to_node
from ..nodes.surfaces import CLOSED_SURFACE
from ..nodes.volume_nodes import volume_to_node
from ..views.cameras import FROM_THE_FRONT, frame
from .headless_scene import HeadlessScene
from .offscreen_views import BACKGROUND, slice_logic

ORIENTATIONS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}
PREDICTION_VIEW, REFERENCE_VIEW = "1", "2"
_FROM_THE_BACK = (0.28, 1.0, -0.22)


@dataclass(frozen=True)
class ComparisonScene:
    """A headless scene with a scan and what was segmented in it; `reference_node` is None without ground truth.

    `center_ras` and `size_mm` (x, y, z) are the box around all structures that the views look at, `slices_ras` the
    point through which the three slice views run.
    """

    headless: HeadlessScene
    volume_node: slicer.vtkMRMLVolumeNode
    prediction_node: slicer.vtkMRMLSegmentationNode
    reference_node: slicer.vtkMRMLSegmentationNode | None
    center_ras: tuple[float, float, float]
    size_mm: tuple[float, float, float]
    slices_ras: tuple[float, float, float]


def comparison_scene(
    volume: Volume,
    prediction: Segmentation,
    reference: Segmentation | None = None,
    window: tuple[float, float] | None = None,
    names: tuple[str, str] = ("Prediction", "Reference"),
    provenance: Mapping[str, str] | None = None,
) -> ComparisonScene:
    """Build the scene: nodes, surfaces, display, layout, slice positions and cameras.

    Save it with `storage.save_scene`; draw it with `pictures`. Structures of one name have one colour on both sides: the
    reference takes the prediction's.
    """
    headless = HeadlessScene(make_current=False)
    scene = headless.scene
    volume_node = volume_to_node(volume, scene)
    prediction_node = segmentation_to_node(prediction, scene, volume_node, name=names[0], provenance=provenance)
    reference_node = None
    if reference is not None:
        reference_node = segmentation_to_node(reference, scene, volume_node, name=names[1])
        _share_colors(prediction_node, reference_node)
    set_window(volume_node, window or shown_window(volume))
    _add_views(headless, volume_node)
    show_as_prediction(prediction_node, [PREDICTION_VIEW] if reference_node else [PREDICTION_VIEW, REFERENCE_VIEW])
    if reference_node is not None:
        show_as_reference(reference_node, [REFERENCE_VIEW])
    shown = [node for node in (prediction_node, reference_node) if node is not None]
    center, size = _box(shown, volume_node)
    point = most_informative_point(prediction if (prediction.labels != 0).any() or reference is None else reference)
    made = ComparisonScene(headless, volume_node, prediction_node, reference_node, center, size, point)
    _place_slices(made)
    _place_cameras(made)
    return made


def set_window(volume_node: slicer.vtkMRMLVolumeNode, window: tuple[float, float]) -> None:
    """Show values from the lower to the upper bound as black to white."""
    display = volume_node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(*window)


def show_as_prediction(node: slicer.vtkMRMLSegmentationNode, threed_views: list[str]) -> None:
    """Fill in the slices, surfaces in these 3D views."""
    display = node.GetDisplayNode()
    display.SetVisibility2DFill(True)
    display.SetVisibility2DOutline(False)
    display.SetOpacity2DFill(0.35)
    _show_in(display, threed_views)


def show_as_reference(node: slicer.vtkMRMLSegmentationNode, threed_views: list[str]) -> None:
    """A line in the slices, which reads on the prediction's fill; surfaces in these 3D views."""
    display = node.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetOpacity2DOutline(1.0)
    display.SetSliceIntersectionThickness(3)
    _show_in(display, threed_views)


def _show_in(display: slicer.vtkMRMLSegmentationDisplayNode, threed_views: list[str]) -> None:
    display.RemoveAllViewNodeIDs()
    for name in ORIENTATIONS:
        display.AddViewNodeID(f"vtkMRMLSliceNode{name}")
    for name in threed_views:
        display.AddViewNodeID(f"vtkMRMLViewNode{name}")


def _share_colors(prediction: slicer.vtkMRMLSegmentationNode, reference: slicer.vtkMRMLSegmentationNode) -> None:
    ours, theirs = prediction.GetSegmentation(), reference.GetSegmentation()
    for number in range(theirs.GetNumberOfSegments()):
        segment = theirs.GetNthSegment(number)
        same = ours.GetSegmentIdBySegmentName(segment.GetName())
        if same:
            segment.SetColor(ours.GetSegment(same).GetColor())


def _add_views(headless: HeadlessScene, volume_node: slicer.vtkMRMLVolumeNode) -> None:
    """The view nodes that Slicer's layout "Dual 3D" has, under the names it knows them by."""

    scene = headless.scene
    layout = slicer.vtkMRMLLayoutNode()
    layout.SetSingletonTag("vtkMRMLLayoutNode")
    layout = scene.AddNode(layout)
    dual = slicer.vtkMRMLLayoutNode.SlicerLayoutDual3DView
    layout.AddLayoutDescription(dual, "<layout/>")  # the application knows what it looks like; here the number counts
    layout.SetViewArrangement(dual)
    for name, orientation in ORIENTATIONS.items():
        logic = slice_logic(scene, headless.application_logic, name)
        logic.GetSliceNode().SetOrientation(orientation)
        composite = logic.GetSliceCompositeNode()
        composite.SetBackgroundVolumeID(volume_node.GetID())
        composite.SetLinkedControl(1)
    for name in (PREDICTION_VIEW, REFERENCE_VIEW):
        view = slicer.vtkMRMLViewNode()
        view.SetName(f"View{name}")
        view.SetLayoutName(name)
        view.SetLayoutLabel(name)
        view.SetSingletonTag(name)
        view.SetBoxVisible(False)
        view.SetAxisLabelsVisible(False)
        view.SetBackgroundColor(*BACKGROUND)
        view.SetBackgroundColor2(*BACKGROUND)
        view.SetOrientationMarkerType(slicer.vtkMRMLAbstractViewNode.OrientationMarkerTypeCube)
        view.SetOrientationMarkerSize(slicer.vtkMRMLAbstractViewNode.OrientationMarkerSizeSmall)
        view.SetLinkedControl(1)
        scene.AddNode(view)
        camera = slicer.vtkMRMLCameraNode()
        camera.SetName(f"Camera{name}")
        camera.SetLayoutName(name)
        scene.AddNode(camera)


def _box(
    nodes: list[slicer.vtkMRMLSegmentationNode], volume_node: slicer.vtkMRMLVolumeNode
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Centre and size of the box around all segments, of the scan where there is none."""
    found = []
    for node in nodes:
        bounds = [0.0] * 6
        node.GetRASBounds(bounds)
        if bounds[0] <= bounds[1]:
            found.append(bounds)
    if not found:
        bounds = [0.0] * 6
        volume_node.GetRASBounds(bounds)
        found = [bounds]
    low = np.min([bounds[0::2] for bounds in found], axis=0)
    high = np.max([bounds[1::2] for bounds in found], axis=0)
    return _xyz((low + high) / 2), _xyz(high - low)


def _xyz(values: np.ndarray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def most_informative_point(segmentation: Segmentation) -> tuple[float, float, float]:
    """RAS point whose axial, coronal and sagittal slice each show the most of all structures.

    Along each axis the slice is taken where the structures' areas, each as a fraction of its own largest one, have the
    largest sum.
    """
    counted = max((structure.index for structure in segmentation.structures), default=0) + 1
    shape = segmentation.labels.shape
    index = []
    for axis in range(3):
        planes = np.moveaxis(segmentation.labels, axis, 0).reshape(shape[axis], -1)
        areas = np.stack([np.bincount(plane, minlength=counted)[1:counted] for plane in planes]).astype(float)
        largest = areas.max(axis=0)
        fractions = areas[:, largest > 0] / largest[largest > 0]
        index.append(int(fractions.sum(axis=1).argmax()) if fractions.size else shape[axis] // 2)
    return segmentation.geometry.position_ras_mm(index)


def _place_slices(made: ComparisonScene) -> None:
    for name in ORIENTATIONS:
        node = made.headless.scene.GetSingletonNode(name, "vtkMRMLSliceNode")
        width, height, _ = slice_extent(name, made.size_mm)
        side = 1.35 * max(width, height, 40.0)
        columns, rows, _ = node.GetDimensions()
        node.SetFieldOfView(side * columns / rows, side, node.GetFieldOfView()[2])
        node.JumpSliceByCentering(*made.center_ras)
        node.JumpSliceByOffsetting(*made.slices_ras)


def slice_extent(view: str, size_mm: tuple[float, float, float]) -> tuple[float, float, float]:
    """Width, height and depth in a slice view of a box of this size (x, y, z)."""
    x, y, z = size_mm
    return {"Red": (x, y, z), "Green": (x, z, y), "Yellow": (y, z, x)}[view]


def _place_cameras(made: ComparisonScene) -> None:
    """Both cameras at one position: from the front, a little from the left and above, close around the surfaces."""
    back = made.reference_node is None  # without a reference the second view shows the back
    points = _surface_points(made)
    for name, direction in (
        (PREDICTION_VIEW, FROM_THE_FRONT),
        (REFERENCE_VIEW, _FROM_THE_BACK if back else FROM_THE_FRONT),
    ):
        frame(camera_of(made.headless.scene, name), points, direction)


def _surface_points(made: ComparisonScene) -> np.ndarray:
    """Some points of all surfaces, or the corners of the box where there are none."""
    found = []
    for node in (made.prediction_node, made.reference_node):
        if node is None:
            continue
        segments = node.GetSegmentation()
        for number in range(segments.GetNumberOfSegments()):
            surface = segments.GetNthSegment(number).GetRepresentation(CLOSED_SURFACE)
            if surface is not None and surface.GetNumberOfPoints():
                found.append(numpy_support.vtk_to_numpy(surface.GetPoints().GetData())[::10])
    if found:
        return np.concatenate(found).astype(float)
    corners = np.array([[i, j, k] for i in (-0.5, 0.5) for j in (-0.5, 0.5) for k in (-0.5, 0.5)])
    return np.asarray(made.center_ras) + corners * made.size_mm


def camera_of(scene: slicer.vtkMRMLScene, view: str) -> slicer.vtkMRMLCameraNode:
    """The camera node of a 3D view."""
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLCameraNode")):
        camera = scene.GetNthNodeByClass(number, "vtkMRMLCameraNode")
        if camera.GetLayoutName() == view:
            return camera
    raise LookupError(f"no camera for the 3D view {view}")
