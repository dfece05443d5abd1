"""From a volume node to a segmentation node, without waiting: what the panel's Apply and the scripting interface both do."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import qt
import slicer
from slicer.util import VTKObservationMixin

from .. import __version__
from ..engine.card import Card
from ..engine.errors import InputError
from ..engine.segmentation import Segmentation
from ..engine.volume import Note
from ..scene import nodes
from ..scene.scan import empty_volume
from .process import Failure, WorkerProcess
from .run import Outcome, Progress, RunCallbacks, SegmentationRun

SCAN_REMOVED = "The scan was removed from the scene, so the run was stopped."


@dataclass(frozen=True)
class Choices:
    """What a person chose for one run; a `segmentation_node` of None makes a new one."""

    checkpoint: str
    device: str = "auto"
    segmentation_node: Any = None
    surfaces: bool = True
    keep_partial: bool = True


@dataclass(frozen=True)
class Result:
    """How a job ended: the segmentation node if there is one, the outcome of the run, and what there is to say."""

    node: Any
    outcome: Outcome
    notes: tuple[Note, ...]

    @property
    def failure(self) -> Failure | None:
        return self.outcome.failure


class SegmentationJob(VTKObservationMixin):
    """Reads the card, runs the worker, puts the result beside the scan; watches the scan meanwhile.

    on_progress(Progress) is called once a batch and on_end(Result) exactly once, unless the job is abandoned.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        volume_node: Any,
        choices: Choices,
        on_progress: Callable[[Progress], None],
        on_end: Callable[[Result], None],
    ) -> None:
        VTKObservationMixin.__init__(self)
        self._worker, self._volume_node, self.choices = worker, volume_node, choices
        self._on_progress, self._on_end = on_progress, on_end
        self._card: Card | None = None
        self._sha256 = ""
        self._run: SegmentationRun | None = None
        self._request: int | None = None
        self._ended = self._scan_changed = self._scan_removed = self.is_abandoned = False
        self._replaced_id = choices.segmentation_node.GetID() if choices.segmentation_node is not None else None

    def start(self) -> None:
        """Begin; returns at once. Raises InputError if there is no scan to segment."""
        if self._volume_node is None:
            raise InputError("There is no scan to segment; load a CT and choose it as the volume.")
        problem = empty_volume(self._volume_node)
        if problem is not None:
            raise InputError(problem.text)
        self._geometry = nodes.volume_geometry(self._volume_node)
        self.addObserver(slicer.mrmlScene, slicer.vtkMRMLScene.NodeRemovedEvent, self._on_scene_changed)
        self.addObserver(slicer.mrmlScene, slicer.vtkMRMLScene.StartCloseEvent, self._on_scene_closing)
        self.addObserver(self._volume_node, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent, self._on_scan_changed)
        self._request = self._worker.request(
            "describe", self._on_card, self._on_unreadable, checkpoint=self.choices.checkpoint
        )

    def cancel(self) -> None:
        """End within a second and keep what is finished if that was chosen."""
        if self._ended:
            return
        if self._run is not None:
            self._run.cancel()
        else:
            self._worker.forget(self._request)
            self._finish(Outcome(None, 0, 0, cancelled=True))

    def abandon(self) -> None:
        """End at once and tell nobody: the scene is closing."""
        self._ended = self.is_abandoned = True
        self.removeObservers()
        if self._run is not None:
            self._run.abandon()
        elif self._request is not None:
            self._worker.forget(self._request)

    def _on_card(self, answer: dict[str, Any]) -> None:
        try:
            self._card = Card.from_json(json.dumps(answer["card"]))
        except InputError as error:
            self._on_unreadable(Failure("input", str(error)))
            return
        self._sha256 = answer["sha256"]
        self._run = SegmentationRun(
            self._worker,
            slicer.util.arrayFromVolume(self._volume_node),
            self._geometry,
            self.choices.checkpoint,
            self.choices.device,
            self._volume_node.GetName(),
            RunCallbacks(self._on_progress, self._finish),
        )
        self._run.start()

    def _on_unreadable(self, failure: Failure) -> None:
        self._finish(Outcome(None, 0, 0, failure=failure))

    def _on_scan_changed(self, caller: Any = None, event: Any = None) -> None:
        self._scan_changed = True

    def _on_scene_closing(self, caller: Any = None, event: Any = None) -> None:
        self.abandon()

    def _on_scene_changed(self, caller: Any = None, event: Any = None) -> None:
        if not self._ended and not self._scan_removed and not slicer.mrmlScene.IsNodePresent(self._volume_node):
            self._scan_removed = True
            self.cancel()

    def _finish(self, outcome: Outcome) -> None:
        if self._ended:
            return
        self._ended = True
        self.removeObservers()
        if self._scan_removed:
            failure = Failure("input", SCAN_REMOVED)
            self._on_end(
                Result(None, Outcome(None, 0, 0, cancelled=True, failure=failure), (Note("error", SCAN_REMOVED),))
            )
            return
        if not self._has_result(outcome):
            self._on_end(Result(None, outcome, self._words(outcome, None)))
            return
        node = self._show(outcome)
        self._on_end(Result(node, outcome, self._words(outcome, node)))
        if self.choices.surfaces and not outcome.complete:
            node_id = node.GetID()  # a cancel ends at once; what takes a second comes after it
            qt.QTimer.singleShot(50, lambda: make_surfaces_of(node_id))

    def _has_result(self, outcome: Outcome) -> bool:
        return (
            outcome.labels is not None and outcome.slices_done > 0 and (outcome.complete or self.choices.keep_partial)
        )

    def _show(self, outcome: Outcome) -> Any:
        name = f"{self._volume_node.GetName()} {self._card.title}"
        if not outcome.complete:
            name += f" (partial: {outcome.slices_done} of {outcome.slices} slices)"
        segmentation = Segmentation(
            outcome.labels, self._geometry, self._card.structures, name, confidence=outcome.confidence
        )
        replaced = slicer.mrmlScene.GetNodeByID(self._replaced_id) if self._replaced_id else None
        node = nodes.segmentation_to_node(
            segmentation,
            slicer.mrmlScene,
            self._volume_node,
            node=replaced,
            name=name if replaced is None or is_own_result(replaced) else None,
            provenance=self._provenance(outcome),
            surfaces=self.choices.surfaces and outcome.complete,
        )
        logging.info("UNetSegmenter: %s with %s in %.1f s", name, self._sha256[:12], outcome.seconds)
        return node

    def _provenance(self, outcome: Outcome) -> dict[str, str]:
        return {
            "Checkpoint": self._card.title,
            "CheckpointSHA256": self._sha256,
            "CheckpointPath": self.choices.checkpoint,
            "Version": __version__,
            "Device": outcome.device or self.choices.device,
            "Seconds": f"{outcome.seconds:.1f}",
            "Slices": f"{outcome.slices_done} of {outcome.slices}",
            "Complete": str(outcome.complete).lower(),
            "ScanChangedDuringRun": str(self._scan_changed).lower(),
        }

    def _words(self, outcome: Outcome, node: Any) -> tuple[Note, ...]:
        notes = []
        if outcome.failure is not None:
            notes.append(Note("error", outcome.failure.message))
        kept = f'kept in "{node.GetName()}", marked as partial' if node is not None else "not kept"
        if outcome.complete and node is not None:
            notes.append(Note("pass", f'"{node.GetName()}" in {outcome.seconds:.1f} s on {outcome.device}.'))
            missing = absent_structures(outcome.labels, self._card)
            if missing:
                notes.append(Note("warning", f"not found in this scan: {', '.join(missing)}."))
        elif outcome.slices_done:
            how = "cancelled" if outcome.cancelled else "stopped"
            notes.append(
                Note("info", f"{how} after {outcome.slices_done} of {outcome.slices} slices, which are {kept}.")
            )
        elif outcome.cancelled:
            notes.append(Note("info", "cancelled before the first slice; nothing was changed."))
        if self._scan_changed and node is not None:
            notes.append(
                Note(
                    "warning", "the scan was changed during the run; the result belongs to the scan as it was at Apply."
                )
            )
        return tuple(notes)


def make_surfaces_of(node_id: str) -> None:
    """Show a segmentation in 3D if it is still in the scene."""
    node = slicer.mrmlScene.GetNodeByID(node_id)
    if node is not None:
        nodes.make_surfaces(node)


def absent_structures(labels: np.ndarray, card: Card) -> list[str]:
    """Names of the card's structures that have no voxel in `labels`."""
    present = np.zeros(256, dtype=bool)
    for one_slice in labels:  # of a whole volume, bincount would make eight times its size
        present |= np.bincount(one_slice.reshape(-1), minlength=256) > 0
    return [structure.name for structure in card.structures if not present[structure.index]]


def is_own_result(node: Any) -> bool:
    """Whether a segmentation node was made by this module and may be replaced without asking."""
    return bool(node.GetAttribute(nodes.ATTRIBUTE_PREFIX + "CheckpointSHA256"))
