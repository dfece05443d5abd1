"""The probability of one structure as a volume over the scan: colours, a bar, and the slice views as they were before."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from ...engine.io.geometry import Geometry
from ...engine.io.volume import Volume
from ..nodes.node_attributes import ATTRIBUTE_PREFIX
from ..nodes.scene_nodes import nodes_of_class, place_beside, remove_nodes, removed_on_error, with_own_nodes
from ..nodes.volume_nodes import volume_to_node
from .color_tables import color_table

PERCENT = 100
LEAST_PERCENT = 5  # what is less probable is not drawn
OPACITY = 0.6
STOPS = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
"""From improbable to certain: the colour map "inferno" of S. van der Walt and N. Smith, even in brightness."""
STRUCTURE = ATTRIBUTE_PREFIX + "ProbabilityOf"


class ProbabilityOverlay:
    """The volume node, in the foreground of the slice views that show its scan; `remove` takes it away again."""

    def __init__(self, percent: np.ndarray, geometry: Geometry, volume_node: Any, structure: str) -> None:
        """Show probabilities.

        Args:
            percent: uint8 (slices, rows, columns), 0 to 100.
            geometry: the grid of the scan.
            volume_node: the scan.
            structure: its name.
        """
        scene = volume_node.GetScene()
        name = f"{volume_node.GetName()} probability of {structure}"
        self.node = volume_to_node(Volume(percent, geometry, name), scene)
        self._parts: list[Any] = []
        self._before: list[tuple[Any, str | None, float]] = []  # composite nodes with what was in their foreground
        with removed_on_error(self.node):
            self.node.SetAttribute(STRUCTURE, structure)
            self.node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
            place_beside(self.node, volume_node)
            table = color_table(scene, "Probability", STOPS, 256)
            self._parts = [table]
            _draw(self.node, table)
            self._parts += [one for one in with_own_nodes([self.node]) if one is not self.node]
        self._show(volume_node)

    def remove(self) -> None:
        """Take the volume out of the scene, and give the views back what was in their foreground."""
        node_id = self.node.GetID() or ""
        for composite, before, opacity in self._before:
            if composite.GetScene() is not None and composite.GetForegroundVolumeID() in (node_id, None, ""):
                composite.SetForegroundVolumeID(before if before and composite.GetScene().GetNodeByID(before) else None)
                composite.SetForegroundOpacity(opacity)
        self._before = []
        remove_nodes([*self._parts, self.node])

    def _show(self, volume_node: Any) -> None:
        for composite in nodes_of_class(volume_node.GetScene(), "vtkMRMLSliceCompositeNode"):
            if composite.GetBackgroundVolumeID() == volume_node.GetID():
                self._before.append((composite, composite.GetForegroundVolumeID(), composite.GetForegroundOpacity()))
                composite.SetForegroundVolumeID(self.node.GetID())
                composite.SetForegroundOpacity(OPACITY)


def _draw(node: Any, table: Any) -> None:
    display = node.GetDisplayNode()
    modifying = display.StartModify()
    display.SetAndObserveColorNodeID(table.GetID())
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0, PERCENT)
    display.SetApplyThreshold(True)
    display.SetThreshold(LEAST_PERCENT, PERCENT)
    display.EndModify(modifying)
    if not node.GetScene().IsNodeClassRegistered("vtkMRMLColorLegendDisplayNode"):
        return
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(node)
    modifying = legend.StartModify()
    legend.SetTitleText("Probability (%)")
    legend.SetLabelFormat("%.0f")
    legend.SetNumberOfLabels(5)
    legend.EndModify(modifying)
