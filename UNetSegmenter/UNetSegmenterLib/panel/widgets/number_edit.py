"""A line for a number, which may still be empty: a spin box could not show that nothing was given yet."""

from __future__ import annotations

import math
from collections.abc import Callable

import qt

WIDTH_PIXELS, LETTERS = 80, 11  # the first, or more where so many letters need it
WRONG = "QLineEdit { border: 1px solid #d9534f; }"


class NumberEdit:
    """`widget` is the line edit, `number` what stands in it, None where that is no finite number."""

    def __init__(self, name: str, on_change: Callable[[], None], tip: str = "") -> None:
        """`name` is for screen readers; `on_change` is called with every text."""
        self._on_change = on_change
        self._shown: tuple[str, float | None] = ("", None)  # a number may have more digits than are shown
        self.widget = qt.QLineEdit()
        self.widget.setAccessibleName(name)
        self.widget.setToolTip(tip or name)
        self.widget.setMinimumWidth(WIDTH_PIXELS // 2)
        letter_pixels = qt.QFontMetrics(self.widget.font).averageCharWidth()
        self.widget.setMaximumWidth(max(WIDTH_PIXELS, LETTERS * letter_pixels))
        self.widget.textChanged.connect(self._on_text)

    @property
    def number(self) -> float | None:
        """The number that stands there."""
        text, exact = self._shown
        if exact is not None and self.widget.text == text:
            return exact
        try:
            number = float(self.widget.text.strip().replace(",", "."))
        except ValueError:
            return None
        return number if math.isfinite(number) else None

    def show(self, number: float | None) -> None:
        """Write a number with at most six digits, or nothing for None; it stays exact until the text is changed."""
        text = "" if number is None else f"{number:.6g}"
        self._shown = text, number
        self.widget.setText(text)

    def _on_text(self, text: str) -> None:
        self.widget.setStyleSheet("" if not text.strip() or self.number is not None else WRONG)
        self._on_change()
