"""What the sections of the panel have in common: their notes, one task at a time, and nodes that may change or go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import qt
import slicer
from slicer.util import VTKObservationMixin

from ...engine.io.volume import Note
from ..jobs.failure import JobFailure, call_safely, failure_note, safe_slot
from ..jobs.step_driver import StepDriver, Work
from ..widgets.notes import NoteList
from ..widgets.plain_tip import plain_tip


class Section(VTKObservationMixin):
    """A section that does one task at a time and says in its notes what came of it.

    Work is a generator of steps. However it fails, `_on_failure` gets the reason once, and what the steps held is freed.
    """

    def __init__(self, notes_frame: Any) -> None:
        """Show the notes of this section in a frame of the panel."""
        VTKObservationMixin.__init__(self)
        self._notes = NoteList(notes_frame)
        self._driver: StepDriver | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the section is at work."""
        return self._driver is not None

    @property
    def notes(self) -> tuple[Note, ...]:
        """What the section says now."""
        return self._notes.notes

    def stop(self) -> None:
        """End the work that is going on, without a note."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.stop()
            self._show()

    def slot(self, handler: Callable[[Any], Any], subject: str) -> Callable[[Any], None]:
        """A slot for a signal with one argument; what the handler raises becomes a note: `subject` ("The report") stopped."""
        return safe_slot(handler, self._notes.show, subject)

    def _start(self, steps: Work, on_done: Callable[[Any], None], subject: str) -> None:
        """Run these steps instead of any that are still running; `on_done` gets what they return."""

        def end(value: Any) -> None:
            self._driver = None
            on_done(value)

        def fail(failure: JobFailure) -> None:
            self._driver = None
            self._on_failure(failure)

        self.stop()
        self._driver = StepDriver(steps, end, fail, on_message=self._on_message, subject=subject)
        self._driver.start()
        self._show()

    def _on_message(self, text: str) -> None:
        """A step says what takes long."""

    def _on_failure(self, failure: JobFailure) -> None:
        """The work has failed, and nothing of it is left."""
        self._notes.show([failure_note(failure)])
        self._show()

    def _show(self) -> None:
        """Show how things are; called when work has begun and when it has ended."""


@dataclass(frozen=True)
class WorkWidgets:
    """The button that begins a section's work and cancels it meanwhile, and what is said about that.

    `title` stands on the button ("Compare"), `subject` is what failures stop ("The comparison"), `process` names the worker
    by what it does ("compares"), `cancelled` is the note after a cancel.
    """

    button: Any
    bar: Any
    title: str
    subject: str
    process: str
    cancelled: str = ""


class WorkSection(Section):
    """A section whose work has a button, which becomes Cancel, and a progress bar; `_begin` is called to begin it."""

    def __init__(self, notes_frame: Any, widgets: WorkWidgets) -> None:
        """Follow the button."""
        Section.__init__(self, notes_frame)
        self._work = widgets
        widgets.button.connect("clicked(bool)", self.slot(self._on_work_button, widgets.subject))

    def _begin(self) -> None:
        """The button was pressed while the section was idle."""
        raise NotImplementedError

    def _clear(self) -> None:
        """Take away what may be there of a result, because the work for it failed."""

    def _do(self, steps: Work, on_done: Callable[[Any], None]) -> None:
        """Do the work of the button."""
        self._work.bar.setRange(0, 0)
        self._start(steps, on_done, self._work.subject)

    def _on_work_button(self, checked: bool) -> None:
        if self.is_busy:
            self.stop()
            again = f"cancelled; press {self._work.title} to start again."
            self._notes.show([Note("info", self._work.cancelled or again)])
        else:
            self._begin()

    def _on_progress(self, done: int, total: int) -> None:
        self._work.bar.setRange(0, total)
        self._work.bar.setValue(done)

    def _on_failure(self, failure: JobFailure) -> None:
        note = failure_note(failure)
        if failure.kind == "crash":
            ended = (
                f"The process that {self._work.process} ended unexpectedly; press {self._work.title} to start it again."
            )
            note = replace(note, text=ended)
        call_safely(self._clear)
        self._notes.show([note])
        self._show()

    def _show_work(self) -> None:
        """Button and bar as they are now."""
        self._work.button.setText("Cancel" if self.is_busy else self._work.title)
        self._work.bar.setVisible(self.is_busy)

    def _enable_work(self, reason: str, stop_tip: str, tip: str) -> None:
        """Enable the button, or disable it with the reason in its tooltip."""
        reason = "" if self.is_busy else reason
        self._work.button.setEnabled(not reason)
        self._work.button.setToolTip(plain_tip(reason or (stop_tip if self.is_busy else tip)))


class ResultSection(WorkSection):
    """A section whose result is about nodes: it goes when one of them is changed or removed, and the section says why.

    The removal of a node is heard of in an order that is not defined: a selector goes on to a neighbour or to none, the node's
    own observers fire, the panel hears that the node is going. All of it happens in one call of Slicer's, so the nodes that the
    section was about are remembered until the event loop turns, whatever has cleared the section since.
    """

    def __init__(self, notes_frame: Any, widgets: WorkWidgets, *, lost: str) -> None:
        """`lost` ("the table") is what goes with a removed node."""
        WorkSection.__init__(self, notes_frame, widgets)
        self._lost = lost
        self._recent: list[Any] = []  # nodes that the section was about until this turn of the event loop

    def is_about(self, node: Any) -> bool:
        """Whether the work or the result is about a node, or was until this turn of the event loop."""
        self._remember_nodes()
        return any(one is node for one in self._recent)

    def say_removed(self, node: Any) -> None:
        """Say why the result has gone, now, and after this turn of the event loop again where a later signal has cleared it."""
        warning = [Note("warning", f'"{node.GetName()}" was removed from the scene, and {self._lost} with it.')]
        self._notes.show(warning)
        qt.QTimer.singleShot(0, lambda: None if self.notes else self._notes.show(warning))

    def _result_nodes(self) -> Iterable[Any]:
        """The nodes that the work or the result is about, none if there is neither."""
        raise NotImplementedError

    def _remember_nodes(self) -> None:
        self._recent += self._result_nodes()
        qt.QTimer.singleShot(0, self._recent.clear)

    def _watch(self, nodes: Iterable[Any], changed: str) -> None:
        """Have the result cleared, with a warning, when one of these nodes is changed; the nodes of before are let go."""

        def on_changed(caller: Any = None, event: Any = None) -> None:
            self._remember_nodes()
            if self._recent:
                self.stop()
                self._clear()
                self._notes.show([Note("warning", changed)])

        self.removeObservers()
        for node in nodes:
            self.addObserver(node, slicer.vtkMRMLTransformableNode.TransformModifiedEvent, on_changed)
            if node.IsA("vtkMRMLSegmentationNode"):
                for event in segment_events():
                    self.addObserver(node.GetSegmentation(), event, on_changed)
            else:
                self.addObserver(node, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent, on_changed)


def segment_events() -> tuple[Any, ...]:
    """Events of a vtkSegmentation whose labels have changed."""
    segments = slicer.vtkSegmentation
    return segments.SourceRepresentationModified, segments.SegmentAdded, segments.SegmentRemoved
