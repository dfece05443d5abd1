"""The window in which the card of a model is confirmed, with a preview, before the model is imported."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ctk
import qt
import slicer

from ...engine.io.volume import Note
from ..jobs.failure import Slot
from .card_draft import CardDraft, UnknownEntry
from .card_form import CardForm
from .notes import NoteList
from .orientation_field import AXIS
from .path_edit import as_path, on_every_text
from .slice_preview import SlicePreview
from .widths import keep_narrow

SIZE = (1040, 735)
NO_SCAN = "Load a scan and choose it in section Scan to see what this model makes of it."
LONGEST_NAME = 80
FOLDER_PIXELS = 200


@dataclass(frozen=True)
class ModelDraft:
    """What the worker found out about a model: its card as far as it is known, and what the user has to add."""

    source: str
    kind: str
    card: dict[str, Any]
    unknown: tuple[UnknownEntry, ...] = ()
    notes: tuple[str, ...] = ()
    folds: tuple[str, ...] = field(default=())

    @classmethod
    def from_answer(cls, source: str, answer: dict[str, Any]) -> ModelDraft:
        """The draft in the worker's answer to `describe_import`."""
        unknown = tuple(
            UnknownEntry(one["entry"], one.get("explanation", ""), tuple(one.get("choices") or ()))
            for one in answer.get("unknown", ())
        )
        folds = tuple(map(str, answer.get("folds") or ()))
        return cls(source, answer["kind"], answer["card"], unknown, tuple(answer.get("notes", ())), folds)

    @property
    def name(self) -> str:
        """Name of the file or folder."""
        return os.path.basename(self.source.rstrip("/\\"))

    @property
    def ending(self) -> str:
        """Ending of the file that it becomes."""
        return ".onnx" if self.kind == "ONNX" else ".pt"


@dataclass(frozen=True)
class DialogActions:
    """What the dialog has done by others; `slot(show)` makes slots whose errors are shown by `show`."""

    preview: Callable[[dict[str, Any], int | None], None]
    import_to: Callable[[dict[str, Any], str], None]
    close: Callable[[], None]
    slot: Callable[[Callable[[list[Note]], None]], Slot]


