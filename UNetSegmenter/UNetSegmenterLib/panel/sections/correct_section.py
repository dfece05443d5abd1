"""Section Correct and train: a prediction is corrected by hand and becomes a training case, for a better model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctk
import qt
import slicer

from ...engine.counting import counted
from ...engine.io.volume import Note
from ...engine.labels.training_case import case_exists, case_name, invalid_name_reason
from ...engine.worker.image_serialization import array_steps, segmentation_steps
from ...scene.nodes import correction
from ...scene.nodes.case_nodes import refuse_empty
from ...scene.nodes.node_attributes import module_attributes
from ...scene.nodes.segmentation_from_node import segmentation_from_node
from ...scene.nodes.volume_nodes import volume_from_node
from ..jobs.segmentation_run import stored_dtype
from ..jobs.step_driver import Work
from ..jobs.worker_process import WorkerProcess
from ..jobs.worker_request import answer_steps
from ..widgets.path_edit import as_path, on_every_text
from .section import WorkSection, WorkWidgets, segment_events

FOLDER_KEY = "UNetSegmenter/TrainingFolder"
NO_PREDICTION = "Choose a prediction in section Compare: the segmentation that is to be corrected."
UNCORRECTED = (
    '"{name}" is what a network predicted, and was not corrected. A model that is trained on it learns its faults. Save it '
    "as a training case all the same?"
)

TITLE = "Save as training case"
CANCELLED = "cancelled; what was being written may still be completed."


@dataclass(frozen=True)
class CorrectionActions:
    """What the section asks of the rest of the panel.

    `blocker` says why the worker can't be asked now, `ask` puts a yes-or-no question, `leave_views` puts back how nodes are
    drawn, `open_editor` shows the Segment Editor with a segmentation and a scan, `reviewer` names who corrects, `choose` makes a
    segmentation the prediction that is compared.
    """

    blocker: Callable[[], str]
    ask: Callable[[str], bool]
    leave_views: Callable[[], None]
    open_editor: Callable[[Any, Any], None]
    reviewer: Callable[[], str]
    choose: Callable[[Any], None]


class CorrectSection(WorkSection):
    """Corrects one prediction at a time, in a copy; `node` is the copy that is in the Segment Editor, else None."""

    def __init__(self, ui: Any, worker: WorkerProcess, actions: CorrectionActions) -> None:
        button, bar = ui.saveCaseButton, ui.saveCaseProgressBar
        widgets = WorkWidgets(button, bar, TITLE, "Saving the case", "saves the case", CANCELLED)
        WorkSection.__init__(self, ui.correctNotesFrame, widgets)
        self._ui, self._worker, self.actions = ui, worker, actions
        self.node: Any = None
        self._was_changed = False
        self._hidden: Any = None  # the prediction that its correction stands for in the views
        self._prediction: Any = None
        self._volume: Any = None
        self._suggested = ""
        ui.correctCollapsibleButton.collapsed = True
        ui.trainingFolderPathLineEdit.filters = ctk.ctkPathLineEdit.Dirs
        known = qt.QSettings().value(FOLDER_KEY) or ""
        on_every_text(ui.trainingFolderPathLineEdit, lambda text: self.update(), known)
        ui.caseNameLineEdit.textChanged.connect(lambda text: self.update())
        correct = self.slot(self._on_correct, "The way to the Segment Editor")
        ui.correctButton.connect("clicked(bool)", correct)
        self._show()

    def choose(self, prediction: Any, volume: Any) -> None:
        """The prediction and the scan that are chosen; the scan's name is suggested for the case."""
        if volume is not self._volume:
            suggested = case_name(volume.GetName()) if volume is not None else ""
            if self._ui.caseNameLineEdit.text in ("", self._suggested):
                self._ui.caseNameLineEdit.setText(suggested)
            self._suggested = suggested
        if prediction is not self._prediction and (self.is_busy or not self._is_pair(prediction)):
            self.stop()
            self._notes.show([])
        is_new = prediction is not self._prediction
        self._prediction, self._volume = prediction, volume
        if is_new and prediction is not None and prediction is self._hidden:
            self._show_instead(prediction, correction.correction_of(prediction))
        self.update()

    def update(self) -> None:
        """Enable or disable both buttons, and say why in their tooltips."""
        ui = self._ui
        reason = "" if self._prediction is not None else NO_PREDICTION
        ui.correctButton.setEnabled(not reason)
        tip = "Opens the Segment Editor on a copy of the prediction, which stays as it is. Come back to this module when done."
        ui.correctButton.setToolTip(reason or tip)
        tip = 'Writes the scan and its labels into the data set; "unetseg prepare" and "train --start-from" go on from there.'
        self._enable_work(self.reason(), "Stop saving.", tip)

    def reason(self) -> str:
        """Why nothing can be saved now; empty if it can."""
        ui, name = self._ui, self._ui.caseNameLineEdit.text
        if self._prediction is None:
            return "Choose a prediction in section Compare: the labels that are to be saved."
        if self._volume is None:
            return "Choose the scan in section Scan: it is saved with the labels."
        if module_attributes(self._prediction).get("Complete") == "false":
            return "The prediction is partial: its last slices were never segmented."
        if not as_path(ui.trainingFolderPathLineEdit.currentPath):
            return "Choose the folder of the data set; a new one is made."
        return invalid_name_reason(name) or self.actions.blocker()

    def correct(self, prediction: Any, volume: Any) -> None:
        """Show the Segment Editor with the copy of a prediction, or with a segmentation that is no prediction itself."""
        if prediction is None or not slicer.mrmlScene.IsNodePresent(prediction):
            self._ui.correctCollapsibleButton.collapsed = False
            self._notes.show([Note("warning", "The segmentation is not in the scene any more.")])
            return
        self.actions.leave_views()  # a copy is to be drawn as the prediction is, not as a layout of ours had it
        node = prediction
        if correction.is_uncorrected_prediction(prediction) and not correction.is_correction(prediction):
            node = correction.correction_of(prediction) or correction.copy_to_correct(prediction, volume)
            self._show_instead(node, prediction)
        self._watch(node)
        self.actions.open_editor(node, volume)

    def came_back(self) -> None:
        """The module is shown again: a copy that was changed is what is compared and saved from now on, another one goes."""
        node, self.node = self.node, None
        self.removeObservers()
        if node is None or not slicer.mrmlScene.IsNodePresent(node):
            return
        prediction = correction.prediction_of(node)
        if self._was_changed:
            if correction.is_correction(node):
                correction.mark_corrected(node, self.actions.reviewer())
            self.actions.choose(node)
            self._ui.correctCollapsibleButton.collapsed = False
            kept = f' "{prediction.GetName()}" stays as it was, and is hidden.' if prediction is not None else ""
            self._notes.show([Note("pass", f'"{node.GetName()}" is now the prediction of section Compare.{kept}')])
        elif prediction is not None and correction.is_uncorrected_prediction(node):
            self._show_instead(prediction, None)
            slicer.mrmlScene.RemoveNode(node)
            self._notes.show([Note("info", f'Nothing was corrected; "{prediction.GetName()}" is as it was.')])

    def save(self, over: bool = False) -> None:
        """Write what is chosen into the data set; the notes say how it ended."""
        folder, name = as_path(self._ui.trainingFolderPathLineEdit.currentPath), self._ui.caseNameLineEdit.text
        qt.QSettings().setValue(FOLDER_KEY, folder)
        self._notes.show([])
        self._do(self._steps({"folder": folder, "name": name, "replace": over}), self._on_saved)

    def close(self) -> None:
        """The scene is closing, or the panel."""
        self.stop()
        self.removeObservers()
        self.node = self._hidden = None
        self.choose(None, None)

    def _on_correct(self, checked: bool) -> None:
        self.correct(self._prediction, self._volume)

    def _begin(self) -> None:
        node, folder = self._prediction, as_path(self._ui.trainingFolderPathLineEdit.currentPath)
        name = self._ui.caseNameLineEdit.text
        if correction.is_uncorrected_prediction(node) and not self.actions.ask(UNCORRECTED.format(name=node.GetName())):
            return
        is_there = case_exists(folder, name)
        if is_there and not self.actions.ask(f'{folder} holds a case "{name}" already. Replace it?'):
            self._notes.show([Note("info", f'"{name}" was left as it is; choose another name.')])
            return
        self.save(over=is_there)

    def _on_saved(self, answer: dict[str, Any]) -> None:
        cases = counted(answer["cases"], "case")
        image, labels = Path(answer["image"]), Path(answer["labels"])
        files = f"imagesTr/{image.name} and labelsTr/{labels.name} in {image.parents[1]}"
        saved = Note("pass", f"saved as {files}; the data set holds {cases}.")
        self._notes.show([saved, *(Note("info", text) for text in answer["notes"])])
        self._show()

    def _steps(self, fields: dict[str, Any]) -> Work:
        with self._worker.job_folder("save_case") as private:
            fields |= yield from request_steps(self._prediction, self._volume, private)
            return (yield from answer_steps(self._worker, "save_case", **fields))

    def _is_pair(self, node: Any) -> bool:
        """Whether a node and the chosen one are a prediction and its correction."""
        chosen = self._prediction
        if node is None or chosen is None:
            return False
        return correction.prediction_of(node) is chosen or correction.prediction_of(chosen) is node

    def _watch(self, node: Any) -> None:
        self.removeObservers()
        self.node, self._was_changed = node, False
        for event in segment_events():
            self.addObserver(node.GetSegmentation(), event, self._on_changed)

    def _on_changed(self, caller: Any = None, event: Any = None) -> None:
        self._was_changed = True

    def _show_instead(self, shown: Any, hidden: Any) -> None:
        """Show one of a prediction and its correction; both at once would be drawn over each other."""
        self._hidden = hidden if hidden is not None and not correction.is_correction(hidden) else None
        for node, visible in ((shown, True), (hidden, False)):
            if node is not None and node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(visible)

    def _show(self) -> None:
        ui = self._ui
        self._show_work()
        for widget in (ui.trainingFolderPathLineEdit, ui.caseNameLineEdit):
            widget.setEnabled(not self.is_busy)
        self.update()


def request_steps(node: Any, volume: Any, folder: Path) -> Work:
    """Write scan and labels of a training case into a folder; returns the fields of the request."""
    refuse_empty(node)
    array = volume_from_node(volume).array
    image = yield from array_steps(array, folder / "image.raw", stored_dtype(array))
    segmentation = segmentation_from_node(node, volume)
    yield
    labels = yield from segmentation_steps(segmentation, folder, "labels")
    return {"image": image, "labels": labels, "origin": correction.origin_of(node, volume)}
