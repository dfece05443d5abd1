"""The structures of a card as a table: index, colour, name, and the anatomical term that the name stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from ...engine.labels.structures import known_names, known_structure

INDEX, COLOR, NAME, TERM = range(4)
HEADERS = ("Index", "Colour", "Name", "Anatomical term")
BY_NAME, NO_TERM = "by its name", "no code known"
MOST_ROWS = 9  # that are shown without scrolling
ROW_PIXELS = 24  # more with larger letters


def ask_for_color(color: tuple[int, int, int], parent: Any) -> tuple[int, int, int] | None:
    """Another colour, None if the user changed their mind. Tests put their own answer in."""
    chosen = qt.QColorDialog.getColor(qt.QColor(*color), parent)
    return (chosen.red(), chosen.green(), chosen.blue()) if chosen.isValid() else None


class StructureTable:
    """`widget` is the table with the choice of a term below it; `structures` is the card's entry.

    Colour and term follow the name until the user chooses another one. An empty name is a name that is still to be given.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        """`on_change` is called with every change of the user's."""
        self._on_change, self._is_showing = on_change, False
        self.ask_for_color: Callable[[tuple[int, int, int], Any], tuple[int, int, int] | None] = ask_for_color
        self._structures: list[dict[str, Any]] = []
        self._terms: dict[int, str] = {}  # by row: the known name whose term was chosen
        self.widget = qt.QWidget()
        column = qt.QVBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        self.widget.setLayout(column)
        self.table = qt.QTableWidget()
        self.table.setAccessibleName("Structures")
        self.table.setColumnCount(len(HEADERS))
        self.table.setHorizontalHeaderLabels(list(HEADERS))
        self.table.verticalHeader().setVisible(False)
        self._row_pixels = max(ROW_PIXELS, qt.QFontMetrics(self.table.font).height() + 6)
        self.table.verticalHeader().setDefaultSectionSize(self._row_pixels)
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        self.table.setToolTip("A double-click edits a name, a click on a colour chooses another one.")
        self.table.connect("cellChanged(int,int)", self._on_cell)
        self.table.connect("cellClicked(int,int)", self._on_click)
        self.table.itemSelectionChanged.connect(self._show_term)
        column.addWidget(self.table)
        self._add_term_row(column)

    @property
    def structures(self) -> list[dict[str, Any]]:
        """The structures as a card has them."""
        return self._structures

    @property
    def nameless(self) -> list[int]:
        """Indices of the structures without a name."""
        return [one["index"] for one in self._structures if not one["name"].strip()]

    def show(self, structures: list[dict[str, Any]]) -> None:
        """Show a card's entry; names, colours and values may be None."""
        self._structures, self._terms = [_completed(one) for one in structures], {}
        self._is_showing = True
        try:
            self.table.setRowCount(len(structures))
            for row in range(len(structures)):
                self._show_row(row)
        finally:
            self._is_showing = False
        self.table.setColumnWidth(INDEX, 48)
        self.table.setColumnWidth(COLOR, 52)
        self.table.setColumnWidth(NAME, 170)
        shown = min(MOST_ROWS, len(structures))
        self.table.setFixedHeight((shown + 1) * self._row_pixels + 8)
        self._show_term()

    def choose_term(self, row: int, name: str) -> None:
        """Give a structure the term of a known name, or that of its own name again for an empty text."""
        if name:
            self._terms[row] = name
        else:
            self._terms.pop(row, None)
        self._follow_name(row)
        self._redraw(row)

    def _add_term_row(self, column: Any) -> None:
        self._term_frame, line = qt.QWidget(), qt.QHBoxLayout()
        line.setContentsMargins(0, 0, 0, 0)
        self._term_frame.setLayout(line)
        self._term_label = qt.QLabel()
        self.term = qt.QComboBox()
        self.term.setAccessibleName("Anatomical term of the chosen structure")
        self.term.addItem(BY_NAME, "")
        for name in sorted(known_names()):
            self.term.addItem(name, name)
        self.term.connect("activated(int)", self._on_term)
        line.addWidget(self._term_label)
        line.addWidget(self.term, 1)
        column.addWidget(self._term_frame)

    def _show_row(self, row: int) -> None:
        structure = self._structures[row]
        fixed = qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable
        index = qt.QTableWidgetItem(str(structure["index"]))
        index.setFlags(fixed)
        color = qt.QTableWidgetItem()
        color.setBackground(qt.QBrush(qt.QColor(*structure["color"])))
        color.setFlags(qt.Qt.ItemIsEnabled)
        color.setToolTip("Click to choose another colour.")
        term = qt.QTableWidgetItem(_term_text(structure))
        term.setFlags(fixed)
        for column, item in (
            (INDEX, index),
            (COLOR, color),
            (NAME, qt.QTableWidgetItem(structure["name"])),
            (TERM, term),
        ):
            self.table.setItem(row, column, item)

    def _on_cell(self, row: int, column: int) -> None:
        if self._is_showing or column != NAME:
            return
        self._structures[row]["name"] = self.table.item(row, NAME).text().strip()
        self._follow_name(row)
        self._redraw(row)

    def _follow_name(self, row: int) -> None:
        structure = self._structures[row]
        known = known_structure(
            self._terms.get(row) or structure["name"], structure["index"], structure["values"]
        ).to_json()
        if known["terminology"] is not None or structure["terminology"] is not None:
            structure["color"] = known["color"]
        structure["terminology"] = known["terminology"]

    def _redraw(self, row: int) -> None:
        self._is_showing = True
        try:
            self._show_row(row)
        finally:
            self._is_showing = False
        self._show_term()
        self._on_change()

    def _on_click(self, row: int, column: int) -> None:
        if column == COLOR:
            color = self.ask_for_color(tuple(self._structures[row]["color"]), self.table)
            if color is not None:
                self._structures[row]["color"] = list(color)
                self._redraw(row)

    def _on_term(self, number: int) -> None:
        row = self.table.currentRow()
        if 0 <= row < len(self._structures):
            self.choose_term(row, self.term.itemData(number) or "")

    def _show_term(self) -> None:
        row = self.table.currentRow()
        is_chosen = 0 <= row < len(self._structures)
        self._term_frame.setVisible(is_chosen)
        if is_chosen:
            structure = self._structures[row]
            self._term_label.setText(f"Term of {structure['name'] or 'structure ' + str(structure['index'])}:")
            self.term.setCurrentIndex(max(0, self.term.findData(self._terms.get(row, ""))))


def _completed(structure: dict[str, Any]) -> dict[str, Any]:
    """A structure with all entries that a card has; what is not known follows from the name."""
    index, name = structure["index"], structure.get("name") or ""
    values = structure.get("values") or [index]
    known = known_structure(name, index, values).to_json()
    given = {key: value for key, value in structure.items() if value is not None}
    return known | given | {"name": name, "values": list(values)}


def _term_text(structure: dict[str, Any]) -> str:
    term = structure["terminology"]
    if term is None:
        return NO_TERM
    side = f"{term['modifier']['meaning']} " if term.get("modifier") else ""
    return f"{side}{term['type']['meaning']} ({term['type']['scheme']} {term['type']['value']})"
