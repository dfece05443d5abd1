"""How a network's slices lie in the patient: the slicing axis, and where rows and columns lead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from ...engine.io.slicing import ORIENTATIONS
from .card_draft import CardDraft
from .entry_fields import Field
from .normalisation_fields import CHOOSE

AXES = (("axial", "axial"), ("coronal", "coronal"), ("sagittal", "sagittal"))
STORED = ("stored", "as the file stores them (nnU-Net)")
OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "I": "S", "S": "I"}
WORDS = {"R": "right", "L": "left", "A": "anterior", "P": "posterior", "I": "inferior", "S": "superior"}
AS_STORED = (
    "Scans must be stored like those of the training. Choose an axis to have every scan cut in the same directions."
)
AXIS, ORIENTATION = "preprocessing.axis", "preprocessing.orientation"


class SlicesField(Field):
    """The slicing axis with buttons that mirror or turn the slices that the network is given."""

    def __init__(self, draft: CardDraft, on_change: Callable[[], None]) -> None:
        Field.__init__(self, draft, AXIS, "Slices", on_change)
        self.widget, column = qt.QWidget(), qt.QVBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        self.widget.setLayout(column)
        self.axis = qt.QComboBox()
        self.axis.setAccessibleName(self.title)
        self._first = 1 if draft.of(AXIS) else 0
        if self._first:
            self.axis.addItem(CHOOSE, "")
        for value, text in (*AXES, *([STORED] if draft.get(AXIS) == STORED[0] else [])):
            self.axis.addItem(text, value)
        self.axis.setCurrentIndex(max(0, self.axis.findData(draft.get(AXIS, "") if not self.is_asked else "")))
        self.axis.connect("currentIndexChanged(int)", self._on_axis)
        column.addWidget(self.axis)
        self._text = qt.QLabel()
        self._text.setWordWrap(True)
        column.addWidget(self._text)
        self._turns = qt.QWidget()
        line = qt.QHBoxLayout()
        line.setContentsMargins(0, 0, 0, 0)
        self._turns.setLayout(line)
        self.flip_rows = self._button(line, "Flip up-down", "Let the rows lead the other way.", self._flip_rows)
        self.flip_columns = self._button(
            line, "Flip left-right", "Let the columns lead the other way.", self._flip_columns
        )
        self.swap = self._button(line, "Swap", "Exchange rows and columns.", self._swap)
        line.addStretch(1)
        column.addWidget(self._turns)
        self._show()

    @property
    def focus(self) -> Any:
        """The list of axes."""
        return self.axis

    @property
    def problem(self) -> str:
        """No axis is chosen."""
        return "" if self.axis.currentData else "choose the slicing axis"

    @property
    def orientation(self) -> str:
        """Two letters, where rows and where columns lead; empty for stored slices."""
        return self.draft.get(ORIENTATION) or ORIENTATIONS.get(self.axis.currentData or "", "")

    def _button(self, line: Any, text: str, tip: str, handler: Callable[[], None]) -> Any:
        button = qt.QToolButton()
        button.setText(text)
        button.setToolTip(f"{tip} The preview shows what the network makes of it.")
        button.connect("clicked(bool)", lambda checked: handler())
        line.addWidget(button)
        return button

    def _flip_rows(self) -> None:
        self._turn(OPPOSITE[self.orientation[0]] + self.orientation[1])

    def _flip_columns(self) -> None:
        self._turn(self.orientation[0] + OPPOSITE[self.orientation[1]])

    def _swap(self) -> None:
        self._turn(self.orientation[::-1])

    def _turn(self, orientation: str) -> None:
        self.draft.put(ORIENTATION, orientation)
        self._show()
        self._on_change()

    def _on_axis(self, index: int) -> None:
        axis = self.axis.currentData
        self.draft.put(AXIS, axis or None, bool(axis))
        self.draft.put(ORIENTATION, ORIENTATIONS.get(axis or "", ""), bool(axis))
        self._show()
        self._on_change()

    def _show(self) -> None:
        orientation = self.orientation
        is_stored = self.axis.currentData == STORED[0]
        self._turns.setVisible(bool(orientation))
        self._text.setVisible(bool(orientation) or is_stored)
        if is_stored:
            self._text.setText(AS_STORED)
        if orientation:
            rows, columns = orientation[0], orientation[1]
            self._text.setText(f"Downwards: {WORDS[rows]}; to the right: {WORDS[columns]}.")
