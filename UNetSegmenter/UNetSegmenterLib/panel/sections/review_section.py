"""Review of a test set: one case after the other, loaded, segmented if need be, compared, checked, shown and reviewed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import ctk
import qt
import slicer

from ...engine.errors import InputError
from ...engine.evaluation.review_cases import REVIEWS, CaseList, ReviewCase
from ...engine.evaluation.verdict import Verdict, write_reviews
from ...engine.io.volume import Note
from ...engine.worker.review_serialization import case_from_files, cases_from_json
from ...scene.nodes.case_nodes import add_case_steps
from ...scene.nodes.correction import labels_time
from ...scene.nodes.node_attributes import set_verdict
from ...scene.nodes.scene_nodes import remove_nodes_by_id
from ..jobs.failure import JobFailure, failure_note
from ..jobs.step_driver import Work
from ..jobs.worker_process import WorkerProcess
from ..jobs.worker_request import answer_steps
from ..widgets.path_edit import as_path, on_every_text
from ..widgets.plain_tip import plain_tip
from .section import Section

TYPING_MS = 400
SUBJECT = "The review"
MOST_LINES, LINE_PIXELS = 6, 19


class ReviewActions(Protocol):
    """What the rest of the panel does for a review."""

    def choose(self, volume: Any, prediction: Any, reference: Any) -> None:
        """Choose these nodes in all sections."""

    def segment(self) -> Work:
        """Steps that segment the chosen scan and return the node, or raise InputError with why not."""

    def compare_and_check(self) -> Work:
        """Steps that show, compare and check what is chosen."""

    def flush(self) -> None:
        """Keep what is being typed."""

    def remember(self, folder: str, results: str, case: str) -> None:
        """Put the choices of the review into the parameter node."""

    def ask(self, question: str) -> bool:
        """Ask the user; True for yes."""


class ReviewSection(Section):
    """Follows the two folders; `case` is the one that is open, None before the first and after the scene is closed."""

    def __init__(self, ui: Any, worker: WorkerProcess, actions: ReviewActions) -> None:
        Section.__init__(self, ui.reviewNotesFrame)
        self._ui, self._worker, self._actions = ui, worker, actions
        self.list = CaseList(())
        self.verdicts: dict[str, Verdict] = {}
        self.case: ReviewCase | None = None
        self._unsaved: dict[str, Verdict] = {}
        self._folder = self._results = self._last = ""
        self._node_ids: list[str] = []
        self._prediction_id = ""
        self._label_times: dict[str, int] = {}
        self._typing = qt.QTimer()
        self._typing.setSingleShot(True)
        self._typing.setInterval(TYPING_MS)
        self._typing.timeout.connect(self.read)
        for edit in (ui.reviewFolderPathLineEdit, ui.reviewResultsPathLineEdit):
            edit.filters = ctk.ctkPathLineEdit.Dirs
            on_every_text(edit, lambda text: self._typing.start())
        ui.nextCaseButton.connect("clicked(bool)", self.slot(lambda checked: self._on_button(1), SUBJECT))
        ui.previousCaseButton.connect("clicked(bool)", self.slot(lambda checked: self._on_button(-1), SUBJECT))
        ui.reviewList.itemActivated.connect(self.slot(lambda item: self.open(ui.reviewList.row(item)), SUBJECT))
        self._show()

    @property
    def table_path(self) -> Path:
        """Where the verdicts are kept."""
        return Path(self._results or self._folder) / REVIEWS

    def choose(self, folder: str, results: str, last: str = "") -> None:
        """The folder of the scans, that of the results ("" for the same), and the case that was looked at last."""
        if (folder, results) == (self._folder, self._results):
            return
        self._last = last
        self._ui.reviewFolderPathLineEdit.setCurrentPath(folder)
        self._ui.reviewResultsPathLineEdit.setCurrentPath(results)
        self.read()

    def read(self) -> None:
        """Have the chosen folders read, if they are others than before; the list follows."""
        self._typing.stop()
        edits = (self._ui.reviewFolderPathLineEdit, self._ui.reviewResultsPathLineEdit)
        folder, results = (as_path(edit.currentPath) for edit in edits)
        if (folder, results) == (self._folder, self._results):
            return
        self._actions.flush()
        if folder != self._folder:
            self._unsaved, self.case = {}, None
        self._folder, self._results = folder, results
        self.list, self.verdicts = CaseList(()), {}
        self._notes.show([])
        self._actions.remember(folder, results, self._last)
        if folder:
            self._start(self._list_steps(), self._on_end, SUBJECT)
        else:
            self.stop()
            self._show()

    def open(self, number: int) -> None:
        """Put the case of this number that is open."""
        if not self.is_busy and 0 <= number < len(self.list.cases) and self._may_leave():
            self._actions.flush()
            self._notes.show([])
            self._start(self._open_steps(self.list.cases[number]), self._on_end, SUBJECT)

    def _may_leave(self) -> bool:
        """Ask before a case goes whose labels were changed by hand since it was opened."""
        there = {node_id: slicer.mrmlScene.GetNodeByID(node_id) for node_id in self._label_times}
        drawn = [node.GetName() for one, node in there.items() if node and labels_time(node) != self._label_times[one]]
        return not drawn or self._actions.ask(
            f"“{', '.join(drawn)}” was changed by hand and goes with this case. Open another case without saving it?"
        )

    def keep(self, node: Any, verdict: Verdict) -> None:
        """A verdict was given: if it is of the prediction that is open, it goes into the table."""
        if self.case is not None and node.GetID() == self._prediction_id:
            self._unsaved[self.case.name] = verdict
            self._save()
            self._show()

    def close(self) -> None:
        """Leave what is going on and let go of the open case: the scene is closing, or the panel."""
        self._typing.stop()
        self.stop()
        self.case, self._node_ids, self._prediction_id, self._label_times = None, [], "", {}
        self._show()

    def _list_steps(self) -> Work:
        answer = yield from answer_steps(self._worker, "cases", folder=self._folder, results=self._results)
        self.list, self.verdicts = cases_from_json(answer)
        self._notes.show([Note("info", text) for text in self.list.notes])
        if self._unsaved:
            self._save()

    def _open_steps(self, case: ReviewCase) -> Work:
        self._actions.choose(None, None, None)
        remove_nodes_by_id(slicer.mrmlScene, self._node_ids)
        self._label_times = {}
        self.case, self._node_ids, self._prediction_id, self._last = case, [], "", case.name
        self._actions.remember(self._folder, self._results, case.name)
        scan, reference, prediction = yield from self._load_steps(case)
        self._actions.choose(scan, prediction, reference)
        yield
        if prediction is None:
            prediction = yield from self._actions.segment()
            self._node_ids.append(prediction.GetID())
        if case.name in self.verdicts:
            set_verdict(prediction, self.verdicts[case.name])
        self._prediction_id = prediction.GetID()
        self._actions.choose(scan, prediction, reference)
        labels = [node for node in (prediction, reference) if node is not None]
        self._label_times = {node.GetID(): labels_time(node) for node in labels}
        yield from self._actions.compare_and_check()

    def _load_steps(self, case: ReviewCase) -> Work:
        fields: dict[str, Any] = {side: path and str(path) for side, path in vars(case).items() if side != "name"}
        structures = self.list.structures and [structure.to_json() for structure in self.list.structures]
        with self._worker.job_folder("case") as folder:
            answer = yield from answer_steps(self._worker, "load", into=str(folder), structures=structures, **fields)
            made_by = {"Checkpoint": self.list.checkpoint, "CheckpointSHA256": self.list.sha256}
            facts = {key: value for key, value in made_by.items() if value}
            return (
                yield from add_case_steps(
                    slicer.mrmlScene, case.name, *case_from_files(answer), provenance=facts, ids=self._node_ids
                )
            )

    def _save(self) -> None:
        """Put the verdicts into the table, which others may be filling too; what cannot be written is tried again."""
        self.verdicts |= self._unsaved
        try:
            self.verdicts |= write_reviews(self.table_path, self._unsaved) | self._unsaved
        except InputError as error:
            what_now = "Choose another folder for the results; until then the verdicts are kept here and with the segmentations."
            self._notes.show([Note("error", f"{error} {what_now}")])
            return
        self._unsaved = {}
        self._notes.show([note for note in self.notes if note.severity != "error"])

    def _on_button(self, step: int) -> None:
        if self.is_busy:
            self.stop()
            self._notes.show([Note("info", "cancelled; open the case again to go on with it.")])
        else:
            self.open(self._position(step))

    def _position(self, step: int) -> int:
        """The number of the next case, or of the one before; to begin with, of the first that is not reviewed."""
        names = [case.name for case in self.list.cases]
        if self.case is not None and self.case.name in names:
            return names.index(self.case.name) + step
        if step < 0:
            return -1
        open_ones = (number for number, name in enumerate(names) if not self.verdicts.get(name))
        return next(open_ones, names.index(self._last) if self._last in names else 0)

    def _on_end(self, value: Any) -> None:
        self._show()

    def _on_failure(self, failure: JobFailure) -> None:
        self._notes.show([*self.notes, failure_note(failure)])
        self._show()

    def _show(self) -> None:
        ui, cases = self._ui, self.list.cases
        ui.reviewList.clear()
        for number, case in enumerate(cases):
            verdict = self.verdicts.get(case.name) or Verdict()
            ui.reviewList.addItem(f"{case.name}: {verdict.text}" + (f" – {verdict.comment}" if verdict.comment else ""))
            ui.reviewList.item(number).setToolTip(plain_tip(f"{case.image}\nDouble click to open it."))
            if case == self.case:
                ui.reviewList.setCurrentRow(number)
        ui.reviewList.setVisible(bool(cases))
        line = max(LINE_PIXELS, ui.reviewList.sizeHintForRow(0))
        ui.reviewList.setFixedHeight(max(2, min(len(cases), MOST_LINES)) * line + 6)
        ui.reviewProgressBar.setRange(0, 0)
        ui.reviewProgressBar.setVisible(self.is_busy)
        ui.reviewLabel.setVisible(bool(cases))
        ui.reviewLabel.setText(self._text())
        ui.reviewLabel.setToolTip(plain_tip(str(self.table_path)))
        self._show_buttons()

    def _show_buttons(self) -> None:
        ui, is_busy = self._ui, self.is_busy
        there = range(len(self.list.cases))
        reason = "" if self.list.cases else "Choose the folder that holds the scans and their references first."
        ui.previousCaseButton.setEnabled(not is_busy and self._position(-1) in there)
        ui.previousCaseButton.setToolTip(reason or "The case before this one.")
        ui.nextCaseButton.setText("Cancel" if is_busy else "Next case" if self.case else "Start")
        if not reason and self._position(1) not in there:
            reason = "This is the last case."
        ui.nextCaseButton.setEnabled(is_busy or not reason)
        first = "Opens the first case that is not reviewed yet."
        ui.nextCaseButton.setToolTip(
            "Stop." if is_busy else reason or ("The case after this one." if self.case else first)
        )

    def _text(self) -> str:
        names = [case.name for case in self.list.cases]
        reviewed = sum(bool(self.verdicts.get(name)) for name in names)
        where = (
            f"case {names.index(self.case.name) + 1} of {len(names)}" if self.case and self.case.name in names else ""
        )
        text = ", ".join(filter(None, [where, f"{reviewed} of {len(names)} reviewed"]))
        return f"{text[:1].upper()}{text[1:]}; verdicts in {REVIEWS}."
