"""The prediction's surfaces, painted with their signed distance from the ground truth's: one model node, one scale, one bar."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from ...engine.errors import InputError
from ...engine.evaluation.error_map import pairs_of
from ...engine.labels.matching import Pair, match_structures, remaining_matches
from ..nodes.case_nodes import refuse_empty
from ..nodes.node_attributes import matched_by_hand
from ..nodes.scene_nodes import place_beside, removed_on_error
from ..nodes.segmentation_from_node import segmentation_from_node, structures_of
from .color_tables import color_table
from .signed_distance import points_between, signed_distance_steps, surface_of

SCALARS = "Signed distance (mm)"
DEFAULT_SCALE_MM = 10.0
ROLE = "UNetSegmenter.distanceOf"  # node reference from painted surfaces to their prediction; saved with the scene
NO_DISTANCE = (0.45, 0.45, 0.45)
STOPS = ((33, 102, 172), (146, 197, 222), (247, 247, 247), (244, 165, 130), (178, 24, 43))
"""Blue inside, white, red outside: C. Brewer's RdBu, which all kinds of colour vision tell apart."""


@dataclass(frozen=True)
class DistanceModel:
    """The model node, its colour table, and the lowest and highest distance in mm per structure.

    None for a structure that has a surface on one side alone: the prediction's is grey, the ground truth's is not drawn.
    """

    node: slicer.vtkMRMLModelNode
    table: slicer.vtkMRMLColorTableNode
    ranges_mm: dict[str, tuple[float, float] | None]


def distance_colors_steps(
    prediction_node: Any,
    reference_node: Any,
    structure: str | None = None,
    pairs: Sequence[Pair] | None = None,
    scale_mm: float = DEFAULT_SCALE_MM,
) -> Generator[str, None, DistanceModel]:
    """Paint the prediction's surfaces in small steps, which yield a text on the progress; returns the `DistanceModel`.

    The model, named "<prediction> distances", is under the prediction's transform; distances are measured in the ground
    truth's coordinates, as the comparison's are. `structure` and `pairs` are as for the error
    map. Neither node is changed. Raises InputError for nodes without segments, and for a structure that is not on both
    sides.
    """
    for node in (prediction_node, reference_node):
        refuse_empty(node)
    if pairs is None:
        ours, theirs = _structures(prediction_node), _structures(reference_node)
        by_hand = remaining_matches(matched_by_hand(prediction_node, reference_node), ours, theirs)
        pairs = match_structures(ours, theirs, by_hand).pairs
    painted = vtk.vtkAppendPolyData()
    ranges: dict[str, tuple[float, float] | None] = {}
    for pair in pairs_of(pairs, structure):
        name = pair.reference.name
        yield f"{name}: making its surface..."
        surface = surface_of(prediction_node, pair.prediction)
        ranges[name] = None
        if not surface.GetNumberOfPoints():
            continue
        yield f"{name}: making the ground truth's surface..."
        target = surface_of(reference_node, pair.reference)
        steps = signed_distance_steps(points_between(surface, prediction_node, reference_node), target)
        while True:
            try:
                yield f"{name}: {100 * next(steps):.0f} % of its surface measured..."
            except StopIteration as end:
                distances = end.value
                break
        if len(distances) and not np.isnan(distances).any():
            ranges[name] = float(distances.min()), float(distances.max())
        painted.AddInputData(_shaded(surface, distances))
        yield f"{name}: done"
    if not painted.GetNumberOfInputConnections(0):
        raise InputError(f'Nothing of "{prediction_node.GetName()}" has a surface to paint.')
    painted.Update()
    yield "Painting all surfaces..."
    return _shown(prediction_node, painted.GetOutput(), ranges, scale_mm)


def set_scale(node: slicer.vtkMRMLModelNode, scale_mm: float) -> None:
    """Let the colours reach from -scale_mm to +scale_mm."""
    node.GetDisplayNode().SetScalarRange(-scale_mm, scale_mm)
    legend = _legend(node)
    if legend is not None:
        legend.Modified()  # the range is read only then


def renew_legend(node: slicer.vtkMRMLModelNode) -> None:
    """Add the colour bar anew: Slicer's views draw only bars that came after them."""
    legend = _legend(node)
    if legend is not None:
        node.GetScene().RemoveNode(legend)
    _add_legend(node)


def _structures(node: Any) -> Sequence[Any]:
    if node.IsA("vtkMRMLSegmentationNode"):
        return structures_of(node)
    return segmentation_from_node(node).structures


def _shaded(surface: vtk.vtkPolyData, distances: np.ndarray) -> vtk.vtkPolyData:
    """A copy of a surface with the distances as its scalars and with normals for smooth shading, nothing else."""
    bare = vtk.vtkPolyData()
    bare.CopyStructure(surface)
    scalars = numpy_support.numpy_to_vtk(distances, deep=True)
    scalars.SetName(SCALARS)
    bare.GetPointData().SetScalars(scalars)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(bare)
    normals.SplittingOff()
    normals.ConsistencyOff()
    normals.Update()
    return normals.GetOutput()


def _shown(prediction_node: Any, surfaces: vtk.vtkPolyData, ranges: dict, scale_mm: float) -> DistanceModel:
    scene = prediction_node.GetScene()
    node = scene.AddNewNodeByClass("vtkMRMLModelNode")
    table = color_table(scene, "Signed distance", STOPS, 255)
    table.GetLookupTable().SetNanColor(*NO_DISTANCE, 1.0)
    with removed_on_error(node, table):
        _paint(node, table, prediction_node, surfaces, scale_mm)
    return DistanceModel(node, table, ranges)


def _paint(node: Any, table: Any, prediction_node: Any, surfaces: vtk.vtkPolyData, scale_mm: float) -> None:
    node.SetName(f"{prediction_node.GetName()} distances")
    node.SetAndObservePolyData(surfaces)
    node.SetNodeReferenceID(ROLE, prediction_node.GetID())
    node.SetAndObserveTransformNodeID(prediction_node.GetTransformNodeID())
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    modifying = display.StartModify()
    display.SetVisibility2D(False)
    display.SetActiveScalar(SCALARS, vtk.vtkAssignAttribute.POINT_DATA)
    display.SetScalarVisibility(True)
    display.SetScalarRangeFlag(slicer.vtkMRMLDisplayNode.UseManualScalarRange)
    display.SetScalarRange(-scale_mm, scale_mm)
    display.SetAndObserveColorNodeID(table.GetID())
    display.EndModify(modifying)
    _add_legend(node)
    place_beside(node, prediction_node)


def _legend(node: slicer.vtkMRMLModelNode) -> Any:
    for number in range(node.GetNumberOfDisplayNodes()):
        display = node.GetNthDisplayNode(number)
        if display is not None and display.IsA("vtkMRMLColorLegendDisplayNode"):
            return display
    return None


def _add_legend(node: slicer.vtkMRMLModelNode) -> None:
    """Add the colour bar of Slicer's module Colors, if that is loaded."""
    if not node.GetScene().IsNodeClassRegistered("vtkMRMLColorLegendDisplayNode"):
        return
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(node)
    modifying = legend.StartModify()
    legend.SetVisibility2D(False)
    legend.SetTitleText("Distance (mm)")
    legend.SetLabelFormat("%+.1f")
    legend.SetNumberOfLabels(5)
    display = node.GetDisplayNode()
    for number in range(display.GetNumberOfViewNodeIDs()):
        legend.AddViewNodeID(display.GetNthViewNodeID(number))
    legend.EndModify(modifying)
