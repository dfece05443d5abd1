"""How a segmentation is drawn while it is compared: areas or lines, see-through, one structure and the others faint."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from .left_over import write_down

_OF_DISPLAY = ("Visibility", "Visibility2DFill", "Visibility2DOutline", "SliceIntersectionThickness", "Opacity2DFill")
_OF_SEGMENT = ("SegmentVisibility", "SegmentOpacity2DFill", "SegmentOpacity2DOutline", "SegmentOpacity3D")
_FAINT = {"SegmentOpacity2DFill": 0.3, "SegmentOpacity2DOutline": 0.45, "SegmentOpacity3D": 0.08}
LINE_PIXELS, EDGE_PIXELS = 3, 1


@dataclass(frozen=True)
class Drawing:
    """What a person chose: lines instead of areas, and the opacity (0..1) of the areas in the slices."""

    outline: bool = False
    opacity: float = 0.5


class Drawn:
    """The drawing of one segmentation node; what it was before is written down in its display (left_over.py)."""

    def __init__(self, node: Any) -> None:
        self._node, self._display = node, node.GetDisplayNode()
        self._segments_before = write_down(self._display, _OF_DISPLAY, _OF_SEGMENT)

    def draw(
        self, drawing: Drawing, full: Collection[str] | None, only_lines: bool = False, surface_opacity: float = 1.0
    ) -> None:
        """Draw the segments with ids in `full` as they are and all others faint; None makes all alike.

        `only_lines` leaves the areas out whatever `drawing` says, `surface_opacity` (0..1) weakens the surfaces.
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
