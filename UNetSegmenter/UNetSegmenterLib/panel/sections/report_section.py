"""Section Report: the reviewer's verdict, and one folder with everything that is known of the case."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import qt
import slicer

from ...engine.evaluation.verdict import Verdict
from ...engine.io.volume import Note
from ...engine.report.report_folder import CaseReport, outputs_in
from ...engine.worker.result_serialization import report_steps
from ...scene.nodes.case_nodes import provenance_facts, read_case_steps
from ...scene.nodes.world_positions import comparison_on_scan
from ..jobs.failure import JobFailedError, JobFailure, failure_note, safe_slot
from ..jobs.plausibility_task import compare_and_check_steps
from ..jobs.sequence import Sequence
from ..jobs.worker_process import WorkerProcess
from ..jobs.worker_task import WorkerTask
from ..widgets.notes import NoteList
from ..widgets.verdict_editor import VerdictEditor
from ..widgets.view_widgets import picture_steps
from .compare_section import CompareSection
from .plausibility_section import PlausibilitySection

FOLDER_KEY = "UNetSegmenter/ReportFolder"
ENDED = "The process that writes the report ended unexpectedly; press Report... to start it again."
TIP = "Compares and checks what is chosen if that is still to be done, and writes report.html, metrics.csv and summary.json."


def ask_for_folder(title: str, start: str) -> str:
    """Where files are to go; empty if the person changed their mind. Tests put their own answer in."""
    return qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, start)


def open_in_browser(path: str) -> None:
    """Show a page as the computer shows pages."""
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(path))


class ReportSection:
    """Writes one report at a time; `path` is that of the last one."""

    def __init__(
        self,
        ui: Any,
        worker: WorkerProcess,
        compare: CompareSection,
        plausibility: PlausibilitySection,
        ask: Callable[[str], bool],
        on_verdict: Callable[[Any, Verdict], None],
    ) -> None:
        self._ui, self._worker, self._ask = ui, worker, ask
        self._compare, self._plausibility = compare, plausibility
        self.ask_for_folder: Callable[[str, str], str] = ask_for_folder
        self.open_in_browser: Callable[[str], None] = open_in_browser
        self.verdict = VerdictEditor(ui, on_verdict)
        self.path: Path | None = None
        self._node: Any = None
        self._notes = NoteList(ui.reportNotesFrame)
        self._sequence = Sequence(self._on_end, "The report")
        self._written: Path | None = None
        self._task: WorkerTask | None = None
        ui.reportCollapsibleButton.collapsed = True
        ui.reportButton.connect("clicked(bool)", safe_slot(self._on_button, self._notes.show, "The report"))
        ui.openReportButton.connect("clicked(bool)", lambda checked: self.open_in_browser(str(self.path)))
        self._show()

    @property
    def is_busy(self) -> bool:
        return self._sequence.is_running

    @property
    def notes(self) -> tuple[Note, ...]:
        return self._notes.notes

    def choose(self, prediction: Any) -> None:
        """The segmentation that the report is about; another one ends a report that is being written."""
        if prediction is not None and self._node is None:
            self._ui.reportCollapsibleButton.collapsed = False
        if prediction is not self._node:
            self.stop()
            self.path = None
            self._notes.show([])
            self._show()
        self._node = prediction
        self.verdict.set_node(prediction)

    def update(self) -> None:
        """Enable or disable the button, and say why in its tooltip."""
        button, reason = self._ui.reportButton, "" if self.is_busy else self._compare.reason()
        button.setEnabled(not reason)
        button.setToolTip(reason or ("Stop writing the report." if self.is_busy else TIP))

    def write(self, folder: Path | str) -> None:
        """Write the report of what is chosen into this folder; the notes say how it ended."""
        self._notes.show([])
        self._written = None
        self._ui.reportProgressBar.setRange(0, 0)
        self._sequence.start(self._steps(Path(folder)))
        self._show()

    def stop(self) -> None:
        """Leave a report that is being written."""
        if self.is_busy:
            self._sequence.stop()
            self._show()

    def close(self) -> None:
        self.choose(None)

    def _steps(self, folder: Path) -> Generator[None, None, None]:
        yield from compare_and_check_steps(self._compare, self._plausibility)
        comparison, chosen = self._compare.comparison, self._plausibility.chosen
        if comparison is None:
            return  # section Compare says why
        pictures = yield from picture_steps()
        failures: list[JobFailure] = []

        def prepare(private: Path) -> Generator[None, None, dict[str, Any]]:
            images, placed = None, comparison
            if chosen.volume is not None:
                images = yield from read_case_steps(chosen.volume, chosen.prediction, chosen.reference)
                placed = comparison_on_scan(comparison, chosen.volume)
            facts = provenance_facts(chosen.prediction, chosen.reference, chosen.volume)
            findings = self._plausibility.findings or ()
            report = CaseReport(placed, findings, self.verdict.verdict, facts, pictures, images)
            return {"report": (yield from report_steps(report, private)), "folder": str(folder)}

        def succeed(answer: dict[str, Any]) -> None:
            self._written = Path(answer["path"])

        self._task = task = WorkerTask(self._worker, "report", prepare, succeed, failures.append, self._on_progress)
        task.start()
        try:
            while self._written is None and not failures:
                yield
        finally:
            task.stop()
            self._task = None
        if failures:
            raise JobFailedError(failures[0])

    def _on_progress(self, done: int, total: int) -> None:
        self._ui.reportProgressBar.setRange(0, total)
        self._ui.reportProgressBar.setValue(done)

    def _on_end(self, failure: JobFailure | None) -> None:
        if failure is not None:
            note = failure_note(failure)
            self._notes.show([replace(note, text=ENDED) if failure.kind == "crash" else note])
        elif self._written is not None:
            self.path = self._written
            without = (
                ""
                if self._plausibility.findings is not None
                else " It holds no findings: section Plausibility says why."
            )
            self._notes.show([Note("pass", f"written to {self.path}.{without}")])
        elif not self.notes:
            self._notes.show(
                [Note("error", "No report was written: section Compare says why nothing could be compared.")]
            )
        self._show()

    def _on_button(self, checked: bool = False) -> None:
        if self.is_busy:
            self.stop()
            self._notes.show([Note("info", "cancelled; nothing is left of the report but what was there before.")])
            return
        folder = self.ask_for_folder("Folder for the report", qt.QSettings().value(FOLDER_KEY) or "")
        if not folder:
            return
        there = outputs_in(folder)
        if there and not self._ask(f"{folder} holds {', '.join(there)} already. Replace what is there by the report?"):
            self._notes.show([Note("info", f"what is in {folder} was left as it is.")])
            return
        qt.QSettings().setValue(FOLDER_KEY, folder)
        self.write(folder)

    def _show(self) -> None:
        ui = self._ui
        ui.reportButton.setText("Cancel" if self.is_busy else "Report...")
        ui.reportProgressBar.setVisible(self.is_busy)
        ui.openReportButton.setVisible(not self.is_busy and self.path is not None)
        ui.openReportButton.setToolTip(str(self.path or ""))
        self.update()
