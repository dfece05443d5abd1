"""A frame onto which a file or a folder may be dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt


class DropFrame(qt.QFrame):
    """Calls `on_drop` with the path of what was dropped, also on the widgets in it that take no drops themselves."""

    def __init__(self, on_drop: Callable[[str], None]) -> None:
        qt.QFrame.__init__(self)
        self._on_drop = on_drop
        self.setAcceptDrops(True)

    def dragEnterEvent(self, event: Any) -> None:
        """Accept files and folders."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Take the first of what was dropped."""
        urls = event.mimeData().urls()
        if urls:
            event.acceptProposedAction()
            self._on_drop(urls[0].toLocalFile())


def take_drops(section: Any, on_drop: Callable[[str], None]) -> DropFrame:
    """Let a whole section of the panel take drops: a frame is put between it and its layout."""
    frame = DropFrame(on_drop)
    frame.setLayout(section.layout())  # takes the layout over, with all that is in it
    outer = qt.QVBoxLayout()
    outer.setContentsMargins(0, 0, 0, 0)
    outer.addWidget(frame)
    section.setLayout(outer)
    return frame
