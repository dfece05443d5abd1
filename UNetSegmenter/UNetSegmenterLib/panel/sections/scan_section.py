"""Section Scan: the volume, and what the input checks say about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
import vtk

from ...engine.io.volume import Note
from ...engine.model.card import Card
from ...scene.nodes.scan_checks import scan_notes, volume_error
from ...scene.nodes.volume_nodes import volume_from_node
from ..jobs.failure import failure_note, failure_of
from .section import Section

SETTLE_MS = 50


class ScanSection(Section):
    """Checks the chosen volume when it is chosen, when it changes and when the model changes."""

    def __init__(self, ui: Any, on_change: Callable[[], None]) -> None:
        Section.__init__(self, ui.scanNotesFrame)
        self._on_change = on_change
        self._card: Card | None = None
        self._settle = qt.QTimer()
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self.check)
        self._node: Any = None

    @property
    def node(self) -> Any:
        """The volume node that is chosen."""
        return self._node

    @property
    def error(self) -> str:
        """The first reason why this scan cannot be segmented, or an empty text."""
        return next((note.text for note in self._notes.notes if note.severity == "error"), "")

    def set_card(self, card: Card | None) -> None:
        """The card of the chosen model, which the scan is checked against."""
        if card is not self._card:
            self._card = card
            self._settle.start()

    def set_node(self, node: Any) -> None:
        """The volume that the parameter node names; checked at once if it is another one."""
        if node is self._node:
            return
        self.removeObservers()
        self._node = node
        if node is not None:
            for event in (
                slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent,
                slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
            ):
                self.addObserver(node, event, self._on_modified)
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._on_modified)
        self.check()

    def check(self) -> None:
        """Run the checks and show their lines."""
        self._settle.stop()
        try:
            notes = self._check()
        except Exception as error:
            notes = [failure_note(failure_of(error, "Checking the scan"))]
        self._notes.show(notes)
        self._on_change()

    def close(self) -> None:
        """Let go of the scan."""
        self._settle.stop()
        self.removeObservers()
        self._node = None

    def _check(self) -> list[Note]:
        if self._node is None:
            return []
        problem = volume_error(self._node)
        return [problem] if problem else scan_notes(self._node, volume_from_node(self._node), self._card)

    def _on_modified(self, caller: Any = None, event: Any = None) -> None:
        self._settle.start()
