"""Score, comment and reviewer of one segmentation: read from its node when it is chosen, written as they are entered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from ...engine.evaluation.verdict import SCORES, Verdict, clean_text, make_verdict
from ...scene.nodes.node_attributes import made_with, set_verdict, verdict_of

REVIEWER_KEY = "UNetSegmenter/Reviewer"
TYPING_MS = 500
NO_NODE = "Choose a prediction in section Compare first: the segmentation that the verdict is on."


def known_reviewer() -> str:
    """Who reviewed here last, else the name in Slicer's own settings."""
    return qt.QSettings().value(REVIEWER_KEY) or slicer.app.applicationLogic().GetUserInformation().GetName() or ""


class VerdictEditor(VTKObservationMixin):
    """Follows one node at a time; `on_verdict(node, verdict)` is called after each change that the user made."""

    def __init__(self, ui: Any, on_verdict: Callable[[Any, Verdict], None]) -> None:
        VTKObservationMixin.__init__(self)
        self._ui, self._on_verdict = ui, on_verdict
        self._node: Any = None
        self._verdict = Verdict()
        self._filling = False
        for score, words in {"": "not reviewed", **SCORES}.items():
            ui.scoreComboBox.addItem(words[:1].upper() + words[1:], score)
        ui.reviewerLineEdit.setText(known_reviewer())
        self._typing = qt.QTimer()
        self._typing.setSingleShot(True)
        self._typing.setInterval(TYPING_MS)
        self._typing.timeout.connect(self._write)
        ui.scoreComboBox.connect("currentIndexChanged(int)", lambda index: self._on_edit(True))
        ui.commentText.connect("textChanged()", lambda: self._on_edit(False))
        ui.reviewerLineEdit.connect("textChanged(QString)", self._on_reviewer)
        self.set_node(None)

    @property
    def verdict(self) -> Verdict:
        """What was said of the node, the last key included."""
        self.flush()
        return self._verdict

    def set_node(self, node: Any) -> None:
        """The segmentation that the verdict is on from now on, None for none; what was typed about the last one is kept."""
        if node is not None and node is self._node:
            return
        self.flush()
        self.removeObservers()
        self._node = node
        if node is not None:
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._on_node)
        for widget in (self._ui.scoreComboBox, self._ui.commentText, self._ui.reviewerLineEdit):
            widget.setEnabled(node is not None)
        self._ui.scoreComboBox.setToolTip(NO_NODE if node is None else "Is it anatomy? Kept with the segmentation.")
        self._fill()

    def flush(self) -> None:
        """Keep what was typed a moment ago."""
        if self._typing.active:
            self._typing.stop()
            self._write()

    def _fill(self) -> None:
        self._verdict = verdict_of(self._node) if self._node is not None else Verdict()
        self._filling = True
        self._ui.scoreComboBox.setCurrentIndex(self._ui.scoreComboBox.findData(self._verdict.score))
        self._ui.commentText.setPlainText(self._verdict.comment)
        self._filling = False

    def _on_edit(self, at_once: bool) -> None:
        if self._filling or self._node is None:
            return
        self._typing.start()
        if at_once:
            self.flush()

    def _on_reviewer(self, text: str) -> None:
        qt.QSettings().setValue(REVIEWER_KEY, clean_text(text))

    def _write(self) -> None:
        ui, node = self._ui, self._node
        if node is None or not slicer.mrmlScene.IsNodePresent(node):
            return
        score = ui.scoreComboBox.itemData(ui.scoreComboBox.currentIndex)
        made = make_verdict(score, ui.commentText.plainText, ui.reviewerLineEdit.text, made_with(node))
        if (made.score, made.comment) == (self._verdict.score, self._verdict.comment):
            return
        self._verdict = made if made else Verdict()
        set_verdict(node, self._verdict)
        self._on_verdict(node, made)  # with the reviewer also where nothing is said any more

    def _on_node(self, caller: Any = None, event: Any = None) -> None:
        if not self._typing.active and verdict_of(self._node) != self._verdict:
            self._fill()  # the result was replaced, or a script set its verdict
