"""A new result is seen in the application's own views, which go on to fit the scan while the panel is open."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from slicer.util import VTKObservationMixin

from ...scene.views.cameras import box_of, cameras_by_view, frame_again, show_box
from ...scene.views.layout import view_ids
from ...scene.views.slice_views import SliceViewFit, application_slices, bring_into_slices, corners_of_node
from ..widgets.view_widgets import ViewSizes, aspect_of

_OWN = frozenset((*view_ids("Pred"), *view_ids("Ref")))


class ResultViews(VTKObservationMixin):
    """Moves cameras and slices to results; `follow` says which scan the slice views show."""

    def __init__(self) -> None:
        VTKObservationMixin.__init__(self)
        self._fits, self._scan = SliceViewFit(), None
        self._sizes = ViewSizes(self._on_sizes)

    def start(self) -> None:
        """The panel is open: fit the views again whenever they get another size."""
        self.stop()
        manager = slicer.app.layoutManager()
        if manager is not None:
            self.addObserver(manager.layoutLogic().GetLayoutNode(), vtk.vtkCommand.ModifiedEvent, self._on_layout)
            self._sizes.start()

    def stop(self) -> None:
        """The panel is left, or the scene closes."""
        self.removeObservers()
        self._sizes.stop()

    def follow(self, scan: Any) -> None:
        """The scan that is chosen; None for none."""
        if scan is not self._scan:
            self._scan = scan
            self._sizes.again()

    def show(self, segmentation: Any, scan: Any) -> None:
        """Have a segmentation in view: in slices where none of it is to be seen, and in 3D unless the user turned the view."""
        if slicer.app.layoutManager() is None:
            return
        self._scan = scan
        bring_into_slices(self._slices(), [segmentation])
        box = box_of([segmentation])
        for name, camera in cameras_by_view(slicer.mrmlScene).items():
            if box is not None and f"vtkMRMLViewNode{name}" not in _OWN:
                show_box(camera, box, aspect_of(name))

    def show_case(self, segmentation: Any, scan: Any) -> None:
        """Another case: its scan comes into the slice views as a whole, with its segmentation."""
        if slicer.app.layoutManager() is None:
            return
        corners = corners_of_node(scan)
        for node in application_slices(slicer.mrmlScene):
            composite = self._composite(node)
            if composite is not None and composite.GetBackgroundVolumeID() != scan.GetID():
                composite.SetBackgroundVolumeID(scan.GetID())
                if corners is not None:
                    self._fits.fit(node, corners)
        self.show(segmentation, scan)

    def _slices(self) -> list[Any]:
        """The application's slice nodes that show the scan."""
        scan_id = self._scan.GetID() if self._scan is not None else None
        composites = {node: self._composite(node) for node in application_slices(slicer.mrmlScene)}
        return [
            node
            for node, one in composites.items()
            if one is not None and scan_id and one.GetBackgroundVolumeID() == scan_id
        ]

    @staticmethod
    def _composite(slice_node: Any) -> Any:
        logic = slicer.app.applicationLogic().GetSliceLogicByLayoutName(slice_node.GetLayoutName())
        return logic.GetSliceCompositeNode() if logic is not None else None

    def _on_layout(self, caller: Any = None, event: Any = None) -> None:
        self._sizes.start()

    def _on_sizes(self) -> None:
        corners = corners_of_node(self._scan) if self._scan is not None and self._scan.GetScene() is not None else None
        if corners is not None:
            for node in self._slices():
                self._fits.follow(node, corners)
        for name, camera in cameras_by_view(slicer.mrmlScene).items():
            if f"vtkMRMLViewNode{name}" not in _OWN:
                frame_again(camera, aspect_of(name))
