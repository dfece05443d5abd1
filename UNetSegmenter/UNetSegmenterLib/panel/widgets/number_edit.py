"""A line for a number, which may still be empty: a spin box could not show that nothing was given yet."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import qt

WIDTH_PIXELS = 80
WRONG = "QLineEdit { border: 1px solid #d9534f; }"


class NumberEdit:
    """`widget` is the line edit, `number` what stands in it, None where that is no finite number."""

    def __init__(self, name: str, on_change: Callable[[], None], tip: str = "") -> None:
        """`name` is for screen readers; `on_change` is called with every text."""
        self._on_change = on_change
        self.widget = qt.QLineEdit()
        self.widget.setAccessibleName(name)
        self.widget.setToolTip(tip or name)
        self.widget.setMinimumWidth(WIDTH_PIXELS // 2)
        self.widget.setMaximumWidth(WIDTH_PIXELS)
        self.widget.textChanged.connect(self._on_text)

    @property
    def number(self) -> float | None:
        """The number that stands there."""
        try:
            number = float(self.widget.text.strip().replace(",", "."))
        except ValueError:
            return None
        return number if math.isfinite(number) else None

    def show(self, number: Any) -> None:
        """Write a number, or nothing for None."""
        self.widget.setText("" if number is None else f"{number:g}" if float(f"{number:g}") == number else repr(number))

    def _on_text(self, text: str) -> None:
        self.widget.setStyleSheet("" if not text.strip() or self.number is not None else WRONG)
        self._on_change()
