"""One structure at a time: a combo box, two buttons and two keys that step through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt
import slicer

ALL = "All structures"
PREVIOUS_KEY, NEXT_KEY = "Q", "W"  # those of Slicer's Segment Editor
SWATCH_PIXELS = 12
NOT_SHOWN = 'Press "Show side by side" first.'


class StructureChoice:
    """Which structure stands out; `on_choice` is called with its name, empty for all of them."""

    def __init__(self, ui: Any, on_choice: Callable[[str], None]) -> None:
        self._ui, self._on_choice = ui, on_choice
        self._shortcuts: list[Any] = []
        ui.structureComboBox.connect("activated(int)", lambda index: self._on_choice(self.name))
        ui.previousStructureButton.connect("clicked(bool)", lambda checked: self.step(-1))
        ui.nextStructureButton.connect("clicked(bool)", lambda checked: self.step(1))
        self.stop()

    @property
    def name(self) -> str:
        """The structure that is chosen; empty if all are."""
        box = self._ui.structureComboBox
        return box.currentText if box.currentIndex > 0 else ""

    def start(self, names: Sequence[str]) -> None:
        """Offer these structures, all of them chosen, and listen to the keys."""
        self.offer(names)
        window = slicer.util.mainWindow()
        for key, by in ((PREVIOUS_KEY, -1), (NEXT_KEY, 1)) if window is not None else ():
            shortcut = qt.QShortcut(qt.QKeySequence(key), window)
            shortcut.connect("activated()", lambda by=by: self.step(by))
            self._shortcuts.append(shortcut)
        self._enable(
            "The structure that stands out; the others are faint.",
            f"The structure before (key {PREVIOUS_KEY}).",
            f"The next structure (key {NEXT_KEY}).",
        )

    def offer(self, names: Sequence[str]) -> None:
        """Offer these structures; the one that is chosen stays so if it is among them."""
        chosen = self.name
        self._fill([ALL, *names])
        self.show(chosen)

    def paint(self, colors: Sequence[tuple[float, float, float]]) -> None:
        """Show these colours (RGB, 0 to 1) beside the structures, in the order in which they are offered."""
        for number, color in enumerate(colors, start=1):
            swatch = qt.QPixmap(SWATCH_PIXELS, SWATCH_PIXELS)
            swatch.fill(qt.QColor(*(round(255 * channel) for channel in color)))
            self._ui.structureComboBox.setItemIcon(number, qt.QIcon(swatch))

    def stop(self) -> None:
        """Offer nothing and leave the keys alone."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts = []
        self._fill([ALL])
        self._enable(NOT_SHOWN, NOT_SHOWN, NOT_SHOWN)

    def show(self, name: str) -> None:
        """Show which structure was chosen elsewhere; one that is not offered shows all."""
        box = self._ui.structureComboBox
        box.setCurrentIndex(max(0, box.findText(name)) if name else 0)

    def step(self, by: int) -> None:
        """Go this many entries on, from the last to the first again; the entry for all structures is one of them."""
        box = self._ui.structureComboBox
        box.setCurrentIndex((box.currentIndex + by) % box.count)
        self._on_choice(self.name)

    def _fill(self, texts: Sequence[str]) -> None:
        box = self._ui.structureComboBox
        box.clear()
        box.addItems(list(texts))

    def _enable(self, *tips: str) -> None:
        ui = self._ui
        widgets = (ui.structureComboBox, ui.previousStructureButton, ui.nextStructureButton)
        for widget, tip in zip(widgets, tips, strict=True):
            widget.setEnabled(ui.structureComboBox.count > 1)
            widget.setToolTip(tip)
