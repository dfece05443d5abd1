"""Pictures of a comparison scene: three slices, two 3D views from one camera, and a sheet that holds them all."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import slicer
import vtk

from ...engine.io.atomic_files import write_bytes
from ...engine.io.image_writing import png_bytes
from ..views.capture import window_pixels
from .comparison_scene import ORIENTATIONS, PREDICTION_VIEW, REFERENCE_VIEW, ComparisonScene, slice_extent
from .offscreen_views import (
    BACKGROUND,
    SUPERSAMPLING,
    SliceView,
    ThreeDView,
    check_rendering,
    downsampled,
    offscreen_window,
    style_text,
)

_GAP = 10
_HEADER = 44
_WHITE = (255, 255, 255)  # of the reference's lines: those of its own colours are hard to see on the prediction's areas


@dataclass(frozen=True)
class Pictures:
    """RGB pictures `(height, width, 3)` uint8: the slices by orientation, the 3D views by title, and all on one sheet."""

    slices: Mapping[str, np.ndarray]
    surfaces: Mapping[str, np.ndarray]
    sheet: np.ndarray

    def write(self, folder: Path | str) -> list[Path]:
        """Write `slice-axial.png`, `surface-prediction.png`, ..., `sheet.png`; returns their paths."""
        named = {f"slice-{name.lower()}": pixels for name, pixels in self.slices.items()}
        named |= {f"surface-{name.lower().split(' ')[0]}": pixels for name, pixels in self.surfaces.items()}
        named["sheet"] = self.sheet
        paths = [Path(folder) / f"{name}.png" for name in named]
        for path, pixels in zip(paths, named.values(), strict=True):
            write_bytes(path, png_bytes(pixels))
        return paths


def draw(
    made: ComparisonScene,
    title: str = "",
    captions: Mapping[str, str] | None = None,
    colors: Mapping[str, tuple[int, int, int]] | None = None,
    slice_size: tuple[int, int] = (400, 400),
    surface_size: tuple[int, int] = (485, 420),
) -> Pictures:
    """Draw a comparison scene with Slicer's displayable managers.

    `captions` are texts for the structures in the legend, by name (such as their Dice). `colors` (RGB, 0 to 255, by name)
    stand in for the structures' own. Sizes are pixels (width, height) of one view. Raises InputError where no OpenGL
    library is installed.
    """
    check_rendering()
    reference, shown_in = made.reference_node, colors or {}
    with _override_colors(made.prediction_node, shown_in), _override_colors(reference, shown_in):
        with _override_colors(reference, dict.fromkeys(_names(reference), _WHITE)):
            slices = {ORIENTATIONS[name]: _slice(made, name, slice_size) for name in ORIENTATIONS}
        surfaces = _surfaces(made, surface_size)
        legend = legend_picture(
            made, captions or {}, (slice_size[0] * 3 + 2 * _GAP - sum(_widths(surfaces)) - 2 * _GAP, surface_size[1])
        )
    rows = [_row(list(slices.values())), _row([*surfaces.values(), legend])]
    return Pictures(slices, surfaces, _sheet(rows, title))


def _names(node: slicer.vtkMRMLSegmentationNode | None) -> list[str]:
    segments = node.GetSegmentation() if node is not None else None
    return [segments.GetSegment(one).GetName() for one in segments.GetSegmentIDs()] if segments is not None else []


@contextmanager
def _override_colors(
    node: slicer.vtkMRMLSegmentationNode | None, colors: Mapping[str, tuple[int, int, int]]
) -> Iterator[None]:
    """Draw a node's segments in these colours (RGB, 0 to 255, by name) while this lasts."""
    if node is None:
        yield
        return
    display, ids = node.GetDisplayNode(), list(node.GetSegmentation().GetSegmentIDs())
    before = [display.GetSegmentOverrideColor(segment_id) for segment_id in ids]
    before = [tuple(color[channel] for channel in range(3)) for color in before]
    for segment_id, name in zip(ids, _names(node), strict=True):
        if name in colors:
            display.SetSegmentOverrideColor(segment_id, *(channel / 255 for channel in colors[name]))
    try:
        yield
    finally:
        for segment_id, color in zip(ids, before, strict=True):
            display.SetSegmentOverrideColor(segment_id, *color)


def _widths(pictures: Mapping[str, np.ndarray]) -> list[int]:
    return [pixels.shape[1] for pixels in pictures.values()]


def _slice(made: ComparisonScene, name: str, size: tuple[int, int]) -> np.ndarray:
    view = SliceView(made.headless.scene, made.headless.application_logic, name, size)
    try:
        width, height, _ = slice_extent(name, made.size_mm)
        view.node.SetRulerType(slicer.vtkMRMLAbstractViewNode.RulerTypeThin)
        view.look_at(made.center_ras, made.slices_ras, 1.25 * max(width, 40.0), 1.35 * max(height, 40.0))
        letter, axis = {"Red": ("S", 2), "Green": ("A", 1), "Yellow": ("R", 0)}[name]
        at = made.slices_ras[axis]
        opposite = {"S": "I", "A": "P", "R": "L"}[letter]
        view.add_text(f"{ORIENTATIONS[name]}  {letter if at >= 0 else opposite} {abs(at):.0f} mm")
        return view.picture()
    finally:
        view.node.SetRulerType(slicer.vtkMRMLAbstractViewNode.RulerTypeNone)
        view.close()


