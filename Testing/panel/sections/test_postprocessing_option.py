"""The option "Postprocessing": only where the card has steps, remembered, obeyed by the worker, and told after the run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from host.pressing import settle
from PySide6 import QtCore, QtTest

from .test_mirroring import apply, choose

LIVER = 5


@pytest.fixture(scope="module")
def postprocessed(checkpoints, tmp_path_factory):
    """The untrained network, whose labels are scattered, with a card that keeps the largest component of each structure."""
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint

    untrained = load_checkpoint(checkpoints["good"])
    weights = {**untrained.weights[0], "exit.weight": 3000 * untrained.weights[0]["exit.weight"].float()}
    worth = {"dice_without": 0.95, "dice_with": 0.9612, "cases": 14, "better": 9, "worse": 1}
    steps = tuple(
        {"remove_components_smaller_than_ml": 1e6, "of": [one.index], "evidence": worth}
        for one in untrained.card.structures
    )
    path = tmp_path_factory.mktemp("postprocessed") / "postprocessed.pt"
    save_checkpoint(path, replace(untrained.card, postprocessing=steps), [weights], half=False)
    return path


def test_it_can_be_switched_only_where_the_card_has_steps_and_says_what_they_are_worth(
    widget, panel, scan, checkpoints, postprocessed
):
    box = widget.ui.postprocessingCheckBox
    choose(panel, checkpoints["good"])
    assert not box.enabled and "has no postprocessing" in box.toolTip and box.checked
    choose(panel, postprocessed)
    assert box.enabled
    assert "mean Dice 0.9500 -> 0.9612, 14 cases, better in 9, worse in 1" in box.toolTip


def test_what_was_removed_is_told_and_kept_and_the_choice_is_remembered(widget, panel, scan, postprocessed, new_scene):
    from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node

    choose(panel, postprocessed)
    node, done = apply(widget, panel, scan)
    assert node.GetAttribute("UNetSegmenter.Postprocessing") == "true"
    note = next(one.text for one in panel.segment.notes if one.text.startswith("Postprocessing changed"))
    changes = segmentation_from_node(node, scan).postprocessing
    assert changes and all(change.removed and not change.filled for change in changes.values())
    assert "components removed" in note
    widget.ui.advancedCollapsibleButton.collapsed = False
    settle()
    QtTest.QTest.keyClick(widget.ui.postprocessingCheckBox, QtCore.Qt.Key_Space)
    widget.ui.advancedCollapsibleButton.collapsed = True  # as other tests of this panel find it
    settle()
    node, plain = apply(widget, panel, scan)
    assert node.GetAttribute("UNetSegmenter.Postprocessing") == "false"
    assert plain.sum() > done.sum() and not segmentation_from_node(node, scan).postprocessing
    assert not any(one.text.startswith("Postprocessing changed") for one in panel.segment.notes)
    new_scene()
    assert not widget.panel.parameters.postprocessing and not widget.ui.postprocessingCheckBox.checked
