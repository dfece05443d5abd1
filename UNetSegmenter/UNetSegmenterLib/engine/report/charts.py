"""Charts of the report as SVG: slice curves of one structure, box plots over cases, paired differences.

Colours come from classes in chart.css, so that the charts follow the page into dark mode and into print; `standalone_svg`
makes a file of its own for a written report. They are built with ElementTree, which escapes every text.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from ..evaluation.comparison import Comparison
from ..evaluation.measure_definitions import BY_KEY
from ..evaluation.slice_measures import SliceCurve
from ..io.slicing_axis import AXIAL, SlicingAxis, slicing_axis
from .page_elements import measured_rows, signed
from .paired_table import PairedComparison

_WIDTH = 520
_LEFT, _RIGHT = 42, 14
_DICE_TOP, _DICE_BOTTOM, _AREA_TOP, _AREA_BOTTOM = 14, 118, 142, 204
_CURVE_HEIGHT = 240
_ROW = 30
_LONGEST_NAME = 36  # characters before an ellipsis

_LIGHT = (
    ":root{--card:#fff;--ink:#1b2422;--soft:#5a6763;--rule:#dfe3de;--accent:#0e5f57;--accent-soft:#0e5f5722;"
    "--reference:#9aa5a1;--alarm:#a3340c}"
)


def svg_text(chart: Element) -> str:
    """A chart as it stands in a page."""
    return ElementTree.tostring(chart, encoding="unicode")


def standalone_svg(chart: Element) -> str:
    """A chart as a file of its own: light colours inside, no page needed."""
    root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **chart.attrib})
    _add(root, "style", _LIGHT + (Path(__file__).parent / "chart.css").read_text(encoding="utf-8"))
    _add(root, "rect", width="100%", height="100%", fill="#fff")
    root.extend(chart)
    return svg_text(root)


def _chart(css_class: str, width: float, height: float, label: str) -> Element:
    box = f"0 0 {width} {height}"
    return Element("svg", {"class": css_class, "viewBox": box, "role": "img", "aria-label": label})


def _add(parent: Element, tag: str, text: str = "", css_class: str = "", **attributes: str | float) -> Element:
    """A new element in `parent`; numbers have one decimal, and an underscore in a name stands for a hyphen."""
    named = {"class": css_class} if css_class else {}
    for name, value in attributes.items():
        named[name.replace("_", "-")] = value if isinstance(value, str) else f"{value:.1f}"
    element = SubElement(parent, tag, named)
    element.text = text or None
    return element


def curve_chart(structure: str, curve: SliceCurve) -> Element:
    """Dice (above) and areas of prediction and reference (below) slice by slice along the slicing axis.

    The slice with the largest area in error is marked. The numbers stand in `data-curve` for the page's script.
    """
    low, high = curve.position_mm[0], curve.position_mm[-1]
    span = (high - low) or 1.0
    xs = [_LEFT + (_WIDTH - _LEFT - _RIGHT) * ((mm - low) / span if high > low else 0.5) for mm in curve.position_mm]
    top_area = _round_up(max(*curve.prediction_mm2, *curve.reference_mm2) / 100)
    dice = [_scale(value, 1.0, _DICE_TOP, _DICE_BOTTOM) for value in curve.dice]
    ours, theirs = (
        [_scale(value / 100, top_area, _AREA_TOP, _AREA_BOTTOM) for value in values]
        for values in (curve.prediction_mm2, curve.reference_mm2)
    )
    chart = _chart("plot curve", _WIDTH, _CURVE_HEIGHT, _curve_label(structure, curve))
    chart.set("tabindex", "0")
    chart.set("data-curve", json.dumps(_curve_data(structure, curve, xs, dice)))
    axis = slicing_axis(curve.slicing_axis)
    _add_curve_axes(chart, top_area, low, high, axis)
    runs = _runs(curve.slices)
    for a, b in runs:
        _add(chart, "path", css_class="reference", d=_filled(xs[a:b], theirs[a:b], _AREA_BOTTOM))
    for a, b in runs:
        _add(chart, "path", css_class="prediction", d=_line(xs[a:b], ours[a:b]))
    for a, b in runs:
        _add(chart, "path", css_class="dice", d=_line(xs[a:b], dice[a:b]))
        if b - a == 1:
            _add(chart, "circle", css_class="dot", cx=xs[a], cy=dice[a], r="2.2")
    worst = curve.worst_first()[0]
    _add_worst_mark(chart, xs[worst], dice[worst], axis.in_words(f"slice {curve.slices[worst]}"))
    _add(chart, "line", css_class="cross", y1=_DICE_TOP, y2=_AREA_BOTTOM)
    _add(chart, "circle", css_class="here", r="3.5")
    _add(chart, "rect", css_class="hit", x=_LEFT - 8, y=0, width=_WIDTH - _LEFT - _RIGHT + 16, height=_CURVE_HEIGHT)
    return chart


def _add_curve_axes(chart: Element, top_area_cm2: float, low_mm: float, high_mm: float, axis: SlicingAxis) -> None:
    right = _WIDTH - _RIGHT
    lines = [(_scale(value, 1.0, _DICE_TOP, _DICE_BOTTOM), f"{value:g}") for value in (0, 0.5, 1)]
    for y, text in [*lines, (_AREA_BOTTOM, "0"), (_AREA_TOP, f"{top_area_cm2:g}")]:
        _add(chart, "line", css_class="grid", x1=_LEFT, x2=right, y1=y, y2=y)
        _add(chart, "text", text, x=_LEFT - 6, y=y + 4, text_anchor="end")
    _add(chart, "text", "Dice", "strong", x=_LEFT, y=_DICE_TOP - 4)
    area = _add(chart, "text", x=_LEFT, y=_AREA_TOP - 6)
    _add(area, "tspan", "Area, cm²", "strong").tail = " reference filled, prediction as a line"
    _add(chart, "text", f"{axis.letter} {low_mm:.0f} mm", x=_LEFT, y=_CURVE_HEIGHT - 20)
    _add(chart, "text", f"{axis.letter} {high_mm:.0f} mm", x=right, y=_CURVE_HEIGHT - 20, text_anchor="end")
    _add(chart, "text", axis.ends[0], x=_LEFT, y=_CURVE_HEIGHT - 6)
    _add(chart, "text", axis.ends[1], x=right, y=_CURVE_HEIGHT - 6, text_anchor="end")


def _add_worst_mark(chart: Element, x: float, y: float, text: str) -> None:
    shift, anchor = (8, "start") if x < _WIDTH * 0.7 else (-8, "end")
    text_y = y - 6 if y > _DICE_TOP + 24 else y + 16
    _add(chart, "circle", css_class="worst", cx=x, cy=y, r="4.2")
    _add(chart, "text", text, "worst-label", x=x + shift, y=text_y, text_anchor=anchor)


def _curve_data(structure: str, curve: SliceCurve, xs: Sequence[float], ys: Sequence[float]) -> dict[str, Any]:
    """What page.js reads of a curve: values by position, areas in cm², and where the Dice curve runs in the drawing.

    "s" are the positions along the slicing axis in mm, and "axis" is that axis unless it is axial.
    """
    return {
        "structure": structure,
        **({} if curve.slicing_axis == AXIAL else {"axis": curve.slicing_axis}),
        "slice": list(curve.slices),
        "s": [round(value, 2) for value in curve.position_mm],
        "dice": [round(value, 4) for value in curve.dice],
        "ours": [round(value / 100, 3) for value in curve.prediction_mm2],
        "theirs": [round(value / 100, 3) for value in curve.reference_mm2],
        "x": [round(value, 1) for value in xs],
        "y": [round(value, 1) for value in ys],
        "worst": curve.worst_first()[0],
    }


def _curve_label(structure: str, curve: SliceCurve) -> str:
    worst, axis = curve.worst_first()[0], slicing_axis(curve.slicing_axis)
    slices = axis.in_words(f"{len(curve.slices)} slices from {axis.ends[0]} to {axis.ends[1]}")
    return (
        f"{structure}: Dice over {slices}; lowest {min(curve.dice):.2f}, "
        f"largest disagreement in slice {curve.slices[worst]} with Dice {curve.dice[worst]:.2f}. "
        "Arrow keys move through the slices, W goes to the largest disagreement."
    )


def _scale(value: float, top: float, y_top: float, y_bottom: float) -> float:
    return y_bottom - (y_bottom - y_top) * value / top


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten, for the end of an axis."""
    if value <= 0:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.999)


