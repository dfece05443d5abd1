"""The button that shows prediction and ground truth in two rows of linked views, and puts the old layout back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from ..scene.layout import LAYOUT_ID, SideBySide, add_layout
from ..scene.surfaces import CLOSED_SURFACE, surface_steps


class SideBySideViews(VTKObservationMixin):
    """Follows a checkable button; leaves by itself when a node, the layout or the scene changes."""

    def __init__(self, ui: Any) -> None:
        VTKObservationMixin.__init__(self)
        self._ui = ui
        self._nodes: tuple[Any, Any, Any] = (None, None, None)
        self._views: SideBySide | None = None
        self._layout_before: int | None = None
        self._surfaces: Iterator[str] = iter(())
        self._timer = qt.QTimer()
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._make_surface)
        ui.sideBySideButton.connect("toggled(bool)", self._on_button)
        ui.outlineCheckBox.connect("toggled(bool)", self._on_outline)
        self.update("")

    @property
    def is_shown(self) -> bool:
        return self._views is not None

    def choose(self, volume: Any, prediction: Any, reference: Any) -> None:
        """What would be shown: the scan (may be None), and what stands in the upper and in the lower row."""
        nodes = (volume, prediction, reference)
        if nodes != self._nodes:
            self.leave()
            self._nodes = nodes

    def update(self, reason: str) -> None:
        """Enable or disable the button; `reason` says why it cannot be pressed."""
        button = self._ui.sideBySideButton
        if not reason and slicer.app.layoutManager() is None:
            reason = "There are no views here."
        button.setEnabled(self.is_shown or not reason)
        button.setToolTip(reason or "Prediction above, ground truth below, each in three slices and in 3D, all linked.")
        self._ui.outlineCheckBox.setEnabled(self.is_shown)

    def leave(self) -> None:
        """Put the layout and the display of all nodes back as they were."""
        views, self._views = self._views, None
        if views is None:
            return
        self._timer.stop()
        self.removeObservers()
        views.leave()
        manager = slicer.app.layoutManager()
        if manager.layout == LAYOUT_ID:
            manager.setLayout(self._layout_before)
        self._ui.sideBySideButton.setChecked(False)
        self._ui.outlineCheckBox.setEnabled(False)

    def _enter(self) -> None:
        volume, prediction, reference = self._nodes
        manager = slicer.app.layoutManager()
        layout_node = manager.layoutLogic().GetLayoutNode()
        self._layout_before = manager.layout
        add_layout(layout_node)
        manager.setLayout(LAYOUT_ID)
        self._views = SideBySide(slicer.mrmlScene, slicer.app.applicationLogic())
        self._views.enter(volume, prediction, reference)
        self._on_outline(self._ui.outlineCheckBox.checked)
        self._ui.outlineCheckBox.setEnabled(True)
        self.addObserver(layout_node, vtk.vtkCommand.ModifiedEvent, self._on_layout)
        self._surfaces = self._missing_surfaces(prediction, reference)
        self._timer.start()

    @staticmethod
    def _missing_surfaces(*nodes: Any) -> Iterator[str]:
        for node in nodes:
            has = node.IsA("vtkMRMLSegmentationNode") and node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)
            if node.IsA("vtkMRMLSegmentationNode") and not has:
                yield from surface_steps(node)

    def _make_surface(self) -> None:
        if next(self._surfaces, None) is None:
            self._timer.stop()

    def _on_button(self, checked: bool) -> None:
        if checked and not self.is_shown:
            self._enter()
        elif not checked:
            self.leave()

    def _on_outline(self, checked: bool) -> None:
        if self._views is not None:
            self._views.set_outline(bool(checked))

    def _on_layout(self, caller: Any = None, event: Any = None) -> None:
        if slicer.app.layoutManager().layout != LAYOUT_ID:
            self.leave()
