"""Charts of the report as SVG text: slice curves of one structure and box plots over cases.

Colours come from classes in chart.css, so that the charts follow the page into dark mode and into print; `standalone`
makes a file of its own for a written report.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.slice_measures import SliceCurve

WIDTH = 520
_LEFT, _RIGHT = 42, 14
_DICE_TOP, _DICE_BOTTOM, _AREA_TOP, _AREA_BOTTOM = 14, 118, 142, 204
_CURVE_HEIGHT = 240
_ROW = 30
_LONGEST_NAME = 36  # characters before an ellipsis

_LIGHT = (
    ":root{--card:#fff;--ink:#1b2422;--soft:#5a6763;--rule:#dfe3de;--accent:#0e5f57;--accent-soft:#0e5f5722;"
    "--reference:#9aa5a1;--alarm:#a3340c}"
)


def standalone(svg: str) -> str:
    """A chart as a file of its own: light colours inside, no page needed."""
    style = _LIGHT + (Path(__file__).parent / "chart.css").read_text(encoding="utf-8")
    opened = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    place = opened.index(">") + 1
    return f'{opened[:place]}<style>{style}</style><rect width="100%" height="100%" fill="#fff"/>{opened[place:]}'


def curve_svg(structure: str, curve: SliceCurve) -> str:
    """Dice (above) and areas of prediction and reference (below) slice by slice, inferior to superior.

    The slice with the largest area in error is marked. The numbers stand in `data-curve` for the page's script.
    """
    low, high = curve.superior_mm[0], curve.superior_mm[-1]
    span = (high - low) or 1.0
    xs = [_LEFT + (WIDTH - _LEFT - _RIGHT) * ((mm - low) / span if high > low else 0.5) for mm in curve.superior_mm]
    top_area = round_up(max(*curve.prediction_mm2, *curve.reference_mm2) / 100)
    dice = [_scale(value, 1.0, _DICE_TOP, _DICE_BOTTOM) for value in curve.dice]
    ours, theirs = (
        [_scale(value / 100, top_area, _AREA_TOP, _AREA_BOTTOM) for value in values]
        for values in (curve.prediction_mm2, curve.reference_mm2)
    )
    runs = _runs(curve.slices)
    worst = curve.worst_first()[0]
    parts = [
        *(
            _grid_line(y, f"{value:g}")
            for value, y in ((v, _scale(v, 1.0, _DICE_TOP, _DICE_BOTTOM)) for v in (0, 0.5, 1))
        ),
        *(_grid_line(y, f"{value:g}") for value, y in ((0, _AREA_BOTTOM), (top_area, _AREA_TOP))),
        f'<text x="{_LEFT}" y="{_DICE_TOP - 4}" class="strong">Dice</text>',
        f'<text x="{_LEFT}" y="{_AREA_TOP - 6}"><tspan class="strong">Area, cm²</tspan> '
        "reference filled, prediction as a line</text>",
        *(f'<path class="reference" d="{_filled(xs[a:b], theirs[a:b], _AREA_BOTTOM)}"/>' for a, b in runs),
        *(f'<path class="prediction" d="{_line(xs[a:b], ours[a:b])}"/>' for a, b in runs),
        *(f'<path class="dice" d="{_line(xs[a:b], dice[a:b])}"/>' for a, b in runs),
        *(f'<circle class="dot" cx="{xs[a]:.1f}" cy="{dice[a]:.1f}" r="2.2"/>' for a, b in runs if b - a == 1),
        _worst_mark(xs[worst], dice[worst], curve.slices[worst]),
        f'<text x="{_LEFT}" y="{_CURVE_HEIGHT - 20}">S {low:.0f} mm</text>',
        f'<text x="{WIDTH - _RIGHT}" y="{_CURVE_HEIGHT - 20}" text-anchor="end">S {high:.0f} mm</text>',
        f'<text x="{_LEFT}" y="{_CURVE_HEIGHT - 6}">inferior</text>',
        f'<text x="{WIDTH - _RIGHT}" y="{_CURVE_HEIGHT - 6}" text-anchor="end">superior</text>',
        f'<line class="cross" y1="{_DICE_TOP}" y2="{_AREA_BOTTOM}"/><circle class="here" r="3.5"/>',
        f'<rect class="hit" x="{_LEFT - 8}" y="0" width="{WIDTH - _LEFT - _RIGHT + 16}" height="{_CURVE_HEIGHT}"/>',
    ]
    return (
        f'<svg class="plot curve" viewBox="0 0 {WIDTH} {_CURVE_HEIGHT}" role="img" tabindex="0" '
        f'aria-label="{escape(_curve_label(structure, curve))}" '
        f'data-curve="{escape(json.dumps(_curve_data(structure, curve, xs, dice)))}">{"".join(parts)}</svg>'
    )


def _curve_data(structure: str, curve: SliceCurve, xs: Sequence[float], ys: Sequence[float]) -> dict[str, Any]:
    """What page.js reads of a curve: values by position, areas in cm², and where the Dice curve runs in the drawing."""
    return {
        "structure": structure,
        "slice": list(curve.slices),
        "s": [round(value, 2) for value in curve.superior_mm],
        "dice": [round(value, 4) for value in curve.dice],
        "ours": [round(value / 100, 3) for value in curve.prediction_mm2],
        "theirs": [round(value / 100, 3) for value in curve.reference_mm2],
        "x": [round(value, 1) for value in xs],
        "y": [round(value, 1) for value in ys],
        "worst": curve.worst_first()[0],
    }


def _curve_label(structure: str, curve: SliceCurve) -> str:
    worst = curve.worst_first()[0]
    return (
        f"{structure}: Dice over {len(curve.slices)} slices from inferior to superior; lowest {min(curve.dice):.2f}, "
        f"largest disagreement in slice {curve.slices[worst]} with Dice {curve.dice[worst]:.2f}. "
        "Arrow keys move through the slices, W goes to the largest disagreement."
    )


def _scale(value: float, top: float, y_top: float, y_bottom: float) -> float:
    return y_bottom - (y_bottom - y_top) * value / top


def round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten, for the end of an axis."""
    if value <= 0:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.999)


