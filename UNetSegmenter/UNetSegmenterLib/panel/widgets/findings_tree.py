"""The findings as a tree: one line per structure, which opens to what was found on it."""

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
MOST_LINES, ICON_PIXELS, EDGE_PIXELS, LINE_EDGE_PIXELS = 12, 16, 6, 4
BESIDE_TEXT_PIXELS = 14  # what a style leaves free around icon and text
ACCESSIBLE_TEXT = 11  # Qt::AccessibleTextRole
WRAPPED = 0x1000  # Qt::TextWordWrap
IN_TRUTH_TOO = " The ground truth has it too."
OPENS = "Click to open or close."


@dataclass(frozen=True)
class FindingLine:
    """One line: a finding, which leads to its position, or the head of several, which opens to `inner`.

    `text` is what is shown, `spoken` what a screen reader says, `key` what the line is about.
    """

    text: str
    severity: str
    finding: Finding | None = None
    tip: str = OPENS
    spoken: str = ""
    key: str = ""
    inner: tuple[FindingLine, ...] = ()


class FindingsTree:
    """Shows a page in a QTreeWidget; `on_finding` is called with the finding that was clicked."""

    def __init__(self, view: Any, on_finding: Callable[[Finding], None], tip: Callable[[Finding], str]) -> None:
        self._view, self._on_finding, self._tip = view, on_finding, tip
        self.lines: list[FindingLine] = []
        self._page: FindingsPage | None = None
        self._is_shared: Callable[[Finding], bool] = lambda finding: False
        self._findings: list[Finding | None] = []  # by the number that an item holds
        self._open: set[str] = set()
        self._fit = qt.QTimer()
        self._fit.setSingleShot(True)
        self._fit.setInterval(0)
        self._fit.timeout.connect(self._fit_heights)
        self._set_up()

    def show(self, page: FindingsPage | None, is_shared: Callable[[Finding], bool], with_passed: bool) -> None:
        """Replace what is shown; `is_shared` says whether the ground truth has a finding too. What is open stays so."""
        self._open = set(self._keys_of_open_lines()) if page is self._page else set()
        self._page, self._is_shared = page, is_shared
        self.lines = list(self._lines(page, with_passed)) if page is not None else []
        if len(self.lines) == 1:
            self._open.add(self.lines[0].key)  # nothing to choose from
        self._view.clear()
        self._findings = []
        for line in self.lines:
            item = self._item(line)
            self._view.addTopLevelItem(item)
            for inner in line.inner:
                item.addChild(self._item(inner))
            item.setExpanded(bool(line.inner) and line.key in self._open)
        self._view.setVisible(bool(self.lines))
        self._fit.start()

    def close(self) -> None:
        """Stop the timer that fits the heights."""
        self._fit.stop()

    def _set_up(self) -> None:
        view = self._view
        view.setColumnCount(1)
        view.setHeaderHidden(True)
        view.setWordWrap(True)
        view.setUniformRowHeights(False)
        view.setExpandsOnDoubleClick(False)  # the first of the two clicks has opened it
        view.setIconSize(qt.QSize(ICON_PIXELS, ICON_PIXELS))
        view.setIndentation(ICON_PIXELS)
        view.setVerticalScrollMode(qt.QAbstractItemView.ScrollPerPixel)
        view.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        view.itemClicked.connect(self._on_click)
        view.itemActivated.connect(self._on_activated)
        view.itemExpanded.connect(self._fit_later)
        view.itemCollapsed.connect(self._fit_later)
        view.header().sectionResized.connect(self._fit_later)

    def _item(self, line: FindingLine) -> Any:
        item = qt.QTreeWidgetItem([line.text])
        item.setIcon(0, slicer.app.style().standardIcon(getattr(qt.QStyle, ICONS[line.severity])))
        item.setToolTip(0, plain_tip(line.tip))
        item.setData(0, ACCESSIBLE_TEXT, line.spoken or line.text)
        item.setData(0, qt.Qt.UserRole, len(self._findings))
        self._findings.append(line.finding)
        if line.inner:
            font = item.font(0)
            font.setBold(True)
            item.setFont(0, font)
        return item

    def _lines(self, page: FindingsPage, with_passed: bool) -> Iterator[FindingLine]:
        for group in page.groups:
            yield self._group_line(group)
        if page.small:
            tip = "Below what a reader would measure or mention; click to go to the largest."
            largest = max(page.small, key=lambda one: (one.unit == "ml", one.value))
            yield FindingLine(page.small_sentence, "info", largest, tip)
        changed = tuple(
            FindingLine(one.sentence, "info", one, "Left out without the option Postprocessing.")
            for one in page.changed
        )
        if changed:
            yield changed[0] if len(changed) == 1 else self._head("Postprocessing", "changed", "info", changed)
        if with_passed and page.passed:
            passed = tuple(FindingLine(one.sentence, "pass", one, self._tip(one)) for one in page.passed)
            yield self._head("As expected", "passed", "pass", passed)

    def _group_line(self, group: FindingGroup) -> FindingLine:
        if len(group.findings) == 1:
            (only,) = group.findings
            return self._finding_line(only, only.sentence)
        inner = tuple(self._finding_line(one, group.text(one)) for one in group.findings)
        shared = sum(map(self._is_shared, group.findings))
        also = f"; {'all' if shared == len(inner) else shared} in the ground truth too" if shared else ""
        text = f"{group.title}: {group.counts}{also}"
        return FindingLine(text, group.severity, spoken=f"{group.severity}: {text}", key=group.title, inner=inner)

    def _finding_line(self, finding: Finding, text: str) -> FindingLine:
        shared = IN_TRUTH_TOO if self._is_shared(finding) else ""
        spoken = f"{finding.severity}: {finding.sentence}{shared}"
        return FindingLine(text + shared, finding.severity, finding, self._tip(finding), spoken)

    def _head(self, title: str, what: str, severity: str, inner: tuple[FindingLine, ...]) -> FindingLine:
        return FindingLine(f"{title}: {len(inner)} {what}", severity, key=title, inner=inner)

    def _keys_of_open_lines(self) -> Iterator[str]:
        for number, line in enumerate(self.lines):
            if line.inner and self._view.topLevelItem(number).isExpanded():
                yield line.key

    def _on_click(self, item: Any) -> None:
        if item.childCount():
            item.setExpanded(not item.isExpanded())
        else:
            self._on_activated(item)

    def _on_activated(self, item: Any) -> None:
        """Enter, or a click where the style takes one for that: once more is no harm."""
        finding = self._findings[item.data(0, qt.Qt.UserRole)]
        if finding is not None:
            self._on_finding(finding)

    def _fit_later(self) -> None:
        self._fit.start()

    def _fit_heights(self) -> None:
        """Make each line as tall as its wrapped text, and the tree as tall as its first lines; their width is known now."""
        heights: list[int] = []
        for number, line in enumerate(self.lines):
            item = self._view.topLevelItem(number)
            heights.append(self._fit_item(item, line.text, 1))
            inner = [self._fit_item(item.child(n), one.text, 2) for n, one in enumerate(line.inner)]
            heights += inner if item.isExpanded() else []
        self._view.setFixedHeight(sum(heights[:MOST_LINES], EDGE_PIXELS) if heights else ICON_PIXELS)

    def _fit_item(self, item: Any, text: str, depth: int) -> int:
        width = self._view.columnWidth(0) - depth * ICON_PIXELS - ICON_PIXELS - BESIDE_TEXT_PIXELS
        box = qt.QRect(0, 0, max(width, ICON_PIXELS), 10_000)
        height = qt.QFontMetrics(item.font(0)).boundingRect(box, WRAPPED, text).height()
        height = max(height, ICON_PIXELS) + LINE_EDGE_PIXELS
        item.setData(0, qt.Qt.SizeHintRole, qt.QSize(ICON_PIXELS, height))
        return height
