"""Fields of a card's entries: each shows its entry of a `CardDraft` and writes what the user changes into it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import qt

from .card_draft import CardDraft
from .normalisation_fields import CHOOSE, NormalisationFields
from .number_edit import NumberEdit
from .structure_table import StructureTable

AS_IT_IS, IN_MM = "as-it-is", "mm"
BACKGROUND = "network.parameters.background"


class Field:
    """One row of the form: `widget` with `focus` in it, and `problem`, what is wrong with it in words."""

    def __init__(self, draft: CardDraft, entry: str, title: str, on_change: Callable[[], None]) -> None:
        """A field of an entry of the card."""
        self.draft, self.entry, self.title, self._on_change = draft, entry, title, on_change
        self.widget: Any = None
        self._is_showing = False

    @property
    def focus(self) -> Any:
        """What takes the keys of the field."""
        return self.widget

    @property
    def problem(self) -> str:
        """What is wrong with what stands there, empty if nothing is."""
        return ""

    @property
    def is_asked(self) -> bool:
        """Whether the entry is unknown and was not given yet."""
        return any(one in self.draft.missing for one in self.draft.of(self.entry))

    @contextlib.contextmanager
    def showing(self) -> Iterator[None]:
        """While this lasts, changes are the program's, not the user's."""
        self._is_showing = True
        try:
            yield
        finally:
            self._is_showing = False


class TextField(Field):
    """A line of text."""

    def __init__(
        self, draft: CardDraft, entry: str, title: str, on_change: Callable[[], None], is_needed: bool = False
    ) -> None:
        """`is_needed` texts may not be empty."""
        Field.__init__(self, draft, entry, title, on_change)
        self._is_needed = is_needed
        self.widget = qt.QLineEdit()
        self.widget.setAccessibleName(title)
        self.widget.setText(str(draft.get(entry, "")))
        self.widget.textChanged.connect(self._on_text)

    @property
    def problem(self) -> str:
        """An empty text that is needed."""
        return f"give the {self.title.lower()}" if self._is_needed and not self.widget.text.strip() else ""

    def _on_text(self, text: str) -> None:
        self.draft.put(self.entry, text.strip(), bool(text.strip()))
        self._on_change()


class ChoiceField(Field):
    """A choice among values, each with its title; nothing is chosen while the entry is unknown."""

    def __init__(
        self,
        draft: CardDraft,
        entry: str,
        title: str,
        choices: Sequence[tuple[Any, str]],
        on_change: Callable[[], None],
    ) -> None:
        Field.__init__(self, draft, entry, title, on_change)
        self._choices = tuple(choices)
        self.widget = qt.QComboBox()
        self.widget.setAccessibleName(title)
        asks = bool(draft.of(entry))
        self._first = 1 if asks else 0
        if asks:
            self.widget.addItem(CHOOSE)
        for _, text in self._choices:
            self.widget.addItem(text)
        values = [value for value, _ in self._choices]
        value = draft.get(entry)
        self.widget.setCurrentIndex(values.index(value) + self._first if value in values and not self.is_asked else 0)
        self.widget.connect("currentIndexChanged(int)", self._on_choice)

    @property
    def problem(self) -> str:
        """Nothing is chosen."""
        return f"choose {self.title.lower()}" if self.widget.currentIndex < self._first else ""

    def choose(self, value: Any) -> None:
        """Choose a value as the user would."""
        self.widget.setCurrentIndex([one for one, _ in self._choices].index(value) + self._first)

    def _on_choice(self, index: int) -> None:
        is_given = index >= self._first
        self.draft.put(self.entry, self._choices[index - self._first][0] if is_given else None, is_given)
        self._on_change()


class PixelSizeField(Field):
    """In-plane pixel size: that of the scan, or two sizes in mm."""

    def __init__(self, draft: CardDraft, on_change: Callable[[], None]) -> None:
        Field.__init__(self, draft, "preprocessing.spacing_mm", "Pixel size", on_change)
        self.widget, line = qt.QWidget(), qt.QHBoxLayout()
        line.setContentsMargins(0, 0, 0, 0)
        self.widget.setLayout(line)
        self.kind = qt.QComboBox()
        self.kind.setAccessibleName(self.title)
        for text, kind in ((CHOOSE, ""), ("in mm", IN_MM), ("as the scan has it", AS_IT_IS)):
            self.kind.addItem(text, kind)
        self.rows = NumberEdit("Pixel size between rows in mm", self._changed)
        self.columns = NumberEdit("Pixel size between columns in mm", self._changed)
        self._mm = qt.QWidget()
        mm = qt.QHBoxLayout()
        mm.setContentsMargins(0, 0, 0, 0)
        self._mm.setLayout(mm)
        for part in (self.rows.widget, qt.QLabel("x"), self.columns.widget, qt.QLabel("mm (rows x columns)")):
            mm.addWidget(part)
        line.addWidget(self.kind)
        line.addWidget(self._mm)
        line.addStretch(1)
        self._show()
        self.kind.connect("currentIndexChanged(int)", lambda index: self._changed())

    @property
    def focus(self) -> Any:
        """The choice between the scan's own and a size in mm."""
        return self.kind

    @property
    def problem(self) -> str:
        """No choice, or a size that is none."""
        kind = self.kind.currentData
        if kind == IN_MM:
            sizes = (self.rows.number, self.columns.number)
            return "" if all(size is not None and size > 0 for size in sizes) else "give two positive pixel sizes in mm"
        return "" if kind == AS_IT_IS else "choose the pixel size"

    def _show(self) -> None:
        spacing = self.draft.get(self.entry)
        with self.showing():
            kind = IN_MM if spacing else "" if self.is_asked else AS_IT_IS
            self.kind.setCurrentIndex(self.kind.findData(kind))
            for edit, number in zip((self.rows, self.columns), spacing or (None, None), strict=True):
                edit.show(number)
        self._mm.setVisible(kind == IN_MM)

    def _changed(self) -> None:
        if self._is_showing:
            return
        kind = self.kind.currentData
        self._mm.setVisible(kind == IN_MM)
        sizes = [self.rows.number, self.columns.number]
        is_given = not self.problem
        self.draft.put(self.entry, sizes if kind == IN_MM and is_given else None, is_given)
        self._on_change()