def _grid_line(y: float, text: str) -> str:
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    )


def _worst_mark(x: float, y: float, number: int) -> str:
    anchor = "start" if x < WIDTH * 0.7 else "end"
    shift = 8 if anchor == "start" else -8
    text_y = y - 6 if y > _DICE_TOP + 24 else y + 16
    return (
        f'<circle class="worst" cx="{x:.1f}" cy="{y:.1f}" r="4.2"/>'
        f'<text class="worst-label" x="{x + shift:.1f}" y="{text_y:.1f}" text-anchor="{anchor}">slice {number}</text>'
    )


def _runs(slices: Sequence[int]) -> list[tuple[int, int]]:
    """Ranges of neighbouring slices, so that no line is drawn across slices where nothing is."""
    breaks = [0, *(i for i in range(1, len(slices)) if abs(slices[i] - slices[i - 1]) > 1), len(slices)]
    return list(itertools.pairwise(breaks))


def _line(xs: Sequence[float], ys: Sequence[float]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))


def _filled(xs: Sequence[float], ys: Sequence[float], bottom: float) -> str:
    return f"{_line(xs, ys)}L{xs[-1]:.1f} {bottom}L{xs[0]:.1f} {bottom}Z"


@dataclass(frozen=True)
class Distribution:
    """Values of one structure over cases; infinite ones are missed or spurious and drawn apart."""

    name: str
    color: tuple[int, int, int]
    cases: tuple[str, ...]
    values: tuple[float, ...]


def names_width(names: Sequence[str]) -> float:
    """Width of the column of names at the left of a chart with a row a name, their numbers of cases included."""
    return max(150.0, 76 + 7.4 * min(_LONGEST_NAME, max(map(len, names), default=0)))