class ImportDialog:
    """`window` is a dialog beside which Slicer stays usable; it `is_open` until it is closed or the model is imported."""

    def __init__(self, draft: ModelDraft, folder: str, has_scan: bool, actions: DialogActions) -> None:
        """Show a draft, to be saved in `folder`; `has_scan` says whether there is anything to preview on."""
        self.draft, self._actions, self._has_scan = draft, actions, has_scan
        self.card = CardDraft(draft.card, draft.unknown)
        self._axis = self.card.get(AXIS)
        self._is_importing = self.is_open = False
        self.window = qt.QDialog(slicer.util.mainWindow())
        self.window.setWindowTitle(f"Import {draft.name} ({draft.kind})")
        self.window.setModal(False)
        self.form = CardForm(self.card, self._on_card)
        self.preview = SlicePreview(self._on_slice)
        self._lay_out(folder)
        self.window.finished.connect(self._on_finished)
        self._show_name()
        self.update()

    def show(self) -> None:
        """Open the window and ask for the first preview."""
        self.is_open = True
        self.window.resize(*SIZE)
        self.window.show()
        self.window.activateWindow()
        self._ask_for_preview()

    def close(self) -> None:
        """Close the window without importing."""
        if self.is_open:
            self.window.reject()

    @property
    def path(self) -> str:
        """The file that the model is saved as."""
        folder, name = as_path(self.folder.currentPath), self.name.text.strip()
        return os.path.join(folder, name + self.draft.ending) if folder and name else ""

    @property
    def problem(self) -> str:
        """Why Import cannot be pressed, in one sentence; empty if it can."""
        if self._is_importing:
            return "The model is being imported."
        if problems := self.form.problems:
            return f"{_sentence(problems)}."
        if not self.path or re.search(r'[\\/:*?"<>|]', self.name.text):
            return "Give the file a name that a file can have, and choose a folder."
        if os.path.exists(self.path):
            return f"{self.path} is there already; give another name."
        return ""

    def say(self, notes: Sequence[Note]) -> None:
        """Show what happened above the buttons."""
        self._notes.show(notes)

    def set_importing(self, is_importing: bool) -> None:
        """Whether the model is being written."""
        self._is_importing = is_importing
        self._bar.setVisible(is_importing)
        for part in (self.form.widget, self.name, self.folder):
            part.setEnabled(not is_importing)
        self.update()

    def update(self) -> None:
        """Enable or disable Import, and say why."""
        problem = self.problem
        self.import_button.setEnabled(not problem)
        self.import_button.setToolTip(problem or f"Write {self.path} and choose it as the model.")
        self._hint.setText("" if self._is_importing else problem)

    def show_preview(self, answer: dict[str, Any]) -> None:
        """Show what the worker answered."""
        self.preview.show(answer, {one["index"]: one["name"] for one in self.card.get("structures", [])})

    def _lay_out(self, folder: str) -> None:
        column = qt.QVBoxLayout()
        self.window.setLayout(column)
        halves = qt.QHBoxLayout()
        area = qt.QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(qt.QFrame.NoFrame)
        inner, left = qt.QWidget(), qt.QVBoxLayout()
        inner.setLayout(left)
        facts = qt.QFrame()
        left.addWidget(facts)
        left.addWidget(self.form.widget)
        left.addStretch(1)
        area.setWidget(inner)
        notes = [Note("info", text) for text in self.draft.notes]
        if len(self.draft.folds) > 1:
            averaged = (
                f"Ensemble of {len(self.draft.folds)} folds ({', '.join(self.draft.folds)}); their logits are averaged."
            )
            notes.insert(0, Note("info", averaged))
        self._facts = NoteList(facts)
        self._facts.show(notes)
        halves.addWidget(area, 1)
        halves.addWidget(self.preview.widget)
        column.addLayout(halves, 1)
        column.addLayout(self._save_row(folder))
        frame = qt.QFrame()
        column.addWidget(frame)
        self._notes = NoteList(frame)
        self._bar = qt.QProgressBar()
        self._bar.setRange(0, 0)
        self._bar.setTextVisible(False)
        self._bar.setMaximumHeight(10)
        self._bar.setVisible(False)
        column.addWidget(self._bar)
        column.addLayout(self._button_row())

    def _save_row(self, folder: str) -> Any:
        line = qt.QHBoxLayout()
        self.name = qt.QLineEdit()
        self.name.setAccessibleName("File name of the imported model")
        self.folder = ctk.ctkPathLineEdit()
        self.folder.filters = ctk.ctkPathLineEdit.Dirs
        self.folder.setToolTip("The folder for imported models; it is remembered.")
        keep_narrow(self.folder, FOLDER_PIXELS)
        on_every_text(self.folder, lambda text: self.update(), folder)
        for child in self.folder.children():
            if child.inherits("QLineEdit"):
                child.setAccessibleName("Folder of imported models")
        self.name.textChanged.connect(lambda text: self.update())
        for part, stretch in (("Save as:", 0), (self.name, 2), (f"{self.draft.ending} in", 0), (self.folder, 3)):
            line.addWidget(qt.QLabel(part) if isinstance(part, str) else part, stretch)
        return line

    def _button_row(self) -> Any:
        line = qt.QHBoxLayout()
        self._hint = qt.QLabel()
        self._hint.setWordWrap(True)
        self._hint.setTextFormat(qt.Qt.PlainText)
        self.import_button, self.cancel_button = qt.QPushButton("Import"), qt.QPushButton("Cancel")
        self.import_button.setDefault(True)
        slot = self._actions.slot(self.say)
        self.import_button.connect("clicked(bool)", slot(self._on_import, "The import"))
        self.cancel_button.connect("clicked(bool)", lambda checked: self.close())
        line.addWidget(self._hint, 1)
        line.addWidget(self.import_button)
        line.addWidget(self.cancel_button)
        return line

    def _show_name(self) -> None:
        """Propose a file name that no file has yet."""
        title = re.sub(r"[^\w.-]+", " ", str(self.card.get("title", ""))).strip()[:LONGEST_NAME]
        stem = title or os.path.splitext(self.draft.name)[0]
        self.name.setText(stem)
        number = 2
        while self.path and os.path.exists(self.path):
            self.name.setText(f"{stem} {number}")
            number += 1

    def _on_card(self) -> None:
        if self.card.get(AXIS) != self._axis:
            self._axis = self.card.get(AXIS)
            self.preview.forget_slice()
        self.update()
        self._ask_for_preview()

    def _on_slice(self, number: int) -> None:
        self._ask_for_preview()

    def _ask_for_preview(self) -> None:
        if not self.is_open:
            return
        if not self._has_scan:
            self.preview.say(NO_SCAN)
            return
        blocking = [one for one in self.form.problems if not one.startswith(("name structure", "give the title"))]
        if blocking:
            self.preview.say(f"For a preview, {_lower(_sentence(blocking))}.")
            return
        self.preview.show_waiting()
        self._actions.preview(self.previewed_card(), self.preview.slice_number)

    def previewed_card(self) -> dict[str, Any]:
        """The card as far as it is, with names where there are none yet."""
        card = dict(self.card.card)
        card["title"] = card.get("title") or "Preview"
        structures = card.get("structures") or self.form.fields["structures"].parts.structures  # type: ignore[attr-defined]
        card["structures"] = [{**one, "name": one["name"] or f"structure {one['index']}"} for one in structures]
        return card

    def _on_import(self, checked: bool = False) -> None:
        if not self.problem:
            self.say([])
            self._actions.import_to(self.card.card, self.path)

    def _on_finished(self, result: int) -> None:
        if self.is_open:
            self.is_open = False
            self.window.deleteLater()
            self._actions.close()


def _sentence(problems: Sequence[str]) -> str:
    text = "; ".join(problems)
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
