"""Whatever can be pressed or chosen says in its tooltip what it does, and why it cannot be pressed while it cannot."""

from __future__ import annotations

import qt
import slicer
from host.organs import add, choose, organs
from host.pressing import press, settle, turn

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
