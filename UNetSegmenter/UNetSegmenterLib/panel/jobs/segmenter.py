"""From a volume node to a segmentation node, without waiting: what the panel's Apply and the scripting interface both do."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import qt
import slicer
from slicer.util import VTKObservationMixin

from ... import __version__
from ...engine.errors import InputError
from ...engine.io.slicing_axis import slicing_axis
from ...engine.io.volume import Note
from ...engine.labels.postprocessing_change import changes_text
from ...engine.labels.segmentation import Segmentation
from ...engine.model.card import Card
from ...scene.nodes.correction import is_changed, labels_time, save_labels_checksum
from ...scene.nodes.node_attributes import ATTRIBUTE_PREFIX, verdict_of
from ...scene.nodes.node_grids import volume_geometry
from ...scene.nodes.scan_checks import volume_error
from ...scene.nodes.scene_nodes import remove_node
from ...scene.nodes.segmentation_to_node import segmentation_to_node
from ...scene.nodes.surfaces import make_surfaces
from .failure import JobFailure, call_safely, failure_note, failure_of
from .segmentation_run import SegmentationOutcome, SegmentationProgress, SegmentationRun
from .step_driver import StepDriver, Work
from .worker_process import WorkerProcess
from .worker_queue import QueueEntry
from .worker_request import answer_steps

SCAN_REMOVED = "The scan was removed from the scene, so the run was stopped."


@dataclass(frozen=True)
class SegmentationOptions:
    """What the user chose for one run; a `segmentation_node` of None makes a new one."""

    checkpoint: str
    device: str = "auto"
    segmentation_node: Any = None
    surfaces: bool = True
    keep_partial: bool = True
    mirroring: bool = False
    postprocessing: bool = True


@dataclass(frozen=True)
class SegmentationResult:
    """How a job ended: the segmentation node if there is one, the outcome of the run, and what there is to say."""

    node: Any
    outcome: SegmentationOutcome
    notes: tuple[Note, ...]

    @property
    def failure(self) -> JobFailure | None:
        """Why there is no result, None if there is one."""
        return self.outcome.failure


@dataclass
class JobCallbacks:
    """Callbacks of a job: all are called from the event loop, `on_end` exactly once unless the job is abandoned.

    `on_stage` gets a text that names what is waited for, `on_note` a note on what failed after the end.
    """

    on_progress: Callable[[SegmentationProgress], None] = field(default=lambda progress: None)
    on_end: Callable[[SegmentationResult], None] = field(default=lambda result: None)
    on_stage: Callable[[str], None] = field(default=lambda text: None)
    on_note: Callable[[Note], None] = field(default=lambda note: None)


class SegmentationJob(VTKObservationMixin):
    """Waits for its turn, reads the card, runs the worker, puts the result beside the scan; watches the scan meanwhile.

    Whatever goes wrong on the way is a SegmentationResult with a failure. Nothing is held after the end.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        volume_node: Any,
        options: SegmentationOptions,
        callbacks: JobCallbacks | None = None,
    ) -> None:
        VTKObservationMixin.__init__(self)
        self._worker, self._volume_node, self.options = worker, volume_node, options
        self._callbacks = callbacks or JobCallbacks()
        self._card: Card | None = None
        self._sha256 = ""
        self._run: SegmentationRun | None = None
        self._entry: QueueEntry | None = None
        self._driver = StepDriver(self._steps(), self._finish, self._fail, subject="The segmentation")
        self._ended = self._scan_changed = self._scan_removed = self.is_abandoned = False
        self._replaced_id = options.segmentation_node.GetID() if options.segmentation_node is not None else None
        self._replaced_time = labels_time(options.segmentation_node) if self._replaced_id else 0
        self._made: Any = None  # a node that this job has added

    def start(self) -> None:
        """Begin; returns at once. Raises InputError if there is no scan to segment."""
        if self._volume_node is None:
            raise InputError("There is no scan to segment; load a CT and choose it as the volume.")
        problem = volume_error(self._volume_node)
        if problem is not None:
            raise InputError(problem.text)
        self.addObserver(slicer.mrmlScene, slicer.vtkMRMLScene.NodeRemovedEvent, self._on_scene_changed)
        self.addObserver(slicer.mrmlScene, slicer.vtkMRMLScene.StartCloseEvent, self._on_scene_closing)
        self._entry = self._worker.queue.enter(self._volume_node.GetName())
        if self._entry.before:
            self._on_wait(self._entry.before)
        self._driver.start()

    def cancel(self) -> None:
        """End within a second and keep what is finished if that was chosen."""
        if self._ended:
            return
        if self._run is None or not self._run.cancel():
            self._driver.stop()
            self._finish(SegmentationOutcome(None, 0, 0, cancelled=True))

    def abandon(self) -> None:
        """End at once without a call: the scene is closing."""
        run, self.is_abandoned = self._run, True
        if not self._ended:
            self._free()
            if run is not None:
                run.abort()
            self._driver.stop()

    @property
    def is_running(self) -> bool:
        """Whether the network has been asked for this scan's labels and has not ended."""
        return self._run is not None and self._run.request is not None

    def _steps(self) -> Work:
        if self._entry is not None:
            yield from self._entry.turn_steps(self._on_wait)
        self._begin()
        answer = yield from answer_steps(self._worker, "describe", checkpoint=self.options.checkpoint)
        self._card, self._sha256 = Card.from_json(json.dumps(answer["card"])), answer["sha256"]
        self._run = SegmentationRun(
            self._worker,
            slicer.util.arrayFromVolume(self._volume_node),
            self._geometry,
            self.options.checkpoint,
            device=self.options.device,
            mirroring=self.options.mirroring,
            postprocessing=self.options.postprocessing,
            name=self._volume_node.GetName(),
            slicing_axis=self._card.preprocessing.slicing(self._geometry).axis,
            on_progress=self._callbacks.on_progress,
        )
        return (yield from self._run.steps())

    def _on_wait(self, names: Sequence[str]) -> None:
        before = ", ".join(f'"{name}"' for name in names)
        self._callbacks.on_stage(f"Waits until {before} {'is' if len(names) == 1 else 'are'} segmented...")

    def _begin(self) -> None:
        """It is this job's turn: the scan that is there now is the one that is segmented."""
        self._callbacks.on_stage("Handing the scan to the network...")
        self._geometry = volume_geometry(self._volume_node)
        self.addObserver(self._volume_node, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent, self._on_scan_changed)
        replaced = slicer.mrmlScene.GetNodeByID(self._replaced_id) if self._replaced_id else None
        if replaced is not None and is_own_result(replaced) and not is_changed(replaced):
            self._replaced_time = labels_time(
                replaced
            )  # filled by the job before this one, not by hand while it waited

    def _fail(self, failure: JobFailure) -> None:
        self._finish(SegmentationOutcome(None, 0, 0, failure=failure))

    def _on_scan_changed(self, caller: Any = None, event: Any = None) -> None:
        self._scan_changed = True

    def _on_scene_closing(self, caller: Any = None, event: Any = None) -> None:
        self.abandon()

    def _on_scene_changed(self, caller: Any = None, event: Any = None) -> None:
        if not self._ended and not self._scan_removed and not slicer.mrmlScene.IsNodePresent(self._volume_node):
            self._scan_removed = True
            self.cancel()

    def _finish(self, outcome: SegmentationOutcome) -> None:
        if self._ended:
            return
        callbacks = self._callbacks
        try:
            result = self._result(outcome)
        except Exception as error:
            if self._made is not None:
                call_safely(remove_node, self._made)
            failure = failure_of(error, "Showing the result")
            result = SegmentationResult(None, replace(outcome, labels=None, failure=failure), (failure_note(failure),))
        self._free()
        call_safely(callbacks.on_end, result)
        if result.node is not None and self.options.surfaces and not outcome.complete:
            node_id = result.node.GetID()  # a cancel ends at once; what takes a second comes after it
            qt.QTimer.singleShot(50, lambda: make_surfaces_of(node_id, callbacks.on_note))

    def _free(self) -> None:
        """Let go of everything, and let the next one begin."""
        self._ended = True
        self.removeObservers()
        self._callbacks, self._run, self._made = JobCallbacks(), None, None
        if self._entry is not None:
            self._entry.leave()

    def _result(self, outcome: SegmentationOutcome) -> SegmentationResult:
        """Put what there is into the scene."""
        if self._scan_removed:
            failure = JobFailure("input", SCAN_REMOVED)
            ended = SegmentationOutcome(None, 0, 0, cancelled=True, failure=failure)
            return SegmentationResult(None, ended, (Note("error", SCAN_REMOVED),))
        without_labels = replace(outcome, labels=None)
        if not self._has_result(outcome):
            return SegmentationResult(None, without_labels, self._result_notes(outcome, None))
        notes: list[Note] = []
        node = self._show(outcome, notes)
        return SegmentationResult(node, without_labels, (*self._result_notes(outcome, node), *notes))

    def _has_result(self, outcome: SegmentationOutcome) -> bool:
        return (
            outcome.labels is not None and outcome.slices_done > 0 and (outcome.complete or self.options.keep_partial)
        )

    def _show(self, outcome: SegmentationOutcome, notes: list[Note]) -> Any:
        card, labels = self._card, outcome.labels
        assert card is not None and labels is not None, "there is no result without them"
        name = f"{self._volume_node.GetName()} {card.title}"
        if not outcome.complete:
            name += f" (partial: {_slices_text(outcome)})"
        segmentation = Segmentation(
            labels, self._geometry, card.structures, name,
            confidence=outcome.confidence, postprocessing=outcome.postprocessing, slicing_axis=outcome.slicing_axis,
        )  # fmt: skip
        replaced = slicer.mrmlScene.GetNodeByID(self._replaced_id) if self._replaced_id else None
        if replaced is not None and labels_time(replaced) != self._replaced_time:
            text = (
                f'"{replaced.GetName()}" was changed during the run and was left as it is; the result stands beside it.'
            )
            notes.append(Note("warning", text))
            replaced = None
        node = segmentation_to_node(
            segmentation,
            slicer.mrmlScene,
            self._volume_node,
            node=replaced,
            name=name if replaced is None or is_own_result(replaced) else None,
            provenance=self._provenance(outcome, card),
            surfaces=False,
        )
        self._made = node if replaced is None else None
        save_labels_checksum(node)
        if self.options.surfaces and outcome.complete:
            make_surfaces_of(node.GetID(), notes.append)
        logging.info("UNetSegmenter: %s with %s in %.1f s", name, self._sha256[:12], outcome.seconds)
        return node

    def _provenance(self, outcome: SegmentationOutcome, card: Card) -> dict[str, str]:
        return {
            "Checkpoint": card.title,
            "CheckpointSHA256": self._sha256,
            "CheckpointPath": self.options.checkpoint,
            "Version": __version__,
            "Device": outcome.device or self.options.device,
            "Mirroring": str(self.options.mirroring).lower(),
            "Postprocessing": str(
                bool(card.postprocessing) and self.options.postprocessing and outcome.complete
            ).lower(),
            "Seconds": f"{outcome.seconds:.1f}",
            "Slices": f"{outcome.slices_done} of {outcome.slices}",
            "Complete": str(outcome.complete).lower(),
            "ScanChangedDuringRun": str(self._scan_changed).lower(),
        }

    def _result_notes(self, outcome: SegmentationOutcome, node: Any) -> tuple[Note, ...]:
        notes = []
        if outcome.failure is not None:
            notes.append(failure_note(outcome.failure))
        kept = f'kept in "{node.GetName()}", marked as partial' if node is not None else "not kept"
        if outcome.complete and node is not None:
            notes.append(Note("pass", f'"{node.GetName()}" in {outcome.seconds:.1f} s on {outcome.device}.'))
            card, labels = self._card, outcome.labels
            missing = absent_structures(labels, card) if card is not None and labels is not None else ()
            if missing:
                notes.append(Note("warning", f"not found in this scan: {', '.join(missing)}."))
            if card is not None:
                named = ((one.name, outcome.postprocessing.get(one.index)) for one in card.structures)
                if changed := changes_text((name, change) for name, change in named if change):
                    notes.append(Note("info", changed))
        elif outcome.slices_done:
            how = "cancelled" if outcome.cancelled else "stopped"
            notes.append(Note("info", f"{how} after {_slices_text(outcome)}, which are {kept}."))
        elif outcome.cancelled:
            notes.append(Note("info", "cancelled before the first slice; nothing was changed."))
        if self._scan_changed and node is not None:
            notes.append(
                Note(
                    "warning", "the scan was changed during the run; the result belongs to the scan as it was at Apply."
                )
            )
        return tuple(notes)


