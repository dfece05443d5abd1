"""Nodes made ready for comparing and checking, and places brought back to where the views can show them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from ...engine.errors import InputError
from ...engine.evaluation.comparison import Comparison, Row
from ...engine.io.geometry import Geometry
from ...engine.labels.segmentation import Segmentation
from ..views.framing import look_towards
from .node_reading import has_grid, segmentation_from_node
from .segmentation_nodes import nodes_of_class

if TYPE_CHECKING:
    from ...engine.plausibility import Finding

Place = tuple[float, float, float]
Sides = tuple[Segmentation, Segmentation, tuple[str, ...]]


def side_steps(prediction_node: Any, reference_node: Any) -> Generator[None, None, Sides]:
    """Read prediction and reference, one a step: both, and notes on what was done, as the generator's return value.

    Both are in the coordinates of the reference node, each on its own grid where that is possible: the engine brings
    the prediction onto the reference's grid and says so. Under different parent transforms it is done here. Empty segments
    without a reference geometry are empty on the other side's grid. Raises
    InputError as `segmentation_from_node` does.
    """
    for node in (prediction_node, reference_node):
        refuse_empty(node)
    ours, theirs = (node.GetParentTransformNode() for node in (prediction_node, reference_node))
    elsewhere = None if has_grid(reference_node) else (segmentation_from_node(prediction_node).geometry, ours)
    reference = segmentation_from_node(reference_node, elsewhere)
    yield
    if not has_grid(prediction_node):
        return segmentation_from_node(prediction_node, (reference.geometry, theirs)), reference, ()
    if ours is theirs:
        return segmentation_from_node(prediction_node), reference, ()
    prediction = segmentation_from_node(prediction_node, (reference.geometry, theirs))
    own = segmentation_from_node(prediction_node)
    if own.labels.any() and not prediction.labels.any():
        raise InputError(
            f'Nothing of "{prediction_node.GetName()}" lies on the grid of "{reference_node.GetName()}"; their parent '
            f"transforms differ ({_words(ours)} and {_words(theirs)}): check that none is missing."
        )
    note = (
        f"The prediction is under {_words(ours)}, the reference under {_words(theirs)}: the prediction's labels were "
        "resampled onto the reference's grid with nearest neighbour."
    )
    return prediction, reference, (note,)


def refuse_empty(node: Any) -> None:
    """Raise InputError for a segmentation node without a segment; what has segments without voxels is compared."""
    if node.IsA("vtkMRMLSegmentationNode") and not node.GetSegmentation().GetNumberOfSegments():
        raise InputError(f'"{node.GetName()}" holds no segment; choose another segmentation.')


def _words(transform: Any) -> str:
    return f'the transform "{transform.GetName()}"' if transform is not None else "no transform"


def to_world(node: Any, place: Place | None) -> Place | None:
    """A place in a node's coordinates as the views have it: RAS in mm, parent transforms applied."""
    if place is None:
        return None
    world = [0.0, 0.0, 0.0]
    node.TransformPointToWorld(list(place), world)
    return world[0], world[1], world[2]


def comparison_in_world(comparison: Comparison, reference_node: Any) -> Comparison:
    """The comparison with its places in world coordinates."""
    rows = tuple(
        replace(row, largest_error_ras=to_world(reference_node, row.largest_error_ras)) for row in comparison.rows
    )
    return replace(comparison, rows=rows)


def slice_place(geometry: Geometry, row: Row, position: int) -> Place:
    """RAS place, in the coordinates of `geometry`, of one slice of a row's curve: the row's largest error, moved into it.

    `position` counts in the curve; the row's own place is in the same coordinates.
    """
    assert row.curve is not None and row.largest_error_ras is not None
    right, anterior, superior = row.largest_error_ras
    to_lps = geometry.affine_lps()
    index = np.linalg.solve(to_lps, (-right, -anterior, superior, 1.0))
    index[2 - row.curve.axis] = row.curve.slices[position]
    x, y, z, _ = to_lps @ index
    return -float(x), -float(y), float(z)


def findings_in_world(findings: list[Finding], node: Any) -> list[Finding]:
    """The findings with their places in world coordinates; `node` is the one on whose grid they were made."""
    return [replace(finding, place_ras=to_world(node, finding.place_ras)) for finding in findings]


def look_at(scene: slicer.vtkMRMLScene, place: Place) -> None:
    """Centre every slice view on a place, and turn every 3D view's attention to it without turning the view."""
    for node in nodes_of_class(scene, "vtkMRMLSliceNode"):
        node.JumpSliceByCentering(*place)
    for camera in nodes_of_class(scene, "vtkMRMLCameraNode"):
        look_towards(camera, place)