def _runs(slices: Sequence[int]) -> list[tuple[int, int]]:
    """Ranges of neighbouring slices, so that no line is drawn across slices where nothing is."""
    breaks = [0, *(i for i in range(1, len(slices)) if abs(slices[i] - slices[i - 1]) > 1), len(slices)]
    return list(itertools.pairwise(breaks))


def _line(xs: Sequence[float], ys: Sequence[float]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))


def _filled(xs: Sequence[float], ys: Sequence[float], bottom: float) -> str:
    return f"{_line(xs, ys)}L{xs[-1]:.1f} {bottom}L{xs[0]:.1f} {bottom}Z"


@dataclass(frozen=True)
class StructureValues:
    """Values of one structure over cases; infinite ones are missed or spurious and drawn apart."""

    name: str
    color: tuple[int, int, int]
    cases: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Distribution:
    """One measure over cases for each structure; `is_fraction` says that values lie between 0 and 1."""

    measure: str
    label: str
    unit: str
    is_fraction: bool
    structures: Sequence[StructureValues]


def distributions(comparisons: Sequence[Comparison]) -> Iterator[Distribution]:
    """What box plots show: each main measure over the cases, by structure; nothing where nothing was measured."""
    rows = [row for comparison in comparisons for row in measured_rows(comparison)]
    by_structure: dict[str, list] = {}
    for row in rows:
        by_structure.setdefault(row.structure, []).append(row)
    for key in ("dice", "nsd", "hd95_mm", "assd_mm") if rows else ():
        structures = [
            StructureValues(
                name,
                own[0].color,
                tuple(row.case for row in own),
                tuple(float(getattr(row.measures, key)) for row in own),
            )
            for name, own in by_structure.items()
        ]
        title, is_fraction = BY_KEY[key].title, not key.endswith("_mm")
        label = f"{title} at {rows[0].tolerance_mm:g} mm" if key == "nsd" else title
        yield Distribution(key, label, "" if is_fraction else BY_KEY[key].unit, is_fraction, structures)