def _slices_text(outcome: SegmentationOutcome) -> str:
    return slicing_axis(outcome.slicing_axis).in_words(f"{outcome.slices_done} of {outcome.slices} slices")


def make_surfaces_of(node_id: str, on_note: Callable[[Note], None]) -> None:
    """Show a segmentation in 3D if it is still in the scene; if that fails there is still a result, and a note."""
    node = slicer.mrmlScene.GetNodeByID(node_id)
    try:
        if node is not None:
            make_surfaces(node)
    except Exception as error:
        call_safely(on_note, failure_note(failure_of(error, f'Making the 3D surfaces of "{node.GetName()}"')))


def absent_structures(labels: np.ndarray, card: Card) -> list[str]:
    """Names of the card's structures that have no voxel in `labels`."""
    present = np.zeros(256, dtype=bool)
    for one_slice in labels:  # of a whole volume, bincount would make eight times its size
        present |= np.bincount(one_slice.reshape(-1), minlength=256) > 0
    return [structure.name for structure in card.structures if not present[structure.index]]


def is_own_result(node: Any) -> bool:
    """Whether a segmentation node was made by this module and may be replaced without asking."""
    return bool(node.GetAttribute(ATTRIBUTE_PREFIX + "CheckpointSHA256"))


def question_before(node: Any) -> str:
    """What to ask before a segmentation node is filled with a result; empty if no work is lost by it."""
    if not node.GetSegmentation().GetNumberOfSegments():
        return ""
    if not is_own_result(node):
        what = "was not made by UNetSegmenter: it may be a ground truth or other work of yours"
    elif is_changed(node):
        what = "was changed by hand since it was made"
    elif verdict_of(node):
        what = "has a reviewer's verdict, which goes with it"
    else:
        return ""
    return f'"{node.GetName()}" {what}. Replace everything in it by the result?'
