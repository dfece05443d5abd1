"""The button that shows prediction and ground truth in linked views, how they are shown, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import vtk
from slicer.util import VTKObservationMixin

from ...engine.io.volume import SOFT_TISSUE_HU, Note
from ...scene.nodes.surfaces import CLOSED_SURFACE, surface_steps
from ...scene.views.cameras import look_at
from ...scene.views.layout import LAYOUT_IDS, VARIANTS, add_layouts, layout_id
from ...scene.views.side_by_side import DrawingOptions, SideBySide
from ...scene.views.temporary_display import restore_displays, show_hidden_displays
from ..jobs.failure import JobFailure, failure_note, failure_of
from ..jobs.step_driver import StepDriver, Work
from ..widgets.slice_curve import SliceCurveView, WorstSlices
from ..widgets.structure_choice import NOT_SHOWN, StructureChoice
from ..widgets.view_widgets import ViewSizes, ViewTitles, aspect_of

SHOW = "Shows prediction and ground truth in slices and in 3D, all linked; press again to go back."
TIPS = {
    "outlineCheckBox": "Lines instead of areas in the slices.",
    "opacitySlider": "How much of the scan the areas in the slices hide.",
    "softTissueCheckBox": "The window that the model sees, which separates soft tissues; off: the window from before.",
    "sliceCurveCheckBox": "Plots Dice and areas along the slices of the structure that is chosen; a click on a point goes there.",
}


class SideBySideViews(VTKObservationMixin):
    """Follows a checkable button; leaves by itself when a node, the layout or the scene changes.

    `slices` is where the comparison keeps each structure's largest error and its slice curve; `say` shows the user why
    nothing could be shown. `window_hu` tells the HU between which the scan is shown; None leaves the scan as it is.
    """

    def __init__(
        self,
        ui: Any,
        slices: WorstSlices,
        show_note: Callable[[Note], None],
        window_hu: Callable[[], tuple[float, float] | None] = lambda: SOFT_TISSUE_HU,
    ) -> None:
        VTKObservationMixin.__init__(self)
        self._ui, self._slices, self._show_note, self._window_hu = ui, slices, show_note, window_hu
        self._nodes: tuple[Any, Any, Any] = (None, None, None)
        self._views: SideBySide | None = None
        self._layout_before: int | None = None
        self._surfaces: StepDriver | None = None
        self._sizes = ViewSizes(self._on_sizes)
        self._titles = ViewTitles()
        self._structures = StructureChoice(ui, self._on_structure)
        self._curve = SliceCurveView(slices)
        slices.on_rows = self._on_rows
        slices.on_colors = self._curve.update
        slices.on_choice.append(self._on_choice)
        ui.viewsLayoutComboBox.clear()
        ui.viewsLayoutComboBox.addItems(list(VARIANTS))
        ui.sideBySideButton.connect("toggled(bool)", self._on_button)
        ui.viewsLayoutComboBox.connect("currentIndexChanged(int)", lambda index: self._switch())
        ui.sliceCurveCheckBox.connect("toggled(bool)", lambda checked: self._switch())
        ui.outlineCheckBox.connect("toggled(bool)", lambda checked: self._draw())
        ui.distinctColorsCheckBox.connect("toggled(bool)", lambda checked: self._draw())
        ui.softTissueCheckBox.connect("toggled(bool)", lambda checked: self._show_window())
        ui.opacitySlider.connect("valueChanged(int)", lambda value: self._draw())
        self.update("")

    @property
    def is_making_surfaces(self) -> bool:
        """Whether 3D surfaces that were missing are still being made."""
        return self._surfaces is not None

    @property
    def is_shown(self) -> bool:
        """Whether one of the module's layouts is on screen."""
        return self._views is not None

    def choose(self, volume: Any, prediction: Any, reference: Any) -> None:
        """What would be shown: the scan (may be None), prediction and ground truth."""
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
        button.setToolTip(reason or SHOW)
        self._enable()

    def leave(self) -> None:
        """Put the layout and the display of all nodes back as they were."""
        views, self._views = self._views, None
        if views is None:
            return
        if self._surfaces is not None:
            self._surfaces.stop()
            self._surfaces = None
        self._sizes.stop()
        self._titles.stop()
        self.removeObservers()
        self._curve.stop()
        self._structures.stop()
        views.leave()
        manager = slicer.app.layoutManager()
        if manager is not None and manager.layout in LAYOUT_IDS:  # there is none any more when Slicer ends
            manager.setLayout(self._layout_before)
        self._ui.sideBySideButton.setChecked(False)
        self._enable()

    def tidy(self) -> None:
        """Put a scene right that was saved while such views were shown, and leave their layout if it brought that along."""
        if self._views is not None:
            return
        restore_displays(slicer.mrmlScene)
        show_hidden_displays(slicer.mrmlScene)
        manager = slicer.app.layoutManager()
        if manager is not None and manager.layout in LAYOUT_IDS:
            manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)

    def _enter(self) -> None:
        volume, prediction, reference = self._nodes
        manager = slicer.app.layoutManager()
        layout_node = manager.layoutLogic().GetLayoutNode()
        self._layout_before = manager.layout
        add_layouts(layout_node)
        self._views = views = SideBySide(slicer.mrmlScene, slicer.app.applicationLogic())
        manager.setLayout(self._layout())
        try:
            self._fill(views, volume, prediction, reference)
        except Exception as error:
            self.leave()
            self._fail(failure_of(error, "Showing both side by side"))
            return
        self._enable()
        self.addObserver(layout_node, vtk.vtkCommand.ModifiedEvent, self._on_layout)
        steps = missing_surface_steps(prediction, views.reference_node)
        self._surfaces = StepDriver(steps, self._on_surfaces, self._fail, subject="Making the 3D surfaces")
        self._surfaces.start()
        self._sizes.start()

    def _fill(self, views: SideBySide, volume: Any, prediction: Any, reference: Any) -> None:
        views.enter(self._variant(), volume, prediction, reference)
        self._structures.start(self._names())
        self._draw()
        self._show_window()
        self._show_curve()
        self._titles.show(self._variant(), prediction.GetName(), reference.GetName())

    def _switch(self) -> None:
        """Another variant, with or without the plots."""
        manager = slicer.app.layoutManager()
        if self._views is None or manager.layout == self._layout():
            return
        self._curve.stop()
        self._views.views.keep()
        manager.setLayout(self._layout())
        self._views.show(self._variant())
        self._show_curve()
        _, prediction, reference = self._nodes
        self._titles.show(self._variant(), prediction.GetName(), reference.GetName())
        self._sizes.start()

    def _on_sizes(self) -> None:
        if self._views is not None:
            self._views.views.settle(aspect_of("Pred3D"))
            self._titles.fit()

    def _variant(self) -> str:
        return VARIANTS[max(0, self._ui.viewsLayoutComboBox.currentIndex)]

    def _layout(self) -> int:
        return layout_id(self._variant(), self._ui.sliceCurveCheckBox.checked)

    def _show_curve(self) -> None:
        if self._ui.sliceCurveCheckBox.checked:
            self._curve.start()

    def _draw(self) -> None:
        if self._views is not None:
            ui = self._ui
            outline, distinct = bool(ui.outlineCheckBox.checked), bool(ui.distinctColorsCheckBox.checked)
            self._views.draw(DrawingOptions(outline, ui.opacitySlider.value / 100, distinct))
            self._structures.paint(self._views.colors)

    def _show_window(self) -> None:
        if self._views is not None:
            self._views.show_in(self._window_hu() if self._ui.softTissueCheckBox.checked else None)

    def _enable(self) -> None:
        for name, tip in TIPS.items():
            widget = getattr(self._ui, name)
            widget.setEnabled(self.is_shown)
            widget.setToolTip(tip if self.is_shown else NOT_SHOWN)
        if self.is_shown and self._window_hu() is None:
            self._ui.softTissueCheckBox.setEnabled(False)
            self._ui.softTissueCheckBox.setToolTip(
                "The model reads other intensities than HU: the scan keeps its own window."
            )

    def _on_surfaces(self, value: Any) -> None:
        self._surfaces = None
        if self._views is not None:
            self._views.views.reset_clipping()

    def _fail(self, failure: JobFailure) -> None:
        self._surfaces = None
        self._show_note(failure_note(failure))

    def _on_button(self, checked: bool) -> None:
        if checked and not self.is_shown:
            self._enter()
        elif not checked:
            self.leave()

    def _on_structure(self, name: str) -> None:
        """The user stepped to a structure: show it and go there."""
        self._slices.choose(name)
        position = self._slices.position_of(name)
        if position is None and self._views is not None:
            position = self._views.center_of(name)
        if position is not None:
            look_at(slicer.mrmlScene, position)

    def _on_choice(self, name: str) -> None:
        """A structure was chosen, here or in the table."""
        if self._views is not None:
            self._structures.show(name)
            self._views.choose(self._structures.name)
            self._curve.update()

    def _on_rows(self) -> None:
        """The table came or went: structures may have been matched otherwise since."""
        if self._views is not None and not self._slices.is_empty:
            self._views.match()
            self._structures.offer(self._names())
            self._structures.paint(self._views.colors)
            self._slices.choose(self._structures.name)
        self._curve.update()

    def _names(self) -> list[str]:
        return [structure.name for structure in self._views.structures] if self._views is not None else []

    def _on_layout(self, caller: Any = None, event: Any = None) -> None:
        if slicer.app.layoutManager().layout not in LAYOUT_IDS:
            self.leave()


def missing_surface_steps(*nodes: Any) -> Work:
    """Make the closed surfaces of those segmentation nodes that have none, one structure per step."""
    for node in nodes:
        if not node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE):
            for _ in surface_steps(node):
                yield
