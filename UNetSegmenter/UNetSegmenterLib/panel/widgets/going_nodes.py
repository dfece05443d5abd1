"""Nodes that a section was about until this turn of the event loop, whatever has cleared the section since."""

from __future__ import annotations

from typing import Any

import qt

from ...engine.io.volume import Note
from .notes import NoteList


class GoingNodes:
    """Forgets its nodes when the event loop turns.

    The removal of a node is heard of in an order that nobody promises: a selector goes on to a neighbour or to none, the
    node's own observers fire, the panel hears that the node is going. All of it happens in one call of Slicer's, and
    whoever hears of it last can still ask here what the section was about before.
    """

    def __init__(self) -> None:
        self._nodes: list[Any] = []

    def __contains__(self, node: Any) -> bool:
        return any(one is node for one in self._nodes)

    def add(self, *nodes: Any) -> None:
        """Remember nodes until the event loop turns; None is left out."""
        self._nodes += [node for node in nodes if node is not None]
        qt.QTimer.singleShot(0, self._nodes.clear)

    def say(self, notes: NoteList, text: str) -> None:
        """Show a warning now, and after this turn of the event loop again where a later signal has cleared it."""
        warning = [Note("warning", text)]
        notes.show(warning)
        qt.QTimer.singleShot(0, lambda: None if notes.notes else notes.show(warning))
