"""With large letters, as on a screen of many pixels or for weak eyes, nothing is cut off that holds text."""

from __future__ import annotations

import pytest
import qt
from PySide6 import QtWidgets
from UNetSegmenterLib.engine.evaluation.review_cases import CaseList, ReviewCase
from UNetSegmenterLib.panel.widgets.card_form import _explanation
from UNetSegmenterLib.panel.widgets.number_edit import NumberEdit
from UNetSegmenterLib.panel.widgets.structure_table import StructureTable


@pytest.fixture
def large_letters():
    before = QtWidgets.QApplication.font()
    font = QtWidgets.QApplication.font()
    font.setPointSizeF(2.5 * font.pointSizeF())
    QtWidgets.QApplication.setFont(font)
    yield qt.QFontMetrics(font)
    QtWidgets.QApplication.setFont(before)


def test_rows_and_numbers_have_space(large_letters):
    table = StructureTable(lambda: None)
    table.show([{"index": 1, "name": "liver"}, {"index": 2, "name": "spleen"}])
    line = table.table.rowHeight(0)
    assert line >= large_letters.height()
    assert table.table.minimumHeight >= 3 * line
    assert NumberEdit("Mean", lambda: None).widget.maximumWidth > large_letters.boundingRect("-1024.55").width()


def test_the_list_of_cases_shows_two_lines_at_least(widget, large_letters, tmp_path):
    review, font = widget.panel.review, widget.ui.reviewList.font
    widget.ui.reviewList.setFont(QtWidgets.QApplication.font())
    review.list = CaseList((ReviewCase("one", tmp_path / "one.nii.gz"), ReviewCase("two", tmp_path / "two.nii.gz")))
    review.close()  # and so shows how things are
    line = widget.ui.reviewList.sizeHintForRow(0)
    assert line >= large_letters.height() and widget.ui.reviewList.minimumHeight >= 2 * line
    widget.ui.reviewList.setFont(font)
    review.list = CaseList(())
    review.close()


def test_letters_that_are_measured_in_pixels_do_not_vanish():
    """Of them, the size in points is -1."""
    before = QtWidgets.QApplication.font()
    font = QtWidgets.QApplication.font()
    font.setPixelSize(14)
    QtWidgets.QApplication.setFont(font)
    try:
        assert qt.QFontMetrics(_explanation("what it means").font).height() > 10
    finally:
        QtWidgets.QApplication.setFont(before)