class NormalisationField(Field):
    """Name and parameters of the normalisation."""

    def __init__(self, draft: CardDraft, on_change: Callable[[], None]) -> None:
        Field.__init__(self, draft, "preprocessing.normalisation", "Normalisation", on_change)
        self.parts = NormalisationFields(self._changed)
        self.parts.show(draft.get(self.entry))
        self.widget = self.parts.widget

    @property
    def focus(self) -> Any:
        """The list of names."""
        return self.parts.name

    @property
    def problem(self) -> str:
        """A parameter that is missing or no number."""
        return self.parts.problem

    def _changed(self) -> None:
        value = self.parts.value
        self.draft.put(self.entry, value, value is not None)
        self._on_change()


class StructuresField(Field):
    """The table of structures."""

    def __init__(self, draft: CardDraft, on_change: Callable[[], None]) -> None:
        Field.__init__(self, draft, "structures", "Structures", on_change)
        self.parts = StructureTable(self._changed)
        self.widget = self.parts.widget
        count = int(draft.get("network.classes", 1)) - 1
        given = draft.get(self.entry) or [{"index": index} for index in range(1, count + 1)]
        self._channels = len(given) + bool(draft.get(BACKGROUND))
        self.parts.show(given)
        if draft.get(self.entry):
            draft.card["structures"] = self.parts.structures

    def follow_background(self) -> None:
        """The first channel is background from now on, or a structure: it leaves the table, or comes into it."""
        structures = self.parts.structures
        is_background = self.draft.get(BACKGROUND)
        if is_background is None:
            return
        if len(structures) > self._channels - is_background:
            structures = structures[1:]
        elif len(structures) < self._channels - is_background:
            structures = [{"name": ""}, *structures]
        numbered = [{**one, "index": index, "values": [index]} for index, one in enumerate(structures, start=1)]
        self.parts.show(numbered)
        self.draft.card["network"]["classes"] = len(numbered) + 1
        self._write()

    @property
    def focus(self) -> Any:
        """The table."""
        return self.parts.table

    @property
    def problem(self) -> str:
        """Structures without a name, and two of one name."""
        nameless = self.parts.nameless
        if nameless:
            return f"name structure{'s' * (len(nameless) > 1)} {', '.join(map(str, nameless))}"
        names = [one["name"].lower() for one in self.parts.structures]
        double = next((name for name in names if names.count(name) > 1), "")
        return f"give the two structures “{double}” different names" if double else ""

    def _write(self) -> None:
        self.draft.put(self.entry, self.parts.structures, not self.problem)

    def _changed(self) -> None:
        self._write()
        self._on_change()
