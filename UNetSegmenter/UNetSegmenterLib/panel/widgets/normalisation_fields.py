"""The normalisation of a card as fields: its name in words, and the parameters that this one has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from .number_edit import NumberEdit

CHOOSE = "Choose..."
TITLES = {
    "window": "Window: clip, then map to a range",
    "ct": "CT (nnU-Net): clip, then mean and SD of the training data",
    "z-score": "Z-score: mean and SD of the scan",
    "rescale": "Rescale: smallest and largest value to a range",
    "none": "None: values as they are",
}
PARAMETERS = {
    "window": ("clip", "range"),
    "ct": ("clip", "mean", "sd"),
    "z-score": ("over",),
    "rescale": ("over", "range"),
    "none": (),
}
OVER = {"scan": "of the whole scan", "slice": "of each slice"}
DEFAULT_RANGE = (-1.0, 1.0)


class NormalisationFields:
    """`widget` holds the fields; `value` is the card's entry, None while a parameter is missing or no name is chosen."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """`on_change` is called with every change of the user's."""
        self._on_change, self._is_showing = on_change, False
        self._kept: dict[str, Any] = {}  # entries that have no field, such as the clip of a z-score
        self.widget = qt.QWidget()
        column = qt.QVBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        self.widget.setLayout(column)
        self.name = qt.QComboBox()
        self.name.setAccessibleName("Normalisation")
        self.name.addItem(CHOOSE, "")
        for name, title in TITLES.items():
            self.name.addItem(title, name)
        self.name.connect("currentIndexChanged(int)", lambda index: self._changed())
        self.over = qt.QComboBox()
        self.over.setAccessibleName("Measured over")
        for value, title in OVER.items():
            self.over.addItem(title, value)
        self.over.connect("currentIndexChanged(int)", lambda index: self._changed())
        self.low, self.high = self._number("Clip from"), self._number("Clip to")
        self.mean, self.sd = self._number("Mean of the training data"), self._number("SD of the training data")
        self.range_low, self.range_high = self._number("Range from"), self._number("Range to")
        column.addWidget(self.name)
        self._rows = {
            "clip": _row(column, "Clip from", self.low.widget, "to", self.high.widget),
            "mean": _row(column, "Mean", self.mean.widget, "SD", self.sd.widget),
            "over": _row(column, "Measured", self.over),
            "range": _row(column, "Map to", self.range_low.widget, "to", self.range_high.widget),
        }
        self._show_rows()

    def show(self, value: dict[str, Any] | None) -> None:
        """Show a card's entry; parts of it may be unknown."""
        value = value or {}
        self._is_showing = True
        try:
            self._kept = dict(value)
            self.name.setCurrentIndex(max(0, self.name.findData(value.get("name") or "")))
            self.over.setCurrentIndex(max(0, self.over.findData(value.get("over") or "scan")))
            for edits, pair in (
                ((self.low, self.high), value.get("clip") or (None, None)),
                ((self.range_low, self.range_high), value.get("range") or DEFAULT_RANGE),
                ((self.mean, self.sd), (value.get("mean"), value.get("sd"))),
            ):
                for edit, number in zip(edits, pair, strict=True):
                    edit.show(number)
        finally:
            self._is_showing = False
        self._show_rows()

    @property
    def value(self) -> dict[str, Any] | None:
        """The card's entry."""
        name = self.name.currentData
        if not name:
            return None
        parts = {
            "clip": [self.low.number, self.high.number],
            "range": [self.range_low.number, self.range_high.number],
            "mean": self.mean.number,
            "sd": self.sd.number,
            "over": self.over.currentData,
        }
        wanted = [*PARAMETERS[name], *(["sd"] if name == "ct" else [])]
        value: dict[str, Any] = {"name": name} | {part: parts[part] for part in wanted}
        if name in ("z-score", "rescale") and self._kept.get("name") == name and self._kept.get("clip"):
            value["clip"] = self._kept["clip"]
        return value if self.problem == "" else None

    @property
    def problem(self) -> str:
        """What is wrong with the parameters, empty if nothing is."""
        name = self.name.currentData
        if not name:
            return "choose how values are normalised"
        wanted = PARAMETERS[name]
        for part, (low, high), what in (
            ("clip", (self.low.number, self.high.number), "clipped to"),
            ("range", (self.range_low.number, self.range_high.number), "mapped to"),
        ):
            if part in wanted and (low is None or high is None or not low < high):
                return f"give the two values, the smaller first, that are {what}"
        if "mean" in wanted and (self.mean.number is None or self.sd.number is None or self.sd.number <= 0):
            return "give the mean and a positive SD of the training data"
        return ""

    def _number(self, name: str) -> NumberEdit:
        return NumberEdit(name, self._changed)

    def _changed(self) -> None:
        if not self._is_showing:
            self._show_rows()
            self._on_change()

    def _show_rows(self) -> None:
        wanted = PARAMETERS.get(self.name.currentData or "", ())
        for part, row in self._rows.items():
            row.setVisible(part in wanted)


def _row(column: Any, *parts: Any) -> Any:
    """A line of texts and fields, added to a column."""
    widget, line = qt.QWidget(), qt.QHBoxLayout()
    line.setContentsMargins(0, 0, 0, 0)
    widget.setLayout(line)
    for part in parts:
        line.addWidget(qt.QLabel(part) if isinstance(part, str) else part)
    line.addStretch(1)
    column.addWidget(widget)
    return widget
