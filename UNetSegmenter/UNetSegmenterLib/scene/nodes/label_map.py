"""A label map as a hidden segmentation node, for views: a label map has neither outlines nor surfaces of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import slicer

from .node_reading import segmentation_from_node
from .segmentation_nodes import segmentation_to_node


def segmentation_of_label_map(label_map: slicer.vtkMRMLLabelMapVolumeNode) -> slicer.vtkMRMLSegmentationNode:
    """A segmentation node with the label map's structures, under its transform; hidden and never saved.

    Names and colours are those of its colour table where it has one of its own. Its segments stand in the order of the
    label values, as the comparison numbers them. Whoever asked for the node removes it. Raises InputError for a node
    that holds no label map.
    """
    scene = label_map.GetScene()
    segmentation = segmentation_from_node(label_map)
    structures = tuple(
        replace(structure, color=_color(label_map, structure.values[0]) or structure.color)
        for structure in segmentation.structures
    )
    node = scene.CreateNodeByClass("vtkMRMLSegmentationNode")
    node.UnRegister(None)
    node.SetName(label_map.GetName())
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    node = scene.AddNode(node)
    segmentation_to_node(replace(segmentation, structures=structures), scene, node=node, surfaces=False)
    node.SetAndObserveTransformNodeID(label_map.GetTransformNodeID())
    for hidden in (node.GetDisplayNode(), node.GetStorageNode()):
        if hidden is not None:
            hidden.SetSaveWithScene(False)
    return node


def _color(label_map: Any, value: int) -> tuple[int, int, int] | None:
    """The colour of a value in the label map's own colour table; tables that come with Slicer say nothing of it."""
    display = label_map.GetDisplayNode()
    table = display.GetColorNode() if display is not None else None
    if table is None or table.GetSingletonTag() is not None or value >= table.GetNumberOfColors():
        return None
    color = [0.0] * 4
    if not table.GetColorName(value) or not table.GetColor(value, color):
        return None
    return round(255 * color[0]), round(255 * color[1]), round(255 * color[2])
