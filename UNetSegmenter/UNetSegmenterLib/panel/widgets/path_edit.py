"""CTK's path edits, heard as a person uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def on_every_text(edit: Any, listener: Callable[[str], None]) -> None:
    """Call `listener` with every text that comes to stand in a ctkPathLineEdit, which gets no history button.

    The edit's own signal keeps silent about an empty text and about names that its filters do not take, and the panel
    would go on with the file that was chosen before.
    """
    edit.showHistoryButton = False  # makes the line anew
    line = next(child for child in edit.children() if child.inherits("QLineEdit"))
    line.textChanged.connect(listener)
