"""The findings as a list of lines: structures, what was found on each, and folds for more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import qt
import slicer

from .plain_tip import plain_tip

if TYPE_CHECKING:
    from ...engine.plausibility.finding import Finding
    from ...engine.plausibility.findings_page import FindingGroup, FindingsPage

ICONS = {
    "fail": "SP_MessageBoxCritical",
    "warn": "SP_MessageBoxWarning",
    "info": "SP_MessageBoxInformation",
    "pass": "SP_DialogApplyButton",
}
BEFORE_FOLD = 3  # findings of one structure that are shown before the others are folded
MOST_LINES, ICON_PIXELS, EDGE_PIXELS = 12, 16, 6
ACCESSIBLE_TEXT = 11  # Qt::AccessibleTextRole
IN_TRUTH_TOO = " The ground truth has it too."


@dataclass(frozen=True)
class FindingLine:
    """One line: a structure's heading, a finding (which leads to its position), or the fold of a structure."""

    text: str
    severity: str = ""
    finding: Finding | None = None
    fold: str | None = None
    tip: str = ""
    spoken: str = ""


class FindingsList:
    """Shows a page in a QListWidget; `on_finding` is called with the finding that was clicked."""

    def __init__(self, view: Any, on_finding: Callable[[Finding], None], tip: Callable[[Finding], str]) -> None:
        self._view, self._on_finding, self._tip = view, on_finding, tip
        self.lines: list[FindingLine] = []
        self._page: FindingsPage | None = None
        self._is_shared: Callable[[Finding], bool] = lambda finding: False
        self._with_passed = False
        self._unfolded: set[str] = set()
        self._turning: str | None = None  # the structure whose fold was clicked in this turn of the event loop
        self._fit = qt.QTimer()
        self._fit.setSingleShot(True)
        self._fit.setInterval(0)
        self._fit.timeout.connect(self._fit_height)
        view.setWordWrap(True)
        view.setIconSize(qt.QSize(ICON_PIXELS, ICON_PIXELS))
        view.itemClicked.connect(self._on_item)
        view.itemActivated.connect(self._on_item)

    def show(self, page: FindingsPage | None, is_shared: Callable[[Finding], bool], with_passed: bool) -> None:
        """Replace what is shown; `is_shared` says whether the ground truth has a finding too."""
        if page is not self._page:
            self._unfolded, self._turning = set(), None
        self._page, self._is_shared, self._with_passed = page, is_shared, with_passed
        self._list()

    def close(self) -> None:
        """Stop the timer that fits the height."""
        self._fit.stop()

    def _list(self) -> None:
        self.lines = list(self._lines(self._page)) if self._page is not None else []
        self._view.clear()
        for number, line in enumerate(self.lines):
            self._view.addItem(line.text)
            item = self._view.item(number)
            if line.severity:
                item.setIcon(slicer.app.style().standardIcon(getattr(qt.QStyle, ICONS[line.severity])))
            item.setToolTip(plain_tip(line.tip))
            item.setData(ACCESSIBLE_TEXT, line.spoken or line.text)
            if line.finding is None and line.fold is None:
                self._as_heading(item)
        self._view.setVisible(bool(self.lines))
        self._fit.start()

    def _lines(self, page: FindingsPage) -> Iterator[FindingLine]:
        for group in page.groups:
            yield FindingLine(f"{group.title}: {group.counts}")
            yield from self._group_lines(group)
        if page.small:
            yield FindingLine("All structures")
            tip = "Below what a reader would measure or mention; click to go to the largest."
            largest = max(page.small, key=lambda one: (one.unit == "ml", one.value))
            yield FindingLine(page.small_sentence, "info", largest, tip=tip)
        if page.changed:
            yield FindingLine("Postprocessing")
            for finding in page.changed:
                yield FindingLine(finding.sentence, "info", finding, tip="Left out without the option Postprocessing.")
        if self._with_passed and page.passed:
            yield FindingLine("As expected")
            for finding in page.passed:
                yield FindingLine(finding.sentence, "pass", finding, tip=self._tip(finding))

    def _group_lines(self, group: FindingGroup) -> Iterator[FindingLine]:
        rest = len(group.findings) - BEFORE_FOLD
        unfolded = group.structure in self._unfolded or rest <= 0
        for finding in group.findings if unfolded else group.findings[:BEFORE_FOLD]:
            shared = IN_TRUTH_TOO if self._is_shared(finding) else ""
            spoken = f"{finding.severity}: {finding.sentence}{shared}"
            yield FindingLine(
                group.text(finding) + shared, finding.severity, finding, tip=self._tip(finding), spoken=spoken
            )
        if rest > 0:
            text = "Show less" if unfolded else f"{rest} more on the {group.structure or 'whole segmentation'}..."
            yield FindingLine(text, fold=group.structure, tip="Click to fold or unfold.")

    @staticmethod
    def _as_heading(item: Any) -> None:
        font = item.font()
        font.setBold(True)
        item.setFont(font)
        item.setFlags(qt.Qt.ItemIsEnabled)

    def _on_item(self, item: Any) -> None:
        line = self.lines[self._view.row(item)]
        if line.finding is not None:
            self._on_finding(line.finding)
        elif line.fold is not None and self._turning is None:  # some styles activate an item with the click
            self._turning = line.fold
            qt.QTimer.singleShot(0, self._turn)  # not in a signal of the list about an item that would go

    def _turn(self) -> None:
        if self._turning is not None:
            self._unfolded ^= {self._turning}
            self._turning = None
            self._list()

    def _fit_height(self) -> None:
        """Make the list as tall as its first lines, whose width is known once it is shown."""
        first = (self._view.item(number) for number in range(min(len(self.lines), MOST_LINES)))
        height = sum(self._view.visualItemRect(item).height() for item in first)
        self._view.setFixedHeight(max(height, ICON_PIXELS) + EDGE_PIXELS)