def row_name(x: float, y: float, name: str, cases: int) -> str:
    """A name with its number of cases; one that is too long for its column is cut, and whole in its title."""
    shown = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    return (
        f'<text x="{x:g}" y="{y:.1f}"><title>{escape(name)}</title><tspan class="name">{escape(shown)}</tspan> '
        f"n = {cases}</text>"
    )


def box_plot_svg(distributions: Sequence[Distribution], label: str, unit: str = "", share: bool = True) -> str:
    """One row a structure: quartiles, median, whiskers to 1.5 interquartile ranges, and every case as a point.

    `share` says that values lie between 0 and 1; else the axis runs from 0 to the largest finite value.
    """
    finite = [value for one in distributions for value in one.values if math.isfinite(value)]
    low = math.floor(min(finite, default=0) * 10) / 10 if share else 0.0
    high = 1.0 if share else round_up(max(finite, default=1.0))
    low = min(low, 0.9)
    width, height = 2 * WIDTH, len(distributions) * _ROW + 54
    left, right = names_width([one.name for one in distributions]), width - (60 if not share else 24)

    def at(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    ticks = np.linspace(low, high, 6)
    bottom = len(distributions) * _ROW + 12
    parts = [
        f'<line class="grid" x1="{at(t):.1f}" x2="{at(t):.1f}" y1="8" y2="{bottom}"/>'
        f'<text x="{at(t):.1f}" y="{bottom + 16}" text-anchor="middle">{t:.3g}</text>'
        for t in ticks
    ]
    title = f"{label}{f', {unit}' if unit else ''}"
    parts.append(
        f'<text class="strong" x="{(right + left) / 2:.0f}" y="{bottom + 34}" text-anchor="middle">{escape(title)}</text>'
    )
    for number, one in enumerate(distributions):
        parts.append(_box_row(one, 12 + _ROW * number + _ROW / 2, at, right))
    spoken = "; ".join(
        f"{one.name} median {np.median(one.values):.3g} of {len(one.values)}" for one in distributions if one.values
    )
    return (
        f'<svg class="plot boxes" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)} per structure: '
        f'{escape(spoken)}">{"".join(parts)}</svg>'
    )


def _box_row(one: Distribution, y: float, at: Callable[[float], float], right: float) -> str:
    values = np.array([value for value in one.values if math.isfinite(value)])
    lost = len(one.values) - len(values)
    color = "rgb({},{},{})".format(*one.color)
    parts = [
        f'<rect x="2" y="{y - 5}" width="10" height="10" rx="2.5" fill="{color}" stroke="#0003"/>',
        row_name(18, y + 4, one.name, len(one.values)),
    ]
    if len(values) >= 4:
        first, third = np.percentile(values, [25, 75])
        reach = 1.5 * (third - first)
        ends = values[values >= first - reach].min(), values[values <= third + reach].max()
        parts.append(
            f'<line class="whisker" x1="{at(ends[0]):.1f}" x2="{at(ends[1]):.1f}" y1="{y}" y2="{y}"/>'
            f'<rect class="box" x="{at(first):.1f}" width="{max(1.0, at(third) - at(first)):.1f}" y="{y - 8}" height="16"'
            ' rx="2"/>'
        )
    if len(values):
        middle = at(float(np.median(values)))
        parts.append(f'<line class="median" x1="{middle:.1f}" x2="{middle:.1f}" y1="{y - 9}" y2="{y + 9}"/>')
    for number, (case, value) in enumerate(zip(one.cases, one.values, strict=True)):
        if math.isfinite(value):
            jitter = (number * 5 % 7 - 3) * 1.4
            parts.append(
                f'<circle class="case" cx="{at(value):.1f}" cy="{y + jitter:.1f}" r="3">'
                f"<title>{escape(case)}: {value:.3g}</title></circle>"
            )
    if lost:
        parts.append(f'<text class="lost" x="{right + 10}" y="{y + 4}">∞ × {lost}</text>')
    return "".join(parts)
