"""The row of section Compare that shows where prediction and ground truth differ: error map and distance colours."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ...engine.evaluation.comparison import Comparison
from ...engine.labels.matching import Pair
from ...scene.nodes.error_map_node import error_map_node_steps
from ...scene.views.distance_colors import DEFAULT_SCALE_MM, distance_colors_steps, renew_legend, set_scale
from ..jobs.overlay import ComparedPair, DrawnNodes, Overlay

ALL = "All structures"
COLOR_NAMES = ("grey", "orange", "blue", "purple")
"""Of the error map's classes, in their order; the map of one structure has only the first three."""
ERROR_MAP_TIP = "Agreement, false positives and false negatives in the slices, instead of the prediction."
DISTANCE_TIP = "The prediction's surfaces in 3D, blue where they lie inside the ground truth's, red where outside."


class ErrorViews:
    """Follows the comparison: `choose` takes what is compared now, `follow` the structure that the user went to."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._nodes: tuple[Any, Any] = (None, None)
        self._comparison: Comparison | None = None
        self._pairs: tuple[Pair, ...] = ()
        self.error_map = Overlay(ui.errorMapButton, 2, make_error_map, self._show_text)
        self.distances = Overlay(ui.distanceColorsButton, 3, self._make_distances, self._show_text)
        self.distances.on_other_views = renew_legend
        self._overlays = (self.error_map, self.distances)
        self._scale_mm = DEFAULT_SCALE_MM
        ui.errorStructureComboBox.connect("currentIndexChanged(int)", lambda index: self._set())
        self._name_structures()
        self._show_text()
        self._set()

    def choose(self, prediction: Any, reference: Any, comparison: Comparison | None) -> None:
        """The nodes that are chosen, and their comparison, None while there is none. Other nodes end what is shown."""
        if (prediction, reference) != self._nodes:
            self.leave()
            self._nodes, self._pairs = (prediction, reference), ()
            self._name_structures()
        if comparison is not self._comparison:
            self._comparison = comparison
            if comparison is not None:
                self._pairs = pairs_of_rows(comparison)
                self._name_structures()
        self._set()

    def follow(self, structure: str) -> None:
        """The user went to this structure: show it, unless all are shown."""
        combo = self._ui.errorStructureComboBox
        index = combo.findText(structure)
        if combo.currentIndex > 0 and index > 0:
            combo.setCurrentIndex(index)

    def set_scale(self, scale_mm: float) -> None:
        """Let the distance colours reach from -scale_mm to +scale_mm."""
        if scale_mm != self._scale_mm:
            self._scale_mm = scale_mm
            if self.distances.drawn is not None:
                set_scale(self.distances.drawn.nodes[0], scale_mm)

    def leave(self) -> None:
        """End all that is shown."""
        for overlay in self._overlays:
            overlay.leave()

    def _set(self) -> None:
        combo = self._ui.errorStructureComboBox
        compared = None
        if self._comparison is not None and self._pairs:
            structure = combo.currentText if combo.currentIndex > 0 else None
            compared = ComparedPair(*self._nodes, self._pairs, structure)
        for overlay in self._overlays:
            overlay.set(compared)
        reason = "" if compared is not None else "Press Compare first; errors are shown of what was compared."
        if self._comparison is not None and not self._pairs:
            reason = "No structure is on both sides, so there is no error to show."
        self.error_map.update(reason, ERROR_MAP_TIP)
        self.distances.update(reason, DISTANCE_TIP)
        combo.setEnabled(not reason)
        combo.setToolTip(reason or "Whose errors are shown; a click on a row of the table chooses too.")

    def _name_structures(self) -> None:
        """Offer all structures that are on both sides; the one that was chosen stays chosen if it is still there."""
        combo = self._ui.errorStructureComboBox
        chosen = combo.currentText
        combo.blockSignals(True)
        combo.clear()
        combo.addItems([ALL, *(pair.reference.name for pair in self._pairs)])
        combo.setCurrentIndex(max(0, combo.findText(chosen)))
        combo.blockSignals(False)

    def _make_distances(self, compared: ComparedPair) -> Generator[str | None, None, DrawnNodes]:
        painted = yield from distance_colors_steps(
            compared.prediction, compared.reference, compared.structure, compared.pairs, self._scale_mm
        )
        set_scale(painted.node, self._scale_mm)  # it may have been changed meanwhile
        ranges = (f"{name} {distance_text(range_mm)}" for name, range_mm in painted.ranges_mm.items())
        text = f"Signed distance of the prediction's surface from the ground truth's: {'; '.join(ranges)}."
        return DrawnNodes([painted.node, painted.table], text)

    def _show_text(self) -> None:
        text = "\n".join(overlay.text for overlay in self._overlays if overlay.text)
        self._ui.errorsLabel.setText(text)
        self._ui.errorsLabel.setVisible(bool(text))


def pairs_of_rows(comparison: Comparison) -> tuple[Pair, ...]:
    """Which structure is which, as the table has it."""
    sides = ((row.prediction, row.reference) for row in comparison.rows)
    return tuple(Pair(ours, theirs, "") for ours, theirs in sides if ours is not None and theirs is not None)


def distance_text(range_mm: tuple[float, float] | None) -> str:
    """From where to where the distances of one structure reach."""
    if range_mm is None:
        return "on one side only"
    low, high = (f"{end:+.1f}" if round(end, 1) else "0.0" for end in range_mm)
    return f"{low} to {high} mm" if low != high else f"{low} mm"


def make_error_map(compared: ComparedPair) -> Generator[str | None, None, DrawnNodes]:
    """Make the error map of what was compared, in steps."""
    yield "The error map is being made..."
    node = yield from error_map_node_steps(compared.prediction, compared.reference, compared.structure, compared.pairs)
    segments = node.GetSegmentation()
    named = (segments.GetNthSegment(number) for number in range(segments.GetNumberOfSegments()))
    parts = (f"{color}: {segment.GetName()}" for segment, color in zip(named, COLOR_NAMES, strict=False))
    return DrawnNodes([node], f"Errors of {compared.structure or 'all structures'}: {'; '.join(parts)}.")
