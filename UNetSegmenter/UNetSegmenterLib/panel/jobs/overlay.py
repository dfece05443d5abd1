"""A button behind which something is made of prediction and ground truth, and drawn instead of them while it is pressed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import slicer
import vtk
from slicer.util import VTKObservationMixin

from ...engine.labels.matching import Pair
from ...scene.nodes.scene_nodes import remove_nodes, with_own_nodes
from ...scene.views.temporary_display import DisplaySwap
from .failure import JobFailure, call_safely, failure_note, failure_of
from .step_driver import StepDriver

SUBJECT = "What was to be drawn"


@dataclass(frozen=True)
class ComparedPair:
    """What was compared: two nodes, which structure of one is which of the other, and the one to show (None: all)."""

    prediction: Any
    reference: Any
    pairs: tuple[Pair, ...]
    structure: str | None = None


@dataclass(frozen=True)
class DrawnNodes:
    """Nodes that were made, the first of which is looked at, and what there is to say of it."""

    nodes: Sequence[Any]
    text: str


Make = Callable[[ComparedPair], Generator[str | None, None, DrawnNodes]]


class Overlay(VTKObservationMixin):
    """Follows a checkable button; `make` yields after small steps, with a text for the user where it takes long.

    While it is pressed, what was made is renewed with every comparison. It goes away with the button, another choice of
    nodes, the scene, and when it is deleted. `on_change` is called when `text` has changed, `on_other_views` when
    the views have changed in which it is drawn.
    """

    def __init__(self, button: Any, dimension: int, make: Make, on_change: Callable[[], None]) -> None:
        """`dimension` is 2 for what is drawn in slices, 3 for what is drawn in 3D views."""
        VTKObservationMixin.__init__(self)
        self.on_other_views: Callable[[Any], None] = lambda node: None
        self._button, self._dimension, self._make, self._on_change = button, dimension, make, on_change
        self.text = ""
        self.drawn: DrawnNodes | None = None
        self._compared: ComparedPair | None = None
        self._parts: list[Any] = []  # what goes with it when it is deleted elsewhere
        self._swap: DisplaySwap | None = None
        self._following = False
        self._driver: StepDriver | None = None
        button.connect("toggled(bool)", self._on_button)

    @property
    def is_making(self) -> bool:
        """Whether the nodes are still being made."""
        return self._driver is not None

    def set(self, compared: ComparedPair | None) -> None:
        """What was compared last; None takes away what is shown until there is another comparison."""
        if compared == self._compared:
            return
        self._clear()
        self._compared = compared
        if compared is not None and self._button.checked:
            self._start(compared)

    def leave(self) -> None:
        """Take away what is shown, or end what is being made."""
        self._clear()
        if self._button.checked:
            self._button.setChecked(False)

    def update(self, reason: str, tip: str) -> None:
        """Enable or disable the button; `reason` says why it cannot be pressed."""
        self._button.setEnabled(not reason or bool(self._button.checked))
        self._button.setToolTip(reason or tip)

    def _on_button(self, checked: bool) -> None:
        if checked and self._compared is not None:
            self._start(self._compared)
        elif not checked:
            self._clear()

    def _start(self, compared: ComparedPair) -> None:
        self._clear()

        def show(drawn: DrawnNodes) -> None:
            self._show(compared, drawn)

        self._driver = StepDriver(self._make(compared), show, self._fail, on_message=self._set_text, subject=SUBJECT)
        self._driver.start()

    def _fail(self, failure: JobFailure) -> None:
        """Nothing is drawn, and the button is up again."""
        note = failure_note(failure)
        call_safely(self._clear)
        self._driver = None
        if self._button.checked:
            self._button.setChecked(False)
        self._set_text(note.text)

    def _show(self, compared: ComparedPair, drawn: DrawnNodes) -> None:
        self._driver, self.drawn = None, drawn
        node = drawn.nodes[0]
        displays = [node.GetNthDisplayNode(number) for number in range(node.GetNumberOfDisplayNodes())]
        self._parts = with_own_nodes(drawn.nodes)
        self._swap = DisplaySwap(compared.prediction, compared.reference, displays, self._dimension)
        for side in (compared.prediction, compared.reference):
            if side.GetDisplayNode() is not None:
                self.addObserver(side.GetDisplayNode(), vtk.vtkCommand.ModifiedEvent, self._on_display)
        self.addObserver(slicer.mrmlScene, slicer.vtkMRMLScene.NodeRemovedEvent, self._on_node_removed)
        self._set_text(drawn.text)

    def _clear(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.stop()
        self.removeObservers()
        swap, self._swap = self._swap, None
        drawn, self.drawn = self.drawn, None
        if swap is not None:
            swap.leave()
        if drawn is not None:
            remove_nodes([*with_own_nodes(drawn.nodes), *self._parts])
        self._parts = []
        self._set_text("")

    def _set_text(self, text: str) -> None:
        if text != self.text:
            self.text = text
            self._on_change()

    def _on_display(self, caller: Any = None, event: Any = None) -> None:
        if not self._following:
            self._following = True  # what follows changes displays too
            try:
                if self._swap is not None and self.drawn is not None and self._swap.follow():
                    self.on_other_views(self.drawn.nodes[0])
                    self._parts = with_own_nodes(self.drawn.nodes)
            except Exception as error:
                self._fail(failure_of(error, SUBJECT))
            finally:
                self._following = False

    def _on_node_removed(self, caller: Any = None, event: Any = None) -> None:
        if self.drawn is not None and self.drawn.nodes[0].GetScene() is None:
            self.leave()
