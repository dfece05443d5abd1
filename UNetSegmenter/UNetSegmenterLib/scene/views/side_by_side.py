"""Prediction and ground truth in the module's own layouts: which is shown where, linked, each structure in one colour.

`leave` restores everything that is changed for it; a scene that was saved meanwhile is restored when it is read
(temporary_display.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import slicer

from ...engine.labels.distinct_colors import distinct_colors
from ...engine.labels.matching import Matching, match_structures, remaining_matches
from ..nodes.node_attributes import matched_by_hand
from ..nodes.scene_nodes import nodes_of_class, remove_nodes, with_own_nodes
from ..nodes.segmentation_from_node import structures_of
from ..nodes.segmentation_to_node import segmentation_node_of_label_map
from ..nodes.world_positions import PositionRas
from .layout import ONE_ROW, ROWS, TWO_ROWS, view_ids
from .linked_views import LinkedViews, ViewSnapshot
from .temporary_display import (
    OVERRIDE_COLOR,
    restore_displays,
    restore_window,
    save_display,
    save_segments,
    set_views,
    show_color,
    show_window,
)

_WHITENED = 0.6  # fraction of white in the ground truth's lines where they lie on the prediction's areas
_GHOST = 0.3  # opacity of the ground truth's surfaces around the prediction's
_OF_DISPLAY = ("Visibility", "Visibility2DFill", "Visibility2DOutline", "SliceIntersectionThickness", "Opacity2DFill")
_OF_SEGMENT = ("SegmentVisibility", "SegmentOpacity2DFill", "SegmentOpacity2DOutline", "SegmentOpacity3D")
_FAINT = {"SegmentOpacity2DFill": 0.3, "SegmentOpacity2DOutline": 0.45, "SegmentOpacity3D": 0.08}
_GREY = (0.5, 0.5, 0.5)  # of a structure whose segments are gone
LINE_PIXELS, EDGE_PIXELS = 3, 1
Rgb = tuple[float, float, float]
"""Red, green and blue, 0 to 1."""


@dataclass(frozen=True)
class ShownStructure:
    """One structure and the ids of its segments, empty for a side that does not have it."""

    name: str
    prediction_id: str
    reference_id: str


class SideBySide:
    """Two segmentations while they are shown: `enter` fills the views, `leave` restores everything that was changed.

    `structures` are those of both sides, matched as the comparison matches them. The layout of the variant must be the
    application's current one whenever `enter` or `show` is called; `LinkedViews` says what has to be called later.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, application_logic: slicer.vtkMRMLApplicationLogic) -> None:
        self._scene = scene
        self.views = LinkedViews(scene, application_logic)
        self._made: list[Any] = []
        self._before: ViewSnapshot | None = None
        self._variant, self._drawing, self._chosen = TWO_ROWS, DrawingOptions(), ""
        self.structures: tuple[ShownStructure, ...] = ()

    def enter(self, variant: str, volume_node: Any, prediction_node: Any, reference_node: Any) -> None:
        """Show both nodes on the scan (None: on black), linked and centred; a label map is shown as a segmentation.

        Raises InputError for a label map that cannot be read as one; nothing is changed then.
        """
        self._volume, self._prediction = volume_node, prediction_node
        self._before = ViewSnapshot(self._scene)
        self._reference = reference_node
        if not reference_node.IsA("vtkMRMLSegmentationNode"):
            self._reference = segmentation_node_of_label_map(reference_node)
            self._made = with_own_nodes([self._reference])
        self._by_hand = lambda: matched_by_hand(prediction_node, reference_node)
        self._drawn = []
        for node in (self._prediction, self._reference):
            node.CreateDefaultDisplayNodes()
            self._drawn.append(SegmentationDrawing(node))
        self._keep_others_out([node.GetDisplayNode() for node in (self._prediction, self._reference)])
        self.show(variant)
        self.views.go_to((self._prediction, self._reference), volume_node)

    def show(self, variant: str) -> None:
        """Fill the views of a variant; what was looked at stays in view."""
        self._variant = variant
        set_views(self._prediction.GetDisplayNode(), view_ids("Pred"))
        set_views(self._reference.GetDisplayNode(), view_ids("Pred" if variant == ONE_ROW else "Ref"))
        self.views.show(variant, self._volume)
        self.match()

    def leave(self) -> None:
        """Restore the nodes and the application's views that are still there."""
        restore_displays(self._scene)
        remove_nodes(self._made)
        if self._before is not None:
            self._before.restore()
        self._made, self._drawn, self.structures = [], [], ()

    def match(self) -> None:
        """Match the structures anew; the user's matches by hand come first."""
        ours, theirs = structures_of(self._prediction), structures_of(self._reference)
        found = match_structures(ours, theirs, remaining_matches(self._by_hand(), ours, theirs))
        self.structures = _structures(found, self._prediction, self._reference)
        self._color()
        self._draw()

    @property
    def colors(self) -> list[Rgb]:
        """The colour of each of `structures`: the prediction's, the ground truth's where there is no other, or distinct ones."""
        if self._drawing.distinct_colors:
            chosen = distinct_colors([structure.name for structure in self.structures])
            return [(red / 255, green / 255, blue / 255) for red, green, blue in chosen]
        return [self._own_color(structure) for structure in self.structures]

    @property
    def reference_node(self) -> Any:
        """The segmentation node in which the ground truth is shown."""
        return self._reference

    def draw(self, drawing: DrawingOptions) -> None:
        """Draw both with lines or areas, in the chosen opacity and colours."""
        recolor = drawing.distinct_colors != self._drawing.distinct_colors
        self._drawing = drawing
        if recolor:
            self._color()
        self._draw()

    def show_in(self, window_hu: tuple[float, float] | None) -> None:
        """Show the scan between two HU; None restores its own window."""
        display = self._volume.GetScalarVolumeDisplayNode() if self._volume is not None else None
        if display is not None and window_hu is not None:
            show_window(display, window_hu)
        elif display is not None:
            restore_window(display)

    def choose(self, name: str) -> None:
        """Show one structure, all others faint; an empty name shows all alike."""
        self._chosen = name
        self._draw()

    def center_of(self, name: str) -> PositionRas | None:
        """Where a structure lies (world RAS): its centre in the prediction, else in the ground truth; None if nowhere."""
        structure = self._named(name)
        if structure is not None:
            for node, segment_id in (
                (self._prediction, structure.prediction_id),
                (self._reference, structure.reference_id),
            ):
                center = node.GetSegmentCenterRAS(segment_id) if segment_id else None
                if center is not None:
                    return center[0], center[1], center[2]
        return None

    def _named(self, name: str) -> ShownStructure | None:
        """The first structure of that name: two sides may each have an unmatched one."""
        return next((structure for structure in self.structures if structure.name == name), None)

    def _draw(self) -> None:
        chosen = self._named(self._chosen)
        full = None if chosen is None else ({chosen.prediction_id}, {chosen.reference_id})
        together = self._variant == ONE_ROW
        ours, theirs = self._drawn
        ours.draw(self._drawing, full and full[0])
        theirs.draw(self._drawing, full and full[1], only_lines=together, surface_opacity=_GHOST if together else 1.0)

    def _keep_others_out(self, own: list[Any]) -> None:
        """Other segmentations stay in the views that they were in before there were these layouts."""
        ours = {view for row in ROWS for view in view_ids(row)}
        others = [
            node.GetID()
            for kind in ("vtkMRMLSliceNode", "vtkMRMLViewNode")
            for node in nodes_of_class(self._scene, kind)
            if node.GetID() not in ours
        ]
        for display in nodes_of_class(self._scene, "vtkMRMLSegmentationDisplayNode"):
            if display not in own and not display.GetNumberOfViewNodeIDs():
                save_display(display)
                set_views(display, others or ["nowhere"])

    def _color(self) -> None:
        """Both sides of a structure in one colour, on screen only: the segments keep their own.

        Where the ground truth's lines lie on the prediction's areas, they are paler.
        """
        white = _WHITENED if self._variant == ONE_ROW else 0.0
        ours, theirs = self._drawn
        for structure, color in zip(self.structures, self.colors, strict=True):
            ours.color(structure.prediction_id, color if self._drawing.distinct_colors else None)
            theirs.color(structure.reference_id, [white + (1 - white) * channel for channel in color])

    def _own_color(self, structure: ShownStructure) -> Rgb:
        sides = ((self._prediction, structure.prediction_id), (self._reference, structure.reference_id))
        segments = (node.GetSegmentation().GetSegment(segment_id) for node, segment_id in sides if segment_id)
        return next((segment.GetColor() for segment in segments if segment is not None), _GREY)


