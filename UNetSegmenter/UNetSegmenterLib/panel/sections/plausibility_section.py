"""Section Plausibility: is the segmentation anatomy? Findings with positions, and which of them the ground truth has too."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer

from ...engine.counting import counted
from ...engine.io.volume import HU, Note
from ...engine.labels.structures import canonical_name
from ...engine.plausibility.finding import Finding, titled
from ...engine.worker.image_serialization import array_steps, segmentation_steps
from ...scene.nodes.case_nodes import refuse_empty
from ...scene.nodes.segmentation_from_node import segmentation_from_node, slicing_axis_of
from ...scene.nodes.volume_nodes import volume_from_node
from ...scene.nodes.world_positions import findings_in_world
from ...scene.views.cameras import look_at
from ..jobs.segmentation_run import stored_dtype
from ..jobs.step_driver import Work
from ..jobs.worker_process import WorkerProcess
from ..jobs.worker_request import answer_steps
from ..widgets.findings_tree import FindingsTree
from .section import ResultSection, WorkWidgets

if TYPE_CHECKING:
    from ...engine.plausibility.findings_page import FindingsPage

CHANGED = "The segmentation or the scan was changed since it was checked; press Check again."


NOT_HU = "The model reads other intensities than HU: of what lies inside the structures, only the edges were checked."


@dataclass(frozen=True)
class CheckedNodes:
    """What is checked: the prediction, its scan and the ground truth (both may be None), and the training's statistics.

    `intensities` says what the model expects the values of the scan to be, `has_model` whether one is chosen.
    """

    prediction: Any = None
    volume: Any = None
    reference: Any = None
    statistics: dict[str, Any] | None = None
    intensities: str = HU
    has_model: bool = False

    @property
    def limits(self) -> str:
        """What the findings are compared with."""
        from ...engine.plausibility.training_statistics import limits_text

        return limits_text(self.statistics, self.has_model)

    @property
    def nodes(self) -> list[Any]:
        """Those of the three nodes that are chosen."""
        return [node for node in (self.prediction, self.volume, self.reference) if node is not None]


class PlausibilitySection(ResultSection):
    """Checks one segmentation at a time; `findings` are those of the prediction, None while nothing was checked."""

    def __init__(self, ui: Any, worker: WorkerProcess, blocker: Callable[[], str]) -> None:
        widgets = WorkWidgets(ui.checkButton, ui.checkProgressBar, "Check", "The checks", "checks")
        ResultSection.__init__(self, ui.checkNotesFrame, widgets, lost="the findings")
        self._ui, self._worker, self._blocker = ui, worker, blocker
        self.chosen = CheckedNodes()
        self.findings: list[Finding] | None = None
        self.shared: set[tuple[str, str]] = set()
        self.page: FindingsPage | None = None
        ui.plausibilityCollapsibleButton.collapsed = True
        self._findings_tree = FindingsTree(ui.findingsTree, self.slot(self.go_to, "Going to the finding"), _tip)
        ui.showPassedCheckBox.connect("toggled(bool)", lambda checked: self._list())
        self._show()

    def choose(self, chosen: CheckedNodes) -> None:
        """What would be checked; another choice empties the list."""
        before = self.chosen
        if before == chosen:
            return
        self._remember_nodes()
        self.chosen = chosen
        if chosen.prediction is not None and before.prediction is None:
            self._ui.plausibilityCollapsibleButton.collapsed = False
        self.stop()
        self._watch(chosen.nodes, CHANGED)
        self._clear()

    def update(self) -> None:
        """Enable or disable Check, and say why in its tooltip."""
        self._enable_work(self.reason(), "Stop checking.", "Look for what no anatomy has.")

    def reason(self) -> str:
        """Why nothing can be checked now; empty if it can."""
        if self.chosen.prediction is None:
            return "Choose a prediction in section Compare: the segmentation that is to be checked."
        return self._blocker()

    def check(self) -> None:
        """Check what is chosen; the list follows."""
        self._clear()
        self._do(self._steps(self.chosen), self._on_result)

    def close(self) -> None:
        """The scene is closing, or the panel."""
        self.choose(CheckedNodes())
        self._findings_tree.close()

    def go_to(self, finding: Finding) -> None:
        """Centre all views on the position of a finding."""
        if finding.position_ras_mm is not None:
            look_at(slicer.mrmlScene, finding.position_ras_mm)

    def _on_result(self, answer: dict[str, Any]) -> None:
        from ...engine.plausibility.findings_page import findings_page

        found = [[Finding.from_json(one) for one in findings] for findings in answer["findings"]]
        grid = self.chosen.volume if self.chosen.volume is not None else self.chosen.prediction
        self.findings = findings = findings_in_world(found[0], grid)
        theirs = {_key(finding) for finding in found[1] if finding.severity != "pass"} if len(found) > 1 else set()
        self.shared = {_key(finding) for finding in found[0] if finding.severity != "pass"} & theirs
        self.page = page = findings_page(findings)
        self._list()
        self._notes.show(self._result_notes(page, len(findings), len(theirs) if len(found) > 1 else None))
        self._show()

    def _result_notes(self, page: FindingsPage, checks: int, theirs: int | None) -> list[Note]:
        severity = {"fail": "error", "warn": "warning", "pass": "pass"}[page.severity]
        notes = [Note(severity, f"{page.headline} {checks} checks were made.")]
        if theirs is not None:
            notes.append(Note("info", f"Ground truth: {_same_text(theirs, len(self.shared))}."))
        sizes = "" if self.chosen.statistics else " Sizes are not checked."
        notes.append(Note("info", f"{titled(self.chosen.limits)}.{sizes}"))
        if self.chosen.volume is None:
            notes.append(Note("info", "No scan is chosen: what lies inside the structures (HU) was not checked."))
        elif self.chosen.intensities != HU:
            notes.append(Note("info", NOT_HU))
        return notes

    def _list(self) -> None:
        self._findings_tree.show(
            self.page, lambda finding: _key(finding) in self.shared, self._ui.showPassedCheckBox.checked
        )

    def _steps(self, chosen: CheckedNodes) -> Work:
        with self._worker.job_folder("check") as folder:
            fields = yield from request_steps(chosen, folder)
            return (yield from answer_steps(self._worker, "check", self._on_progress, **fields))

    def _begin(self) -> None:
        self.check()

    def _result_nodes(self) -> list[Any]:
        return self.chosen.nodes if self.is_busy or self.findings is not None else []

    def _clear(self) -> None:
        self.findings, self.page, self.shared = None, None, set()
        self._list()
        self._notes.show([])
        self._show()

    def _show(self) -> None:
        ui = self._ui
        self._show_work()
        ui.showPassedCheckBox.setVisible(self.findings is not None)
        ui.findingsTree.setVisible(bool(self._findings_tree.lines))
        self.update()


def request_steps(chosen: CheckedNodes, folder: Path) -> Work:
    """Write scan, segmentations and statistics into a folder; returns the fields of the request."""
    image = statistics = None
    if chosen.volume is not None:
        array = volume_from_node(chosen.volume).array
        image = yield from array_steps(array, folder / "image.raw", stored_dtype(array))
    files: list[Any] = []
    axis = slicing_axis_of(chosen.prediction)  # the ground truth's findings are compared with the prediction's
    for node in filter(None, (chosen.prediction, chosen.reference)):
        refuse_empty(node)
        segmentation = replace(segmentation_from_node(node, chosen.volume), slicing_axis=axis)
        yield
        files.append((yield from segmentation_steps(segmentation, folder, f"labels-{len(files)}")))
    if chosen.statistics:
        statistics = folder / "statistics.json"
        statistics.write_text(json.dumps(chosen.statistics), encoding="utf-8")
    fields = {"segmentations": files, "image": image, "intensities": chosen.intensities}
    return {**fields, "statistics": str(statistics) if statistics else None}


def _same_text(theirs: int, same: int) -> str:
    """How many findings the ground truth has, and how many of them the prediction has too."""
    if theirs == 0:
        return "no findings"
    if theirs == 1:
        return f"1 finding, {'the same' if same else 'another one'}"
    return f"{counted(theirs, 'finding')}, {same or 'none'} of them the same"


def _key(finding: Finding) -> tuple[str, str]:
    return finding.check, canonical_name(finding.structure)


def _tip(finding: Finding) -> str:
    from ...engine.plausibility.findings_page import SEVERITY_TEXTS

    parts = [f"{finding.check}: {SEVERITY_TEXTS[finding.severity]}"]
    if finding.value_text:
        parts.append(f"measured {finding.value_text}")
    if finding.expected:
        parts.append(f"expected {finding.expected}")
    where = "click to go there" if finding.position_ras_mm is not None else "nowhere in particular"
    return "; ".join([*parts, where])
