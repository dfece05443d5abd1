"""Keeps the panel narrow: nothing that a widget shows may say how wide the panel is.

Slicer's module panel grows to the width that its contents ask for and takes it from the views. In the widgets that it uses
not only the smallest width counts: a collapsible section takes its wanted width for the smallest, a list of nodes wants its
longest name and a path edit its whole path.
"""

from __future__ import annotations

import re
from typing import Any

import qt

NARROW = (
    "QComboBox",
    "QLineEdit",
    "QProgressBar",
    "QAbstractScrollArea",
    "qMRMLNodeComboBox",
    "ctkPathLineEdit",
)
LEAST_PIXELS = 60
LONGEST_WORD = 36  # letters that fit into the narrowest panel
ZERO_WIDTH_SPACE = "\u200b"


def keep_narrow(widget: Any, least: int = LEAST_PIXELS) -> None:
    """Give a widget whatever width there is, whatever it wants; a text that wraps stays as tall as it must be."""
    policy = widget.sizePolicy
    kept = qt.QSizePolicy(qt.QSizePolicy.Ignored, policy.verticalPolicy())
    kept.setHeightForWidth(policy.hasHeightForWidth())
    widget.setSizePolicy(kept)
    widget.setMinimumWidth(least)


def keep_all_narrow(ui: Any) -> None:
    """Do so for all widgets of the panel whose text comes from outside: names, paths, tables, findings, notes."""
    for widget in vars(ui).values():
        wraps = widget.inherits("QLabel") and widget.wordWrap
        if wraps or any(widget.inherits(name) for name in NARROW):
            keep_narrow(widget)


def breakable(text: str) -> str:
    """The text with invisible spaces in words that are longer than the panel is wide; most texts come back as they are."""
    return " ".join(_broken(word) for word in text.split(" "))


def _broken(word: str) -> str:
    """Qt breaks a line after a slash or a hyphen by itself; what is longer than the panel between two of them is cut up."""
    runs = re.split(r"(?<=[/\\-])", word)
    pieces = ([run[start : start + LONGEST_WORD] for start in range(0, len(run), LONGEST_WORD)] for run in runs)
    return "".join(ZERO_WIDTH_SPACE.join(one) for one in pieces)
