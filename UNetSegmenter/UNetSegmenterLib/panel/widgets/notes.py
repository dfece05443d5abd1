"""Lines with an icon: what the checks, refusals and results have to say, beside the controls that they are about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import qt
import slicer

from ...engine.io.volume import Note
from .plain_tip import plain_tip
from .widths import breakable, keep_narrow

ICON_PIXELS = 16
ICONS = {
    "error": "SP_MessageBoxCritical",
    "warning": "SP_MessageBoxWarning",
    "info": "SP_MessageBoxInformation",
    "pass": "SP_DialogApplyButton",
}


class NoteList:
    """Shows notes in a frame of the panel, which is hidden while there are none."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self._grid = qt.QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(1, 1)
        frame.setLayout(self._grid)
        self._rows: list[tuple[Any, Any]] = []
        self.notes: tuple[Note, ...] = ()
        self.show([])

    def show(self, notes: Iterable[Note]) -> None:
        """Replace what is shown."""
        self.notes = tuple(notes)
        while len(self._rows) < len(self.notes):
            self._add_row()
        for row, (icon, text) in enumerate(self._rows):
            used = row < len(self.notes)
            icon.setVisible(used)
            text.setVisible(used)
            if used:
                note = self.notes[row]
                standard = getattr(qt.QStyle, ICONS[note.severity])
                icon.setPixmap(slicer.app.style().standardIcon(standard).pixmap(ICON_PIXELS, ICON_PIXELS))
                icon.setToolTip(note.severity)
                sentence = note.text[:1].upper() + note.text[1:]
                shown = breakable(sentence)
                text.setText(shown)
                # What is copied must not hold the invisible spaces of a text that had to be broken.
                selectable = qt.Qt.TextSelectableByMouse if shown == sentence else qt.Qt.NoTextInteraction
                text.setTextInteractionFlags(selectable)
                text.setToolTip(plain_tip(note.details or ("" if shown == sentence else sentence)))
                text.setAccessibleName(f"{note.severity}: {sentence}")
        self._frame.setVisible(bool(self.notes))

    def _add_row(self) -> None:
        icon, text = qt.QLabel(), qt.QLabel()
        text.setWordWrap(True)
        text.setTextFormat(qt.Qt.PlainText)
        keep_narrow(text)
        row = len(self._rows)
        self._grid.addWidget(icon, row, 0, qt.Qt.AlignTop)
        self._grid.addWidget(text, row, 1)
        self._rows.append((icon, text))