def _names_width(names: Sequence[str]) -> float:
    """Width of the column of names at the left of a chart with one name per row, their numbers of cases included."""
    return max(150.0, 76 + 7.4 * min(_LONGEST_NAME, max(map(len, names), default=0)))


def _add_row_name(chart: Element, x: float, y: float, name: str, cases: int) -> None:
    """A name with its number of cases; one that is too long for its column is cut, and whole in its title."""
    text = _add(chart, "text", x=x, y=y)
    _add(text, "title", name)
    shown = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    _add(text, "tspan", shown, "name").tail = f" n = {cases}"


def _add_tick(chart: Element, x: float, bottom: float, text: str, css_class: str = "grid") -> None:
    _add(chart, "line", css_class=css_class, x1=x, x2=x, y1=8, y2=bottom)
    _add(chart, "text", text, x=x, y=bottom + 16, text_anchor="middle")


def box_plot(distribution: Distribution) -> Element:
    """One row per structure: quartiles, median, whiskers to 1.5 interquartile ranges, and every case as a point.

    The axis of a fraction ends at 1, that of a distance at the largest finite value.
    """
    structures, is_fraction = distribution.structures, distribution.is_fraction
    finite = [value for one in structures for value in one.values if math.isfinite(value)]
    low = math.floor(min(finite, default=0) * 10) / 10 if is_fraction else 0.0
    high = 1.0 if is_fraction else _round_up(max(finite, default=1.0))
    low = min(low, 0.9)
    width, bottom = 2 * _WIDTH, len(structures) * _ROW + 12
    left, right = _names_width([one.name for one in structures]), width - (24 if is_fraction else 60)

    def at(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    title = f"{distribution.label}{f', {distribution.unit}' if distribution.unit else ''}"
    medians = "; ".join(
        f"{one.name} median {np.median(one.values):.3g} of {len(one.values)}" for one in structures if one.values
    )
    chart = _chart("plot boxes", width, bottom + 42, f"{title} per structure: {medians}")
    for tick in np.linspace(low, high, 6):
        _add_tick(chart, at(tick), bottom, f"{tick:.3g}")
    _add(chart, "text", title, "strong", x=(right + left) / 2, y=bottom + 34, text_anchor="middle")
    for number, one in enumerate(structures):
        _add_box_row(chart, one, 12 + _ROW * number + _ROW / 2, at, right)
    return chart


def _add_box_row(chart: Element, one: StructureValues, y: float, at: Callable[[float], float], right: float) -> None:
    values = np.array([value for value in one.values if math.isfinite(value)])
    color = "rgb({},{},{})".format(*one.color)
    _add(chart, "rect", x=2, y=y - 5, width=10, height=10, rx="2.5", fill=color, stroke="#0003")
    _add_row_name(chart, 18, y + 4, one.name, len(one.values))
    if len(values) >= 4:
        first, third = np.percentile(values, [25, 75])
        reach = 1.5 * (third - first)
        ends = values[values >= first - reach].min(), values[values <= third + reach].max()
        _add(chart, "line", css_class="whisker", x1=at(ends[0]), x2=at(ends[1]), y1=y, y2=y)
        width = max(1.0, at(third) - at(first))
        _add(chart, "rect", css_class="box", x=at(first), width=width, y=y - 8, height=16, rx=2)
    if len(values):
        middle = at(float(np.median(values)))
        _add(chart, "line", css_class="median", x1=middle, x2=middle, y1=y - 9, y2=y + 9)
    for number, (case, value) in enumerate(zip(one.cases, one.values, strict=True)):
        if math.isfinite(value):
            jitter = (number * 5 % 7 - 3) * 1.4
            point = _add(chart, "circle", css_class="case", cx=at(value), cy=y + jitter, r="3")
            _add(point, "title", f"{case}: {value:.3g}")
    if infinite := len(one.values) - len(values):
        _add(chart, "text", f"∞ × {infinite}", "lost", x=right + 10, y=y + 4)


def forest_plot(paired: PairedComparison) -> Element:
    """One row per structure: mean difference as a dot, its 95 % confidence interval as a line, zero as the axis."""
    ends = [abs(value) for row in paired.rows for value in (row.difference, *row.ci95) if math.isfinite(value)]
    end = _round_up(max([*ends, 0.01]))
    reach = end * 1.02
    left = _names_width([row.structure for row in paired.rows])
    width, bottom = 2 * _WIDTH, len(paired.rows) * _ROW + 12
    right = width - 40

    def at(value: float) -> float:
        return left + (right - left) * (value + reach) / (2 * reach)

    differences = "; ".join(f"{row.structure} {signed(row.difference)}" for row in paired.rows)
    chart = _chart("plot", width, bottom + 42, f"Differences of {paired.measure}: {differences}")
    for tick in (-end, -end / 2, end / 2, end):
        _add_tick(chart, at(tick), bottom, signed(tick, "g"))
    _add_tick(chart, at(0), bottom, "0", "axis")
    _add(chart, "text", f"Difference of {paired.measure}", "strong", x=at(0), y=bottom + 34, text_anchor="middle")
    for number, row in enumerate(paired.rows):
        y = 8 + _ROW * (number + 0.5)
        _add_row_name(chart, 8, y + 4, row.structure, row.n)
        if all(math.isfinite(value) for value in row.ci95):
            low, high = (at(value) for value in row.ci95)
            _add(chart, "line", css_class="median", x1=low, x2=high, y1=y, y2=y)
        if math.isfinite(row.difference):
            _add(chart, "circle", css_class="dot", cx=at(row.difference), cy=y, r="5")
    return chart
