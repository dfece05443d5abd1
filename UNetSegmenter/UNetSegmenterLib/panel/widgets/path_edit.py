"""CTK's path edits: every text that comes to stand in one, and the plain path that it means."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import qt


def on_every_text(edit: Any, listener: Callable[[str], None], text: str = "") -> None:
    """Call `listener` with every text that comes after `text` to stand in a ctkPathLineEdit, which gets no history button.

    The edit's own signal keeps silent about an empty text and about names that its filters do not take, and the panel
    would go on with the file that was chosen before. A new edit has no name yet, and takes its first text from the history
    of all edits without a name, of whatever module of Slicer: so it is written over.
    """
    edit.showHistoryButton = False  # makes the line anew
    edit.setCurrentPath(text)
    line = next(child for child in edit.children() if child.inherits("QLineEdit"))
    line.textChanged.connect(listener)


def as_path(text: str) -> str:
    """What the user typed, pasted or dropped, as a plain path."""
    text = text.strip().strip('"')
    path = qt.QUrl(text).toLocalFile() if text.startswith("file:") else text
    return os.path.abspath(path) if path else ""  # the worker has another working directory
