"""The table of all structures and all measures, as a Qt model under a view that sorts numbers as numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import qt

from ...engine.counting import counted
from ...engine.evaluation.comparison import StructureComparison
from ...engine.evaluation.measure_definitions import BY_KEY, DEFINITIONS, goodness
from ...engine.evaluation.statistics import aggregate
from ...engine.labels.matching import BY_HAND, BY_VALUE
from .plain_tip import plain_tip

SORT_ROLE = qt.Qt.UserRole
NOT_MEASURED = -1e300  # sorts below every number
MOST_ROWS = 12  # more scroll
RIGHT = 0x82  # Qt::AlignRight | Qt::AlignVCenter
MEANS = ("dice", "iou", "nsd", "hd95_mm", "assd_mm")
FIRST = ("dice", "nsd", "hd95_mm", "assd_mm")  # seen without scrolling
COLUMNS = (
    *(BY_KEY[key] for key in FIRST),
    *(definition for definition in DEFINITIONS if definition.key not in FIRST),
)
STATUS = {
    "missed": "missed: the prediction has not a voxel of it",
    "spurious": "spurious: the ground truth has not a voxel of it",
    "absent": "absent on both sides",
    "unmatched": "on one side only",
}


class MetricsTable:
    """Shows rows in a tree view; `on_row` is called with the row that the user went to."""

    def __init__(self, view: Any, on_row: Callable[[StructureComparison], None]) -> None:
        self._view, self._on_row = view, on_row
        self.rows: tuple[StructureComparison, ...] = ()
        self._model = qt.QStandardItemModel(0, 1 + len(COLUMNS))
        self._proxy = qt.QSortFilterProxyModel()
        self._proxy.setSourceModel(self._model)
        self._proxy.setSortRole(SORT_ROLE)
        self._proxy.setSortCaseSensitivity(qt.Qt.CaseInsensitive)
        view.setModel(self._proxy)
        view.setRootIsDecorated(False)
        view.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        view.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        view.setUniformRowHeights(True)
        self._name_columns()
        view.clicked.connect(self._on_index)
        view.activated.connect(self._on_index)

    def show(self, rows: Sequence[StructureComparison]) -> None:
        """Replace what is shown, in the given order."""
        self.rows = tuple(rows)
        self._view.setSortingEnabled(False)
        self._model.setRowCount(0)
        self._model.setRowCount(len(self.rows))
        for number, row in enumerate(self.rows):
            self._fill(number, row)
        self.recolor([row.color for row in self.rows])
        self._view.header().setSortIndicator(-1, qt.Qt.AscendingOrder)  # the order of the ground truth
        self._proxy.sort(-1)
        self._view.setSortingEnabled(True)
        for column in range(1 + len(COLUMNS)):
            self._view.resizeColumnToContents(column)
        line = max(17, self._view.sizeHintForRow(0))
        self._view.setFixedHeight(round((min(len(self.rows), MOST_ROWS) + 1.5) * line) + 16)

    def recolor(self, colors: Sequence[tuple[int, int, int]]) -> None:
        """Show these colours beside the structures, one for each row in the given order."""
        for number, color in enumerate(colors):
            self._model.setData(self._model.index(number, 0), qt.QColor(*color), qt.Qt.DecorationRole)

    def _name_columns(self) -> None:
        self._head(0, "Structure", "A click on a row centres all views on the structure's largest error.")
        for column, definition in enumerate(COLUMNS, start=1):
            unit = definition.unit if definition.unit in ("mm", "ml") else ""
            title = f"{definition.title} ({unit})" if unit else definition.title
            self._head(
                column, title, f"<b>{escape(definition.title)}</b> {definition.unit}<br>{escape(definition.text)}"
            )

    def _head(self, column: int, title: str, tip: str) -> None:
        self._model.setHeaderData(column, qt.Qt.Horizontal, title, qt.Qt.DisplayRole)
        self._model.setHeaderData(column, qt.Qt.Horizontal, tip, qt.Qt.ToolTipRole)

    def _fill(self, number: int, row: StructureComparison) -> None:
        guessed = {BY_HAND: "matched by hand", BY_VALUE: "matched by label value"}.get(row.matched)
        remarks = [row.status] * (row.status != "ok") + ([guessed] if guessed is not None else [])
        name = f"{row.structure} ({', '.join(remarks)})" if remarks else row.structure
        rests_on = f"matched by {row.matched.removeprefix('by ')}" if row.matched and not row.note else ""
        words = ". ".join(filter(None, [STATUS.get(row.status, ""), row.note, rests_on]))
        self._put(number, 0, name, row.structure.lower(), words[:1].upper() + words[1:])
        for column, definition in enumerate(COLUMNS, start=1):
            if row.measures is None:
                self._put(number, column, "–", NOT_MEASURED, words)
                continue
            value = float(getattr(row.measures, definition.key))
            text = definition.shown(value)
            if definition.key == "components":
                text = f"{row.measures.components} / {row.measures.reference_components}"
            tip = (
                f"{definition.title} of {row.structure}: {text} {definition.unit if '0' not in definition.unit else ''}"
            )
            if definition.key == "nsd":
                tip += f"at {row.tolerance_mm:g} mm tolerance"
            self._put(number, column, text, NOT_MEASURED if math.isnan(value) else value, tip.strip())
            self._color(number, column, goodness(row.measures, definition.key))

    def _put(self, number: int, column: int, text: str, sort: float | str, tip: str) -> None:
        index = self._model.index(number, column)
        self._model.setData(index, text, qt.Qt.DisplayRole)
        self._model.setData(index, sort, SORT_ROLE)
        self._model.setData(index, plain_tip(tip), qt.Qt.ToolTipRole)
        if column:
            self._model.setData(index, RIGHT, qt.Qt.TextAlignmentRole)

    def _color(self, number: int, column: int, fraction: float | None) -> None:
        if fraction is None:
            return
        index = self._model.index(number, column)
        # red over yellow to green, pale enough for black text
        background = qt.QColor.fromHsvF(fraction * 0.33, 0.45, 0.95)
        self._model.setData(index, qt.QBrush(background), qt.Qt.BackgroundRole)
        self._model.setData(index, qt.QBrush(qt.QColor(0, 0, 0)), qt.Qt.ForegroundRole)

    def _on_index(self, index: Any) -> None:
        if index.isValid():
            self._on_row(self.rows[self._proxy.mapToSource(index).row()])


def mean_text(rows: Sequence[StructureComparison]) -> str:
    """The line below the table: means over the structures that were measured, and how many that are; rich text."""
    measured = [row.measures for row in rows if row.measures is not None]
    if not measured:
        return ""
    parts = []
    for key in MEANS:
        definition, of_all = BY_KEY[key], aggregate(float(getattr(one, key)) for one in measured)
        if not of_all.n:
            continue
        unit = f" {definition.unit}" if definition.unit == "mm" else ""
        left_out = f" ({of_all.n} of {len(measured)})" if of_all.n < len(measured) else ""
        parts.append(f"{definition.title} <b>{definition.shown(of_all.mean)}</b>{unit}{left_out}")
    missed = sum(row.status == "missed" for row in rows)
    of_how_many = f"Mean of {counted(len(measured), 'structure')}"
    of_how_many += f", {missed} of them missed" if missed else ""
    return f"{of_how_many}: {' · '.join(parts)}"
