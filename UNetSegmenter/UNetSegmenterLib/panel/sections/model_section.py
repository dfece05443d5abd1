"""Section Model: choose a checkpoint, read at once by the worker, shown in words and colours or refused with the reason."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctk
import qt

from ...engine.io.volume import Note
from ...engine.model.card import Card
from ...engine.model.checkpoint import shipped_checkpoints
from ..jobs.failure import JobFailure, failure_note
from ..jobs.worker_process import WorkerProcess
from ..jobs.worker_request import answer_steps
from ..widgets.card_frame import EMPTY, CardFrame
from ..widgets.path_edit import as_path, on_every_text
from ..widgets.plain_tip import plain_tip
from .section import Section

RECENT_KEY = "UNetSegmenter/RecentCheckpoints"
RECENT_COUNT = 8
TYPING_MS = 300
READING = "Reading the checkpoint..."
IMPORT_HINT = "An nnU-Net folder or zip, and an .onnx without a card, are taken over with Import... first."


def recent_checkpoints() -> list[str]:
    """Paths of the checkpoints that were used last, the newest first."""
    try:
        paths = json.loads(qt.QSettings().value(RECENT_KEY) or "[]")
    except (TypeError, ValueError):
        return []
    return [path for path in paths if isinstance(path, str)][:RECENT_COUNT]


def model_at_hand() -> str:
    """The checkpoint to begin with: the one that was used last, else the only one that ships; empty if there are more."""
    shipped = shipped_checkpoints()
    if recent := recent_checkpoints()[:1]:
        return recent[0] if os.path.exists(recent[0]) or len(shipped) != 1 else str(shipped[0])
    return str(shipped[0]) if len(shipped) == 1 else ""


def _stand_in_note(path: str) -> list[Note]:
    """A note if the shipped checkpoint stands in for the one that was used last, because that file is gone."""
    recent = recent_checkpoints()[:1]
    if path not in recent and recent and not os.path.exists(recent[0]) and path == model_at_hand():
        return [Note("info", f"{recent[0]}, which was used last, is not there any more; the shipped model is chosen.")]
    return []


def remember_checkpoint(path: str) -> None:
    """Put a checkpoint at the top of the recent ones."""
    paths = [path, *(other for other in recent_checkpoints() if other != path)][:RECENT_COUNT]
    qt.QSettings().setValue(RECENT_KEY, json.dumps(paths))


def _may_be_imported(path: str) -> bool:
    return os.path.isdir(path) or path.lower().endswith((".zip", ".onnx"))


class ModelSection(Section):
    """What is chosen: `path`; what is known of it: `card`, `sha256`, `folds`, `devices`, or why there is none: `refusal`.

    `on_drop` gets what is dropped on the card; without it the file is chosen.
    """

    def __init__(
        self,
        ui: Any,
        worker: WorkerProcess,
        on_path: Callable[[str], None],
        on_change: Callable[[], None],
        on_drop: Callable[[str], None] | None = None,
    ) -> None:
        Section.__init__(self, ui.checkpointNotesFrame)
        self._ui, self._worker, self._on_path, self._on_change = ui, worker, on_path, on_change
        self.path = ""
        self.card: Card | None = None
        self.sha256 = ""
        self.devices: list[dict[str, str]] = []
        self.refusal = ""
        self.has_failed = False  # whether that is no fault of the file
        self.folds = 1
        self.can_read = True
        self.card_frame = CardFrame(on_drop or self.choose)
        ui.cardPlaceFrame.layout().addWidget(self.card_frame)
        self._set_up_path_edit()
        self._typing = qt.QTimer()
        self._typing.setSingleShot(True)
        self._typing.setInterval(TYPING_MS)
        self._typing.timeout.connect(self.read)
        self._list_known()
        ui.knownCheckpointsComboBox.connect("activated(int)", self._on_known)

    @property
    def is_pending(self) -> bool:
        """Whether the chosen checkpoint is still to be read: a card or a refusal will follow."""
        return self.can_read and bool(self.path) and self.card is None and not self.refusal

    @property
    def card_label(self) -> Any:
        """The label that holds the whole card, or what stands instead of it."""
        return self.card_frame.label

    def choose(self, path: str) -> None:
        """Choose a checkpoint as if it had been browsed to."""
        self._ui.checkpointPathLineEdit.setCurrentPath(path)

    def read(self) -> None:
        """Have the chosen file read; the answer arrives later."""
        self._typing.stop()
        self.stop()
        self._forget_card()
        if self.path and self.can_read:
            self.card_frame.say(READING)
            self._start(
                answer_steps(self._worker, "describe", checkpoint=self.path), self._on_card, "Reading the checkpoint"
            )
        self._on_change()

    def close(self) -> None:
        """Stop reading."""
        self._typing.stop()
        self.stop()

    def _set_up_path_edit(self) -> None:
        edit = self._ui.checkpointPathLineEdit
        edit.filters = ctk.ctkPathLineEdit.Files
        edit.nameFilters = ["Checkpoints (*.pt *.onnx)", "All files (*)"]
        on_every_text(edit, self._on_edited)

    def _list_known(self) -> None:
        box = self._ui.knownCheckpointsComboBox
        box.clear()
        box.addItem("Choose...", "")
        shipped = [str(path) for path in shipped_checkpoints()]
        for text in shipped:
            box.addItem(f"{Path(text).stem} (shipped)", text)
        for text in recent_checkpoints():
            if text not in shipped:
                box.addItem(Path(text).name, text)
                box.setItemData(box.count - 1, plain_tip(text), qt.Qt.ToolTipRole)
        box.setEnabled(box.count > 1)
        self._show_known()

    def _show_known(self) -> None:
        """Let the list say which of its checkpoints is chosen, or that none of them is."""
        box = self._ui.knownCheckpointsComboBox
        box.setCurrentIndex(max(0, box.findData(self.path)) if self.path else 0)

    def _on_known(self, index: int) -> None:
        path = self._ui.knownCheckpointsComboBox.itemData(index)
        if path:
            self.choose(path)

    def _on_edited(self, text: str) -> None:
        path = as_path(text)
        if path == self.path:
            return
        self.path = path
        self._show_known()
        self._forget_card()
        if self.is_pending:
            self.card_frame.say(READING)
        self._on_path(path)
        self._on_change()
        self._typing.start()

    def _forget_card(self) -> None:
        self.card, self.sha256, self.refusal, self.folds, self.has_failed = None, "", "", 1, False
        self._notes.show([])
        self.card_frame.say(EMPTY)

    def _on_card(self, answer: dict[str, Any]) -> None:
        self.card = Card.from_json(json.dumps(answer["card"]))
        self.sha256, self.devices, self.folds = answer["sha256"], answer["devices"], answer.get("folds", 1)
        self.card_frame.show_card(self.card, self.sha256, answer["size_bytes"], self.folds)
        self._notes.show(_stand_in_note(self.path))
        remember_checkpoint(self.path)
        self._list_known()
        self._on_change()

    def _on_failure(self, failure: JobFailure) -> None:
        if failure.kind == "closed":
            self._typing.start()  # nothing is wrong with the file: it is read again when the dust has settled
            return
        self.card, self.refusal, self.has_failed = None, failure.message, failure.kind in ("internal", "crash")
        self.card_frame.say(EMPTY)
        hint = [Note("info", IMPORT_HINT)] if failure.kind == "input" and _may_be_imported(self.path) else []
        self._notes.show([failure_note(failure), *hint])
        self._on_change()