def _surfaces(made: ComparisonScene, size: tuple[int, int]) -> dict[str, np.ndarray]:
    if made.reference_node is None:
        titles = {PREDICTION_VIEW: "From the front", REFERENCE_VIEW: "From the back"}
    else:
        titles = {PREDICTION_VIEW: made.prediction_node.GetName(), REFERENCE_VIEW: made.reference_node.GetName()}
    pictures = {}
    for name, title in titles.items():
        view = ThreeDView(made.headless.scene, made.headless.application_logic, name, size)
        try:
            view.add_text(title)
            pictures[title] = view.picture()
        finally:
            view.close()
    return pictures


# --- legend and sheet --------------------------------------------------------------------------------------------------


def legend_picture(made: ComparisonScene, captions: Mapping[str, str], size: tuple[int, int]) -> np.ndarray:
    """Each structure's colour, name and caption, and what fill and line mean."""
    board = _Board(size)
    y = 26
    segments = made.prediction_node.GetSegmentation()
    count = segments.GetNumberOfSegments()
    step = min(30, (size[1] - 110) // max(count, 1))
    for number in range(count):
        segment = segments.GetNthSegment(number)
        color = made.prediction_node.GetDisplayNode().GetSegmentColor(segments.GetNthSegmentID(number))
        board.patch(14, y, 16, min(16, step - 2), tuple(color[channel] for channel in range(3)))
        board.text(segment.GetName(), 40, y, 14)
        if segment.GetName() in captions:
            board.text(captions[segment.GetName()], size[0] - 12, y, 14, align="right")
        y += step
    if made.reference_node is not None:
        y = size[1] - 72
        board.patch(14, y, 16, 16, (0.5, 0.5, 0.55))
        board.text(_wrapped(f"fill: {made.prediction_node.GetName()}"), 40, y, 13, bold=False)
        board.patch(14, y + 38, 16, 3, (0.9, 0.9, 0.95))
        board.text(_wrapped(f"line: {made.reference_node.GetName()}"), 40, y + 38, 13, bold=False)
    return board.picture()


def _wrapped(text: str) -> str:
    """At most two lines that fit the legend's width."""
    return "\n".join(textwrap.wrap(text, 24, max_lines=2, placeholder=" ..."))


class _Board:
    """A dark surface to write and to put colours on, in pixels from the top left."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self._window, self._renderer = offscreen_window(size)

    def text(self, text: str, x: float, y: float, size: int, bold: bool = True, align: str = "left") -> None:
        actor = vtk.vtkTextActor()
        actor.SetInput(text)
        properties = actor.GetTextProperty()
        style_text(properties, size, bold)
        properties.SetVerticalJustificationToCentered()
        properties.SetJustification({"left": 0, "centre": 1, "right": 2}[align])
        actor.SetPosition(x * SUPERSAMPLING, (self.size[1] - y) * SUPERSAMPLING)
        self._renderer.AddViewProp(actor)
        needed = [0.0, 0.0]
        actor.GetSize(self._renderer, needed)
        room = (self.size[0] - x) * SUPERSAMPLING
        if align == "left" and needed[0] > room:
            properties.SetFontSize(int(properties.GetFontSize() * room / needed[0]))

    def patch(self, x: float, y: float, width: float, height: float, color: tuple[float, ...]) -> None:
        plane = vtk.vtkPlaneSource()
        left, right = x * SUPERSAMPLING, (x + width) * SUPERSAMPLING
        bottom, top = ((self.size[1] - y + sign * height / 2) * SUPERSAMPLING for sign in (-1, 1))
        plane.SetOrigin(left, bottom, 0)
        plane.SetPoint1(right, bottom, 0)
        plane.SetPoint2(left, top, 0)
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputConnection(plane.GetOutputPort())
        actor = vtk.vtkActor2D()
        actor.SetMapper(mapper)
        actor.GetProperty().SetColor(*color)
        self._renderer.AddViewProp(actor)

    def picture(self) -> np.ndarray:
        self._window.Render()
        pixels = downsampled(window_pixels(self._window))
        self._window.Finalize()
        return pixels


def _row(pictures: list[np.ndarray]) -> np.ndarray:
    height = max(pixels.shape[0] for pixels in pictures)
    gap = _blank(height, _GAP)
    parts: list[np.ndarray] = []
    for pixels in pictures:
        short = height - pixels.shape[0]
        parts += [np.vstack([pixels, _blank(short, pixels.shape[1])]) if short else pixels, gap]
    return np.hstack(parts[:-1])


def _sheet(rows: list[np.ndarray], title: str) -> np.ndarray:
    width = max(row.shape[1] for row in rows) + 2 * _GAP
    parts = [_blank(_GAP, width)]
    if title:
        board = _Board((width, _HEADER))
        board.text(title, _GAP + 2, _HEADER / 2, 18)
        parts = [board.picture()]
    for row in rows:
        right = width - _GAP - row.shape[1]
        parts += [np.hstack([_blank(row.shape[0], _GAP), row, _blank(row.shape[0], right)]), _blank(_GAP, width)]
    return np.vstack(parts)


def _blank(height: int, width: int) -> np.ndarray:
    color = np.rint(np.array(BACKGROUND) * 255).astype(np.uint8)
    return np.broadcast_to(color, (height, width, 3))