def _structures(found: Matching, prediction_node: Any, reference_node: Any) -> tuple[ShownStructure, ...]:
    """Structures of both sides in the ground truth's order, then those of the prediction alone."""
    ours, theirs = prediction_node.GetSegmentation(), reference_node.GetSegmentation()
    shown = [
        ShownStructure(
            pair.reference.name,
            ours.GetNthSegmentID(pair.prediction.index - 1),
            theirs.GetNthSegmentID(pair.reference.index - 1),
        )
        for pair in found.pairs
    ]
    shown += [ShownStructure(s.name, "", theirs.GetNthSegmentID(s.index - 1)) for s in found.only_reference]
    shown += [ShownStructure(s.name, ours.GetNthSegmentID(s.index - 1), "") for s in found.only_prediction]
    return tuple(shown)


@dataclass(frozen=True)
class DrawingOptions:
    """The user's choice: lines instead of areas, the opacity (0..1) of the areas in the slices, and distinct colours."""

    outline: bool = False
    opacity: float = 0.5
    distinct_colors: bool = False


class SegmentationDrawing:
    """How one segmentation node is drawn; its display keeps how it was drawn before (temporary_display.py)."""

    def __init__(self, node: Any) -> None:
        self._node, self._display = node, node.GetDisplayNode()
        self._segments_before = save_display(self._display, _OF_DISPLAY, _OF_SEGMENT)

    def color(self, segment_id: str, color: Sequence[float] | None) -> None:
        """Draw a segment in another colour (RGB, 0 to 1); None draws it in the colour of before. No segment is no error."""
        if self._node.GetSegmentation().GetSegment(segment_id) is None:
            return
        if segment_id not in self._segments_before:
            self._segments_before = save_segments(self._display, _OF_SEGMENT)
        before = self._segments_before[segment_id][OVERRIDE_COLOR]
        show_color(self._display, segment_id, before if color is None else color)

    def draw(
        self,
        drawing: DrawingOptions,
        full: Collection[str] | None,
        only_lines: bool = False,
        surface_opacity: float = 1.0,
    ) -> None:
        """Draw the segments with ids in `full` as they are and all others faint; None makes all alike.

        `only_lines` leaves the areas out whatever `drawing` is; `surface_opacity` (0..1) makes the surfaces transparent.
        """
        display, outline = self._display, drawing.outline or only_lines
        modifying = display.StartModify()
        display.SetVisibility(True)
        display.SetVisibility2DFill(not outline)
        display.SetVisibility2DOutline(True)
        display.SetSliceIntersectionThickness(LINE_PIXELS if outline else EDGE_PIXELS)
        display.SetOpacity2DFill(drawing.opacity)
        for segment_id, before in self._there():
            is_full = full is None or segment_id in full
            display.SetSegmentVisibility(segment_id, before["SegmentVisibility"] or bool(full and is_full))
            for name, faint in _FAINT.items():
                weight = surface_opacity if name == "SegmentOpacity3D" else 1.0
                getattr(display, f"Set{name}")(segment_id, before[name] * weight * (1.0 if is_full else faint))
        display.EndModify(modifying)

    def _there(self) -> list[tuple[str, dict[str, Any]]]:
        segments = self._node.GetSegmentation()
        return [pair for pair in self._segments_before.items() if segments.GetSegment(pair[0]) is not None]
