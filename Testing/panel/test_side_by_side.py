"""Two rows of views, and the way back: by the button, another layout, another node, another module, another scene."""

from __future__ import annotations

import slicer
from host.organs import add, choose, organs
from host.pressing import picture, press, settle, turn
from UNetSegmenterLib.scene.layout import LAYOUT_ID, view_ids

FOUR_UP = 3


def views_of(node):
    display = node.GetDisplayNode()
    return [display.GetNthViewNodeID(number) for number in range(display.GetNumberOfViewNodeIDs())]


def layout():
    return slicer.app.layoutManager().layout


def shown(widget):
    prediction, reference = add("Prediction", organs(shift=3)), add("Ground truth", organs())
    choose(widget, prediction, reference)
    press(widget.ui.sideBySideButton)
    settle()
    return prediction, reference


def test_the_button_shows_two_rows_and_puts_all_back(widget):
    assert not widget.ui.sideBySideButton.enabled and not widget.ui.outlineCheckBox.enabled
    prediction, reference = shown(widget)
    assert layout() == LAYOUT_ID and widget.ui.sideBySideButton.checked
    assert views_of(prediction) == view_ids("Pred") and views_of(reference) == view_ids("Ref")
    turn(lambda: reference.GetSegmentation().ContainsRepresentation("Closed surface"), 60)
    widget.ui.outlineCheckBox.click()
    assert not prediction.GetDisplayNode().GetVisibility2DFill()
    widget.ui.outlineCheckBox.click()
    assert prediction.GetDisplayNode().GetVisibility2DFill()
    picture(widget.parent, "side by side")
    press(widget.ui.sideBySideButton)
    assert layout() == FOUR_UP and not views_of(prediction) and not views_of(reference)


def test_every_other_way_out_puts_all_back_too(widget, module):
    prediction, reference = shown(widget)
    slicer.app.layoutManager().setLayout(2)
    assert layout() == 2 and not widget.ui.sideBySideButton.checked and not views_of(prediction)
    press(widget.ui.sideBySideButton)
    module.exit()
    assert layout() == 2 and not views_of(reference)
    module.enter()
    press(widget.ui.sideBySideButton)
    slicer.mrmlScene.RemoveNode(reference)
    settle()
    assert layout() == 2 and not views_of(prediction) and not widget.ui.sideBySideButton.enabled
    slicer.app.layoutManager().setLayout(FOUR_UP)


def test_a_closed_scene_leaves_the_layout(widget):
    shown(widget)
    slicer.mrmlScene.Clear(0)
    settle()
    assert layout() == FOUR_UP and not widget.panel.views.is_shown
