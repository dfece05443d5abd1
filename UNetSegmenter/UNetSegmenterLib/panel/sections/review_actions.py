"""How a review of a test set uses the other sections of the panel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...engine.errors import InputError
from ..jobs.step_driver import Wait, Work
from .report_section import compare_and_check_steps


class PanelReviewActions:
    """The panel as a review uses it; the layout is shown from a test set's first case on, until the user leaves it."""

    def __init__(self, panel: Any) -> None:
        self._panel = panel
        self._show_views, self._was_shown = True, False

    def choose(self, volume: Any, prediction: Any, reference: Any) -> None:
        """Choose the nodes of a case in the whole panel."""
        if self._was_shown:
            self._show_views, self._was_shown = self._panel.views.is_shown, False
        with self._at_once() as parameters:
            parameters.inputVolume, parameters.outputSegmentation = volume, None
            parameters.comparedPrediction, parameters.groundTruth = prediction, reference

    def segment(self) -> Work:
        """Segment the scan that is chosen; returns the node, raises InputError if there is none."""
        panel = self._panel
        while panel.model.is_busy:
            yield Wait()
        reason = panel.blocker()
        if reason:
            raise InputError(f"This case has no prediction, and none can be made yet. {reason}")
        panel.segment.apply()
        try:
            while panel.segment.state.is_busy:
                yield Wait()
        except GeneratorExit:
            panel.segment.cancel()
            raise
        result = panel.segment.result
        if result is None or result.node is None:
            raise InputError("This case was not segmented; section Segment says why.")
        return result.node

    def compare_and_check(self) -> Work:
        """Show the case, and fill the sections Compare and Plausibility."""
        button = self._panel.ui.sideBySideButton
        if self._show_views and button.enabled and not self._panel.views.is_shown:
            button.setChecked(True)
        if not self._panel.views.is_shown and self._panel.parameters is not None:
            self._panel.result_views.show_case(
                self._panel.parameters.comparedPrediction, self._panel.parameters.inputVolume
            )
        self._was_shown = True
        yield
        yield from compare_and_check_steps(self._panel.compare, self._panel.plausibility)

    def flush(self) -> None:
        """Keep what is being typed into the verdict."""
        self._panel.report.verdict.flush()

    def remember(self, folder: str, results: str, case: str) -> None:
        """Put the review's choices into the parameter node."""
        if self._panel.parameters is not None:
            if folder != self._panel.parameters.reviewFolder:  # another test set: leaving the last one's layout is past
                self._show_views, self._was_shown = True, False
            with self._at_once() as parameters:
                parameters.reviewFolder, parameters.reviewResults, parameters.reviewCase = folder, results, case

    def ask(self, question: str) -> bool:
        """Ask the user; True for yes."""
        return self._panel.ask(question)

    @contextmanager
    def _at_once(self) -> Iterator[Any]:
        """The parameters, whose changes the panel hears of when all are made."""
        parameters = self._panel.parameters
        modifying = parameters.parameterNode.StartModify()
        try:
            yield parameters
        finally:
            parameters.parameterNode.EndModify(modifying)
