"""Keyboard, tooltips, screen readers, dark mode and scaling: the panel without a mouse, without light or in large letters."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import qt
import slicer
from host.pressing import press, settle, turn
from host.scans import add, choose, organs
from PySide6 import QtCore, QtGui, QtTest, QtWidgets

ROOT = Path(__file__).resolve().parents[2]
UI = ROOT / "UNetSegmenter" / "Resources" / "UI" / "UNetSegmenter.ui"
SLICER_MENUS = set("fevh")  # File, Edit, View, Help
ENTERED = (QtWidgets.QAbstractButton, QtWidgets.QComboBox, QtWidgets.QLineEdit, QtWidgets.QSlider, QtWidgets.QSpinBox)


def prop(widget, name):
    return QtCore.QObject.property(widget, name)


@pytest.fixture
def unfolded(widget):
    """All sections unfolded, with something to compare."""
    choose(widget, add("Prediction", organs()), add("Ground truth", organs()))
    names = ("model", "scan", "segment", "advanced", "compare", "plausibility", "correct", "report")
    sections = [getattr(widget.ui, f"{name}CollapsibleButton") for name in names]
    before = [section.collapsed for section in sections]
    for section in sections:
        section.collapsed = False
    widget.parent.resize(430, 1800)
    settle()
    yield widget
    for section, collapsed in zip(sections, before, strict=True):
        section.collapsed = collapsed


def tabbed(widget):
    """The shown widgets in the order in which the Tab key goes through them."""
    first, found = widget.parent, []
    at = QtWidgets.QWidget.nextInFocusChain(first)
    while at is not first:
        policy = QtWidgets.QWidget.focusPolicy(at)
        takes = policy & QtCore.Qt.TabFocus and QtWidgets.QWidget.focusProxy(at) is None
        if QtWidgets.QWidget.isVisibleTo(at, first) and takes and widget.parent.isAncestorOf(at):
            found.append(at)
        at = QtWidgets.QWidget.nextInFocusChain(at)
    return found


def test_the_tab_key_goes_from_top_to_bottom(unfolded):
    tops = [(one.mapTo(unfolded.parent, QtCore.QPoint(0, 0)).y(), prop(one, "objectName")) for one in tabbed(unfolded)]
    steps_up = [(name, below) for (y, name), (later, below) in itertools.pairwise(tops) if later < y - 30]
    assert len(tops) > 25 and not steps_up


def test_each_field_has_a_label_whose_letter_leads_to_it(widget):
    text = UI.read_text(encoding="utf-8")
    labels = re.findall(r'<widget class="QLabel" name="(\w+)"><property name="text"><string>([^<]*):</string>', text)
    letters = [match.group(1).lower() for _, label in labels if (match := re.search(r"&amp;(\w)", label))]
    assert len(letters) >= 12 and len(set(letters)) == len(letters) and not SLICER_MENUS & set(letters)
    for name, _ in labels:
        assert QtWidgets.QLabel.buddy(getattr(widget.ui, name)) is not None, f"{name} leads nowhere"


def test_a_letter_leads_to_its_field(unfolded):
    parent, ui = unfolded.parent, unfolded.ui
    parent.activateWindow()
    settle()
    QtTest.QTest.keyClick(parent, QtCore.Qt.Key_W, QtCore.Qt.AltModifier)
    settle()
    assert QtWidgets.QWidget.hasFocus(ui.reviewerLineEdit)


@pytest.mark.parametrize(
    ("letter", "name", "kind"),
    [("N", "checkpointPathLineEdit", QtWidgets.QLineEdit), ("L", "inputSelector", QtWidgets.QComboBox)],
)
def test_a_letter_leads_to_what_takes_keys_inside_of_a_composed_field(unfolded, letter, name, kind):
    parent = unfolded.parent
    parent.activateWindow()
    settle()
    QtTest.QTest.keyClick(parent, getattr(QtCore.Qt, f"Key_{letter}"), QtCore.Qt.AltModifier)
    settle()
    focused = QtWidgets.QApplication.focusWidget()
    assert isinstance(focused, kind) and focused.parent() is getattr(unfolded.ui, name)
    assert focused in tabbed(unfolded)


@pytest.mark.parametrize(
    ("name", "key"), [("applyButton", "A"), ("compareButton", "C"), ("checkButton", "K"), ("saveCaseButton", "B")]
)
def test_the_large_buttons_have_keys_that_their_tips_name(widget, name, key):
    pressed = []
    button = getattr(widget.ui, name)
    for section in ("compare", "plausibility", "correct"):
        getattr(widget.ui, f"{section}CollapsibleButton").collapsed = False
    settle()
    button.setEnabled(True)
    button.clicked.connect(lambda: pressed.append(name))
    shortcut = widget.panel.keyboard.shortcuts[name]
    assert shortcut.key.toString() == f"Alt+{key}" and not SLICER_MENUS & {key.lower()}
    assert f"Alt+{key}" in prop(button, "accessibleDescription")
    button.setEnabled(False)
    shortcut.activated.emit()
    assert not pressed, "a disabled button is not pressed by its key either"
    button.setText("Cancel")
    button.setEnabled(True)
    assert widget.panel.keyboard.shortcuts[name].key.toString() == f"Alt+{key}", "a new text keeps the key"


def test_a_screen_reader_has_a_name_for_everything_that_takes_the_focus(unfolded):
    nameless = []
    for one in tabbed(unfolded):
        if not isinstance(one, (*ENTERED, QtWidgets.QAbstractItemView, QtWidgets.QPlainTextEdit)):
            continue
        said = prop(one, "accessibleName") or (prop(one, "text") if isinstance(one, QtWidgets.QAbstractButton) else "")
        if not said or not re.search(r"\w", said):
            nameless.append(f"{type(one).__name__} {prop(one, 'objectName')} in {prop(one.parent(), 'objectName')}")
    assert not nameless


def test_no_text_vanishes_in_dark_mode(unfolded):
    """Colours that the panel sets itself: text on a background of its own, never on one of the palette."""
    for path in (ROOT / "UNetSegmenter" / "UNetSegmenterLib" / "panel").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert "setStyleSheet" not in source, f"{path.name}: a style sheet does not follow the palette"
        if "ForegroundRole" in source:
            assert "BackgroundRole" in source, f"{path.name} colours a text and not what is under it"


def test_the_focus_shows(unfolded):
    parent, ui, dim = unfolded.parent, unfolded.ui, []
    parent.activateWindow()
    settle()
    shown = (ui.modelCollapsibleButton, ui.knownCheckpointsComboBox, ui.checkButton, ui.showIn3DCheckBox)
    for one in shown:
        looks = []
        for focused in (ui.reviewerLineEdit, one):
            QtWidgets.QWidget.setFocus(focused, QtCore.Qt.TabFocusReason)
            QtWidgets.QWidget.setAttribute(parent, QtCore.Qt.WA_KeyboardFocusChange)  # as the Tab key does
            settle(0.05)
            looks.append(QtWidgets.QWidget.grab(one).toImage())
        if looks[0] == looks[1]:
            dim.append(prop(one, "objectName"))
    assert not dim


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scale", "dark"), [("dark", "1", True), ("scaled", "1.5", False)])
def test_pictures_of_dark_mode_and_of_150_per_cent(name, scale, dark, tmp_path):
    command = [sys.executable, str(ROOT / "Testing" / "host" / "window_pictures.py"), name, str(tmp_path)]
    environment = {**os.environ, "QT_SCALE_FACTOR": scale}
    done = subprocess.run(
        command + ["--dark"] * dark, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    image = QtGui.QImage(str(tmp_path / f"panel-{name}.png"))
    assert not image.isNull() and image.width() == round(430 * float(scale))
    corner = image.pixelColor(3, 3).lightness()
    assert corner < 100 if dark else corner > 150


KINDS = (qt.QPushButton, qt.QToolButton, qt.QComboBox, qt.QCheckBox, qt.QSlider, qt.QSpinBox, qt.QLineEdit)


def silent(widget):
    """Names of the panel's own widgets that are shown and say nothing."""
    shown = (one for one in vars(widget.ui).values() if type(one) in (*KINDS, slicer.qMRMLNodeComboBox))
    names = {one.name: one.toolTip for one in shown if one.isVisible() and not one.name.startswith("qt_")}
    assert len(names) > 20, names
    return [name for name, tip in names.items() if not tip]


def test_nothing_is_silent_in_any_state(widget, checkpoints):
    ui = widget.ui
    for section in ("compare", "plausibility", "report"):
        getattr(ui, f"{section}CollapsibleButton").collapsed = False
    settle()
    assert silent(widget) == [], "empty"
    prediction, reference = add("Prediction", organs(shift=3)), add("Ground truth", organs())
    ui.predictionSelector.setCurrentNode(prediction)
    settle()
    assert silent(widget) == [], "no ground truth"
    choose(widget, prediction, reference)
    press(ui.sideBySideButton)
    press(ui.compareButton)
    assert silent(widget) == [], "comparing"
    turn(lambda: not widget.panel.compare.is_busy, 120)
    assert silent(widget) == [], "compared"
    press(ui.checkButton)
    turn(lambda: not widget.panel.plausibility.is_busy, 120)
    assert silent(widget) == [], "checked"
