"""The error map of two nodes as a segmentation node of its own, with one segment per class of error."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import slicer

from ...engine.evaluation.error_map import AGREEMENT, error_map_steps, pairs_of
from ...engine.labels.matching import Pair, match_structures, remaining_matches
from .case_nodes import read_pair_steps
from .node_attributes import matched_by_hand
from .scene_nodes import place_beside, removed_on_error
from .segmentation_to_node import segmentation_to_node

ROLE = "UNetSegmenter.errorsOf"  # node reference from an error map to its prediction; saved with the scene
ERROR_OPACITY, AGREEMENT_OPACITY = 0.9, 0.35


def error_map_node_steps(
    prediction_node: Any, reference_node: Any, structure: str | None = None, pairs: Sequence[Pair] | None = None
) -> Generator[None, None, slicer.vtkMRMLSegmentationNode]:
    """Make the error map in small steps; returns its node, named "<prediction> errors".

    The node is on the reference's grid, under its transform, and is drawn in the slices alone. An earlier error map of
    the same prediction is replaced.

    Args:
        prediction_node: Segmentation or label map node.
        reference_node: Segmentation or label map node.
        structure: Name of the only structure in the map; None takes all.
        pairs: Structures that belong together; None matches them as the comparison does, with the matches by hand.

    Raises:
        InputError: for nodes that cannot be compared, and for a structure that is not on both sides.
    """
    prediction, reference, _ = yield from read_pair_steps(prediction_node, reference_node)
    yield
    if pairs is None:
        by_hand = matched_by_hand(prediction_node, reference_node)
        by_hand = remaining_matches(by_hand, prediction.structures, reference.structures)
        pairs = match_structures(prediction.structures, reference.structures, by_hand).pairs
    made = yield from error_map_steps(prediction, reference, pairs_of(pairs, structure))
    scene, name = prediction_node.GetScene(), f"{prediction_node.GetName()} errors"
    before = _node_of(prediction_node)
    node = segmentation_to_node(made, scene, node=before, name=name, surfaces=False)
    with removed_on_error(node):
        node.SetName(name)
        node.SetNodeReferenceID(ROLE, prediction_node.GetID())
        node.SetAndObserveTransformNodeID(reference_node.GetTransformNodeID())
        place_beside(node, prediction_node)
        _draw(node)
    return node


def _node_of(prediction_node: Any) -> slicer.vtkMRMLSegmentationNode | None:
    """The error map of this prediction, if it has one."""
    scene = prediction_node.GetScene()
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
        node = scene.GetNthNodeByClass(number, "vtkMRMLSegmentationNode")
        if node.GetNodeReferenceID(ROLE) == prediction_node.GetID():
            return node
    return None


def _draw(node: slicer.vtkMRMLSegmentationNode) -> None:
    """Areas without lines: errors nearly opaque, agreement faint."""
    display, segments = node.GetDisplayNode(), node.GetSegmentation()
    modifying = display.StartModify()
    display.SetVisibility3D(False)
    display.SetVisibility2DFill(True)
    display.SetVisibility2DOutline(False)
    display.SetOpacity2DFill(1.0)
    for number in range(segments.GetNumberOfSegments()):
        faint = segments.GetNthSegment(number).GetLabelValue() == AGREEMENT
        display.SetSegmentOpacity2DFill(segments.GetNthSegmentID(number), AGREEMENT_OPACITY if faint else ERROR_OPACITY)
    display.EndModify(modifying)
