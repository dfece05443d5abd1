"""The panel: its sections wired to each other, to the parameter node and to the worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import slicer

from ..engine.evaluation.verdict import Verdict
from ..engine.io.volume import HU, SOFT_TISSUE_HU, Note
from ..engine.labels.structures import Structure
from .jobs.dependencies import ONNX, PYTORCH, Installer, Package
from .jobs.failure import failure_note, failure_of, safe_slot
from .jobs.probability_run import ProbabilityWish
from .jobs.segmenter import JobCallbacks, SegmentationJob, SegmentationOptions, SegmentationResult
from .jobs.worker_process import WorkerProcess
from .remembered import LastChoices, recall
from .sections.compare_section import CompareSection
from .sections.correct_section import CorrectionActions, CorrectSection
from .sections.error_views import ErrorViews
from .sections.import_section import ImportSection, is_importable
from .sections.model_section import ModelSection, model_at_hand
from .sections.plausibility_section import CheckedNodes, PlausibilitySection
from .sections.probability_view import ProbabilityView
from .sections.report_section import ReportSection
from .sections.result_views import ResultViews
from .sections.review_actions import PanelReviewActions
from .sections.review_section import ReviewSection
from .sections.run_options import mirror_axes, show_run_options
from .sections.scan_section import ScanSection
from .sections.segment_section import SegmentSection
from .sections.side_by_side_views import SideBySideViews
from .widgets.drop_frame import take_drops
from .widgets.keyboard import Keyboard
from .widgets.notes import NoteList
from .widgets.widths import keep_all_narrow

NODES = ("inputVolume", "outputSegmentation", "comparedPrediction", "groundTruth")


def ask_with_dialog(question: str) -> bool:
    """The only function that opens a question; tests put their own answer in."""
    return bool(slicer.util.confirmOkCancelDisplay(question, windowTitle="UNetSegmenter"))


def open_segment_editor(segmentation_node: Any, volume_node: Any) -> None:
    """Show the Segment Editor with a segmentation and its scan."""
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    editor.setSegmentationNode(segmentation_node)
    if volume_node is not None:
        editor.setSourceVolumeNode(volume_node)


class Panel:
    """Lives as long as the module's widget; `set_parameters` gives it the parameter node of the scene."""

    def __init__(
        self,
        ui: Any,
        worker: WorkerProcess,
        ask: Callable[[str], bool] = ask_with_dialog,
        open_editor: Callable[[Any, Any], None] = open_segment_editor,
    ) -> None:
        self.ui, self.worker, self.ask = ui, worker, ask
        self._parameters: Any = None
        self._last_choices = LastChoices()
        self._installer = Installer(self._ask, self._on_install_line, self._on_install_end)
        self._dependency_notes = NoteList(ui.dependencyNotesFrame)
        self._is_complete = False  # sections report changes while they are made
        self.result_views = ResultViews()
        self.model = ModelSection(ui, worker, self._on_path, self._on_model, self.open)
        self.imports = ImportSection(ui, worker, lambda: self.scan.node, self.model.choose, self._import_problem)
        self._wanted: Package | None = None  # the package that is offered now
        self._import_waits = False  # for ONNX Runtime
        self._drop_frame = take_drops(ui.modelCollapsibleButton, self.open)
        self.scan = ScanSection(ui, self.update)
        self.segment = SegmentSection(ui, self._start_job, self._ask, self._choices, self.blocker, self._correct)
        self.segment.waits = lambda: self.model.is_pending
        self.probability = ProbabilityView(ui, worker, self._probability_wish)
        self.compare = CompareSection(ui, worker, self._worker_is_busy, self._case, self.update)
        self.errors = ErrorViews(ui)
        self.compare.slices.on_choice.append(self.errors.follow)
        self.views = SideBySideViews(ui, self.compare.slices, self.compare.say, self._window_hu)
        self.plausibility = PlausibilitySection(ui, worker, self._worker_is_busy)
        around = CorrectionActions(
            self._worker_is_busy, self._ask, self._leave_views, open_editor, self._reviewer, self._choose_prediction
        )
        self.correct = CorrectSection(ui, worker, around)
        self.report = ReportSection(ui, worker, self.compare, self.plausibility, self._ask, self._on_verdict)
        self.review = ReviewSection(ui, worker, PanelReviewActions(self))
        ui.installButton.connect(
            "clicked(bool)", safe_slot(self._on_install, self._dependency_notes.show, "The installation")
        )
        ui.installLog.setVisible(False)
        keep_all_narrow(ui)
        self.keyboard = Keyboard(ui, self.model.card_frame.more)
        worker.queue.on_change = self.update  # scripts segment too
        self._is_complete = True
        self.look_for_packages()

    def open(self, path: str) -> None:
        """Choose or import what was dropped: a checkpoint, an ONNX file, an nnU-Net folder or zip."""
        if is_importable(path):
            self.imports.open(path)
        elif path.lower().endswith(".onnx"):
            self.imports.open_or_choose(path, self.model.choose)
        else:
            self.model.choose(path)

    def fill(self, parameters: Any) -> None:
        """Give the parameters of a new scene the choices of before: the model that is chosen or at hand, the options."""
        recall(parameters)
        self.fill_model(parameters)

    def fill_model(self, parameters: Any) -> None:
        """Give parameters that name no model the one that is chosen or at hand."""
        if not parameters.checkpointPath:
            parameters.checkpointPath = self.model.path or model_at_hand()

    def set_parameters(self, parameters: Any) -> None:
        """Take another scene's choices, or None while there is no scene."""
        self._parameters = parameters
        self.on_parameters()

    @property
    def parameters(self) -> Any:
        """The parameter node of the scene, None while there is no scene."""
        return self._parameters

    @property
    def dependency_notes(self) -> tuple[Note, ...]:
        """What is said about PyTorch or ONNX Runtime."""
        return self._dependency_notes.notes

    @property
    def is_installing(self) -> bool:
        """Whether a package is being installed."""
        return self._installer.is_running

    def on_parameters(self) -> None:
        """The parameter node changed: follow it."""
        parameters = self._parameters
        self.scan.set_node(parameters.inputVolume if parameters is not None else None)
        self.result_views.follow(self.scan.node)
        if parameters is None:
            self.compare.set_nodes(None, None)
        else:
            self.compare.set_nodes(parameters.comparedPrediction, parameters.groundTruth)
            self._last_choices.keep(parameters)
            self.errors.set_scale(parameters.distanceScale)
            self.review.choose(parameters.reviewFolder, parameters.reviewResults, parameters.reviewCase)
            if parameters.checkpointPath != self.model.path:
                self.model.choose(parameters.checkpointPath)
        self.update()

    def blocker(self) -> str:
        """Why Apply cannot be pressed, in one sentence; empty if it can."""
        model = self.model
        if not model.can_read:
            return PYTORCH.missing
        if not model.path:
            return "Choose a checkpoint first: it holds the trained network."
        if model.refusal:
            return model.refusal
        if self.scan.node is None:
            return "Load a CT scan and choose it as the volume."
        return self.scan.error

    def update(self) -> None:
        """Let every section follow what is chosen and what goes on in the others."""
        if not self._is_complete:
            return
        compare, checked = self.compare, self._checked()
        self.segment.update()
        self.imports.update("" if self.model.can_read else PYTORCH.missing)
        reason = (
            self.blocker() or self._worker_is_busy() or ("" if self.model.card else "Wait until the model is read.")
        )
        self.probability.choose(self.scan.node, self.model.sha256, self.model.card, reason)
        compare.update()
        self.errors.choose(compare.prediction_node, compare.reference_node, compare.comparison)
        self.plausibility.choose(checked)
        self.plausibility.update()
        self.correct.choose(checked.prediction, checked.volume)
        self.views.choose(checked.volume, checked.prediction, checked.reference)
        self.report.choose(checked.prediction)
        self.report.update()
        self.views.update("" if checked.prediction and checked.reference else compare.reason())

    def look_for_packages(self) -> None:
        """Show or hide the offer to install what the model needs, and go on where the user was."""
        has_torch = PYTORCH.is_installed()
        self._offer(self._lacking() if has_torch else PYTORCH)
        if has_torch and not self.model.can_read:
            self.model.can_read = True
            self.model.read()
        self.model.can_read = has_torch
        self.update()

    def _offer(self, wanted: Package | None) -> None:
        """Offer to install a package, or nothing."""
        self._wanted = wanted
        self.ui.dependencyFrame.setVisible(wanted is not None)
        if wanted is not None:
            self.ui.installButton.setText(f"Install {wanted.title}...")
            self.ui.installButton.setToolTip(
                f"Asks first, then downloads and installs {wanted.title} into this Slicer."
            )
            self._dependency_notes.show([Note("warning", wanted.missing)])

    def _import_problem(self, path: str) -> str:
        """Why a model cannot be imported now; ONNX Runtime is offered where it is missing."""
        if not self.model.can_read:
            return PYTORCH.missing
        if path.lower().endswith(".onnx") and not ONNX.is_installed():
            self._import_waits = True
            self._offer(ONNX)
            return ONNX.missing
        return self._worker_is_busy()

    def came_back(self) -> None:
        """The module is shown again, perhaps after a visit to the Segment Editor."""
        if self._parameters is not None:
            self.correct.came_back()

    def close(self) -> None:
        """End everything that would outlive the panel."""
        self.segment.abandon()
        self.views.leave()
        self.result_views.stop()
        self.errors.leave()
        self.probability.close()
        for section in (
            self.correct, self.report, self.review, self.compare, self.plausibility, self.imports, self.model, self.scan,
        ):  # fmt: skip
            section.close()
        self.worker.close()

    def on_scene_closing(self) -> None:
        """The scene is closing: stop what is going on and fold what is empty then.

        A worker that is at something ends at once with it; one that is idle or reads a model, which is of no scene, stays.
        """
        is_at_work = any(request != "describe" for request in self.worker.requests)
        self.review.close()
        self.imports.close()
        self.probability.close()
        self.views.leave()
        self.errors.leave()
        self.segment.abandon()
        self.correct.close()
        self.set_parameters(None)
        for name in ("compare", "plausibility", "correct", "report"):
            getattr(self.ui, f"{name}CollapsibleButton").collapsed = True
        if is_at_work:
            self.worker.close()

    def on_node_going(self, node: Any) -> None:
        """A node is removed: it is chosen no longer. Left alone, Slicer's selectors would choose its neighbour.

        What was shown of it goes with it, and each section says so, also where the selector or the node's own observers
        were faster than this.
        """
        parameters = self._parameters
        if parameters is None:
            return
        about = [section for section in (self.compare, self.plausibility) if section.is_about(node)]
        chosen = [name for name in NODES if getattr(parameters, name) is node]
        if chosen:
            with slicer.util.NodeModify(parameters):
                for name in chosen:
                    setattr(parameters, name, None)
        for section in about:
            section.say_removed(node)

    def _ask(self, question: str) -> bool:
        return self.ask(question)

    def _correct(self, prediction: Any, volume: Any) -> None:
        self.correct.correct(prediction, volume)

    def _leave_views(self) -> None:
        self.views.leave()
        self.errors.leave()

    def _reviewer(self) -> str:
        return self.ui.reviewerLineEdit.text

    def _choose_prediction(self, node: Any) -> None:
        if self._parameters is not None:
            self._parameters.comparedPrediction = node

    def _start_job(self, volume_node: Any, choices: SegmentationOptions, callbacks: JobCallbacks) -> SegmentationJob:
        def end(result: SegmentationResult) -> None:
            callbacks.on_end(result)
            try:
                if result.node is not None and self._parameters is not None:
                    self._parameters.comparedPrediction = result.node
                self.update()
                if result.node is not None:
                    self.result_views.show(result.node, volume_node)
            except Exception as error:
                callbacks.on_note(failure_note(failure_of(error, "Showing the result in the other sections")))

        job = SegmentationJob(self.worker, volume_node, choices, replace(callbacks, on_end=end))
        job.start()
        return job

    def _window_hu(self) -> tuple[float, float] | None:
        """The HU that the model tells apart, else soft tissue; None for a model that does not read HU."""
        preprocessing = self.model.card.preprocessing if self.model.card is not None else None
        if preprocessing is not None and preprocessing.intensities != HU:
            return None
        return (preprocessing is not None and preprocessing.window_hu) or SOFT_TISSUE_HU

    def _worker_is_busy(self) -> str:
        names = self.worker.queue.names
        return f'"{names[0]}" is being segmented; wait until it is done.' if names else ""

    def _checked(self) -> CheckedNodes:
        parameters = self._parameters
        if parameters is None:
            return CheckedNodes()
        reference, card = parameters.groundTruth, self.model.card
        return CheckedNodes(
            parameters.comparedPrediction,
            self.scan.node,
            reference if reference is not parameters.comparedPrediction else None,
            (card.statistics or None) if card is not None else None,
            card.preprocessing.intensities if card is not None else HU,
            card is not None,
        )

    def _on_verdict(self, node: Any, verdict: Verdict) -> None:
        self.review.keep(node, verdict)

    def _case(self) -> str:
        return self.scan.node.GetName() if self.scan.node is not None else ""

    def _choices(self) -> tuple[Any, SegmentationOptions]:
        parameters = self._parameters
        choices = SegmentationOptions(
            checkpoint=self.model.path,
            device=parameters.device,
            segmentation_node=parameters.outputSegmentation,
            surfaces=parameters.showIn3D,
            keep_partial=parameters.keepPartial,
            mirroring=parameters.mirroring and bool(mirror_axes(self.model.card)),
            postprocessing=parameters.postprocessing,
        )
        return parameters.inputVolume, choices

    def _probability_wish(self, structure: Structure) -> ProbabilityWish:
        volume_node, choices = self._choices()
        return ProbabilityWish(volume_node, choices.checkpoint, structure, choices.device, choices.mirroring)

    def _on_path(self, path: str) -> None:
        if self._is_complete:
            self.imports.follow(path)
            self._import_waits = False
        if self._parameters is not None and self._parameters.checkpointPath != path:
            self._parameters.checkpointPath = path

    def _on_model(self) -> None:
        if not self._is_complete:
            return
        self.scan.set_card(self.model.card)
        show_run_options(self.ui, self.model.card)
        self._offer_for_model()
        if self.segment.is_waiting:
            self.scan.check()  # at once: what the card makes of the scan decides whether the run follows
        names = ", ".join(device["name"] for device in self.model.devices)
        tip = 'Where the network runs; "auto" takes the fastest.'
        self.ui.deviceComboBox.setToolTip(f"{tip} Found here: {names}." if names else tip)
        self.update()

    def _offer_for_model(self) -> None:
        """Offer what the model lacks, or nothing any more."""
        lacking = self._lacking() if self.model.can_read else self._wanted
        if lacking is not self._wanted:
            self._offer(lacking)

    def _lacking(self) -> Package | None:
        """ONNX Runtime for a model that needs it, a newer PyTorch where an old one failed."""
        needs_onnx = self._import_waits or self.model.path.lower().endswith(".onnx")
        if needs_onnx and not ONNX.is_installed():
            return ONNX
        return PYTORCH if self.model.has_failed and PYTORCH.too_old() else None

    def _on_install(self, checked: bool = False) -> None:
        self.ui.installButton.setEnabled(False)
        if not self._installer.install(self._wanted or PYTORCH, self.worker.close_if_idle):
            self.ui.installButton.setEnabled(True)

    def _on_install_line(self, line: str) -> None:
        self.ui.installLog.setVisible(True)
        self.ui.installLog.appendPlainText(line.rstrip())

    def _on_install_end(self, error: str) -> None:
        self.ui.installButton.setEnabled(True)
        if error:
            self._dependency_notes.show([Note("error", error)])
            self.update()
        else:
            self.worker.close_if_idle()  # the next one imports what is there now
            self.look_for_packages()
            if self.model.refusal:
                self.model.read()
