"""Import in section Model: a foreign model is described by the worker, confirmed by the user, and becomes a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import qt
import slicer

from ...engine.io.volume import Note
from ..jobs.failure import JobFailedError, JobFailure, failure_note, safe_slot
from ..jobs.import_preview import ImportPreview
from ..jobs.step_driver import Work
from ..jobs.worker_process import WorkerProcess
from ..jobs.worker_request import answer_steps
from ..remembered import model_folder, remember_model_folder
from ..widgets.import_dialog import DialogActions, ImportDialog, ModelDraft
from .section import Section

SOURCE_KEY = "UNetSegmenter/LastImport"
FILES = "Models (*.zip *.onnx)"
FOLDER_TITLE, FILE_TITLE = "Folder of a trained nnU-Net", "nnU-Net zip or ONNX file"
READING = "Reading the model..."


def ask_for_model(is_folder: bool, start: str) -> str:
    """The model to import; empty if the user changed their mind. Tests put their own answer in."""
    window = slicer.util.mainWindow()
    if is_folder:
        return qt.QFileDialog.getExistingDirectory(window, FOLDER_TITLE, start)
    found = qt.QFileDialog.getOpenFileName(window, FILE_TITLE, start, FILES)
    return found if isinstance(found, str) else found[0]


def is_importable(path: str) -> bool:
    """Whether a path is something that is imported rather than opened: a folder or a zip archive."""
    return os.path.isdir(path) or path.lower().endswith(".zip")


class ImportSection(Section):
    """One import at a time. `on_imported` is called with the file, `scan()` gives the volume node for previews, None for none."""

    def __init__(
        self,
        ui: Any,
        worker: WorkerProcess,
        scan: Callable[[], Any],
        on_imported: Callable[[str], None],
        can_import: Callable[[str], str],
    ) -> None:
        """`can_import(path)` says why a model cannot be imported now, in one sentence; empty if it can."""
        Section.__init__(self, ui.importNotesFrame)
        self._ui, self._worker, self._scan, self._on_imported = ui, worker, scan, on_imported
        self._can_import = can_import
        self.ask_for_model: Callable[[bool, str], str] = ask_for_model
        self.dialog: ImportDialog | None = None
        self._preview: ImportPreview | None = None
        self._imported = ""
        self._menu = qt.QMenu(ui.importButton)
        self.folder_action = self._add("Folder of a trained nnU-Net...", True)
        self.file_action = self._add("nnU-Net zip or ONNX file...", False)
        ui.importButton.setMenu(self._menu)
        ui.importProgressBar.setRange(0, 0)
        self._show()

    def open(self, path: str) -> None:
        """Describe a model and open the dialog; what goes wrong is said below the button."""
        reason = self._can_import(path)
        if reason:
            self._notes.show([Note("error", reason)])
            return
        self.close_dialog()
        self._notes.show([Note("info", READING)])
        qt.QSettings().setValue(SOURCE_KEY, os.path.dirname(path.rstrip("/\\")))
        steps = answer_steps(self._worker, "describe_import", path=path)
        self._start(steps, lambda answer: self._open_dialog(ModelDraft.from_answer(path, answer)), "Reading the model")

    def open_or_choose(self, path: str, choose: Callable[[str], None]) -> None:
        """Choose an ONNX file that has a card already, import it otherwise."""
        reason = self._can_import(path)
        if reason:
            self._notes.show([Note("error", reason)])
            return
        self._notes.show([Note("info", READING)])

        def end(has_card: bool) -> None:
            self._notes.show([])
            choose(path) if has_card else self.open(path)

        self._start(self._card_steps(path), end, "Reading the model")

    def follow(self, path: str) -> None:
        """Another model is chosen: what was said of the last import is of no interest any more."""
        if path != self._imported and not self.is_busy:
            self._imported = ""
            self._notes.show([])

    def close_dialog(self) -> None:
        """Close the dialog, if it is open, without importing."""
        if self.dialog is not None:
            self.dialog.close()

    def close(self) -> None:
        """Stop everything."""
        self.close_dialog()
        self.stop()

    def update(self, reason: str) -> None:
        """Enable or disable the button; `reason` says why it cannot be pressed."""
        self._ui.importButton.setEnabled(not reason)
        tip = "Take over an nnU-Net (folder or zip) or an ONNX file: its card is shown to be confirmed, with a preview."
        self._ui.importButton.setToolTip(reason or tip)

    def _add(self, text: str, is_folder: bool) -> Any:
        action = self._menu.addAction(text)
        action.triggered.connect(safe_slot(lambda checked: self._ask(is_folder), self._notes.show, "The import"))
        return action

    def _ask(self, is_folder: bool) -> None:
        path = self.ask_for_model(is_folder, qt.QSettings().value(SOURCE_KEY) or "")
        if path:
            self.open(path)

    def _card_steps(self, path: str) -> Work:
        """Whether a file opens as a checkpoint; other failures than unusable input are raised."""
        try:
            yield from answer_steps(self._worker, "describe", checkpoint=path)
        except JobFailedError as error:
            if error.failure.kind != "input":
                raise
            return False
        return True

    def _open_dialog(self, draft: ModelDraft) -> None:
        self._notes.show([])
        self._show()
        node = self._scan()
        if node is not None:
            self._preview = ImportPreview(
                self._worker,
                draft.source,
                node,
                on_answer=self._on_preview,
                on_failure=self._on_preview_failure,
                on_busy=lambda is_busy: None,
            )
        actions = DialogActions(self._ask_for_preview, self._import, self._on_closed, self._slots)
        self.dialog = ImportDialog(draft, model_folder(), node is not None, actions)
        self.dialog.show()

    @staticmethod
    def _slots(show: Callable[[list[Note]], None]) -> Any:
        return lambda handler, subject: safe_slot(handler, show, subject)

    def _ask_for_preview(self, card: dict[str, Any], slice_number: int | None) -> None:
        if self._preview is not None:
            self._preview.ask(card, slice_number)

    def _on_preview(self, answer: dict[str, Any]) -> None:
        if self.dialog is not None:
            self.dialog.show_preview(answer)

    def _on_preview_failure(self, failure: JobFailure) -> None:
        if self.dialog is not None:
            self.dialog.preview.say(failure_note(failure).text)

    def _import(self, card: dict[str, Any], path: str) -> None:
        dialog = self.dialog
        if dialog is None:
            return
        if self._preview is not None:
            self._preview.stop()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        dialog.set_importing(True)
        steps = answer_steps(self._worker, "import", path=dialog.draft.source, card=card, output=path)
        self._start(steps, lambda answer: self._on_import_end(path, answer), "The import")

    def _on_import_end(self, path: str, answer: dict[str, Any]) -> None:
        remember_model_folder(os.path.dirname(path))
        self.close_dialog()
        self._imported = path
        self._notes.show([Note("pass", f"{os.path.basename(path)} was imported to {os.path.dirname(path)}.")])
        self._on_imported(path)

    def _on_failure(self, failure: JobFailure) -> None:
        note = failure_note(failure)
        if self.dialog is not None:
            self.dialog.set_importing(False)
            self.dialog.say([note])
        else:
            self._notes.show([note])
        self._show()

    def _on_closed(self) -> None:
        """The dialog is closed, by whom ever: nothing of it may go on."""
        preview, self._preview, self.dialog = self._preview, None, None
        if preview is not None:
            preview.close()
        self.stop()
        self._show()

    def _show(self) -> None:
        self._ui.importProgressBar.setVisible(self.is_busy and self.dialog is None)
