"""Section Report: the reviewer's verdict, and one folder with everything that is known of the case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import qt
import slicer

from ...engine.evaluation.comparison import Comparison
from ...engine.evaluation.verdict import Verdict
from ...engine.io.volume import Note
from ...engine.report.report_folder import CaseReport, outputs_in
from ...engine.worker.result_serialization import report_steps
from ...scene.nodes.case_nodes import provenance_facts, read_case_steps
from ...scene.nodes.world_positions import comparison_on_scan
from ..jobs.step_driver import Wait, Work
from ..jobs.worker_process import WorkerProcess
from ..jobs.worker_request import answer_steps
from ..widgets.plain_tip import plain_tip
from ..widgets.verdict_editor import VerdictEditor
from ..widgets.view_widgets import Picture, picture_steps
from .compare_section import CompareSection
from .plausibility_section import PlausibilitySection
from .section import WorkSection, WorkWidgets

FOLDER_KEY = "UNetSegmenter/ReportFolder"
CANCELLED = "cancelled; nothing is left of the report but what was there before."
TIP = "Compares and checks what is chosen if that is still to be done, and writes report.html, metrics.csv and summary.json."


def ask_for_folder(title: str, start: str) -> str:
    """Where files are to go; empty if the user changed their mind. Tests put their own answer in."""
    return qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, start)


def open_in_browser(path: str) -> None:
    """Show a page as the computer shows pages."""
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(path))


class ReportSection(WorkSection):
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
        button, bar = ui.reportButton, ui.reportProgressBar
        widgets = WorkWidgets(button, bar, "Report...", "The report", "writes the report", CANCELLED)
        WorkSection.__init__(self, ui.reportNotesFrame, widgets)
        self._ui, self._worker, self._ask = ui, worker, ask
        self._compare, self._plausibility = compare, plausibility
        self.ask_for_folder: Callable[[str, str], str] = ask_for_folder
        self.open_in_browser: Callable[[str], None] = open_in_browser
        self.verdict = VerdictEditor(ui, on_verdict)
        self.path: Path | None = None
        self._node: Any = None
        ui.reportCollapsibleButton.collapsed = True
        show = self.slot(lambda checked: self.open_in_browser(str(self.path)), "Showing the report")
        ui.openReportButton.connect("clicked(bool)", show)
        self._show()

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
        self._enable_work(self._compare.reason(), "Stop writing the report.", TIP)

    def write(self, folder: Path | str) -> None:
        """Write the report of what is chosen into this folder; the notes say how it ended."""
        self._notes.show([])
        self._do(self._steps(Path(folder)), self._on_written)

    def close(self) -> None:
        """The scene is closing, or the panel."""
        self.choose(None)

    def _steps(self, folder: Path) -> Work:
        """Returns the path of the report, None if there was nothing to report on."""
        yield from compare_and_check_steps(self._compare, self._plausibility)
        comparison = self._compare.comparison
        if comparison is None:
            return None  # section Compare says why
        pictures = yield from picture_steps()
        with self._worker.job_folder("report") as private:
            shown = self._compare.in_chosen_colors(comparison)
            report = yield from self._request_steps(private, shown, pictures)
            answer = yield from answer_steps(
                self._worker, "report", self._on_progress, report=report, folder=str(folder)
            )
        return Path(answer["path"])

    def _request_steps(self, private: Path, comparison: Comparison, pictures: list[Picture]) -> Work:
        """Write the arrays of the report into the job's folder; returns the report as the worker reads it."""
        chosen, images = self._plausibility.chosen, None
        if chosen.volume is not None:
            images = yield from read_case_steps(chosen.volume, chosen.prediction, chosen.reference)
            images = replace(images, volume=replace(images.volume, intensities=chosen.intensities))
            comparison = comparison_on_scan(comparison, chosen.volume)
        facts = provenance_facts(chosen.prediction, chosen.reference, chosen.volume)
        findings = self._plausibility.findings or ()
        limits = chosen.limits if findings else ""
        report = CaseReport(comparison, findings, self.verdict.verdict, facts, pictures, images, limits)
        return (yield from report_steps(report, private))

    def _on_written(self, path: Path | None) -> None:
        if path is not None:
            self.path = path
            lacking = (
                ""
                if self._plausibility.findings is not None
                else " It holds no findings: section Plausibility says why."
            )
            self._notes.show([Note("pass", f"written to {path}.{lacking}")])
        elif not self.notes:
            nothing = "No report was written: section Compare says why nothing could be compared."
            self._notes.show([Note("error", nothing)])
        self._show()

    def _begin(self) -> None:
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
        self._show_work()
        ui.openReportButton.setVisible(not self.is_busy and self.path is not None)
        ui.openReportButton.setToolTip(plain_tip(str(self.path or "")))
        self.update()


def compare_and_check_steps(compare: CompareSection, plausibility: PlausibilitySection) -> Work:
    """Compare and check what is chosen, as far as that has not been done; each section says itself what went wrong."""
    try:
        while compare.is_blocked:
            yield Wait()  # a scan is being segmented
        if compare.comparison is None and not compare.is_busy and not compare.reason():
            compare.compare()
        while compare.is_busy:
            yield Wait()
        if plausibility.findings is None and not plausibility.is_busy and not plausibility.reason():
            plausibility.check()
        while plausibility.is_busy:
            yield Wait()
    except GeneratorExit:
        compare.stop()
        plausibility.stop()
        raise
