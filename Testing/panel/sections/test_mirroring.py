"""The switch "Mirroring": only where the card allows it, remembered, and obeyed by the worker; folds are shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
from host.pressing import press, settle, turn


@pytest.fixture(scope="module")
def ensemble(checkpoints, tmp_path_factory):
    """Two networks in one file, whose labels are not symmetrical; its card allows mirroring along both axes."""
    import torch
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint

    untrained = load_checkpoint(checkpoints["good"])
    weights = {**untrained.weights[0], "exit.weight": 3000 * untrained.weights[0]["exit.weight"].float()}
    other = {
        name: one.flip(-1) if one.ndim == 4 and torch.is_floating_point(one) else one for name, one in weights.items()
    }
    preprocessing = replace(untrained.card.preprocessing, mirror_axes=(0, 1))
    path = tmp_path_factory.mktemp("ensemble") / "ensemble.pt"
    save_checkpoint(path, replace(untrained.card, preprocessing=preprocessing), [weights, other], half=False)
    return path


def choose(panel, path):
    panel.model.choose(str(path))
    turn(lambda: panel.model.path == str(path) and panel.model.card is not None)
    settle()


def apply(widget, panel, scan):
    press(widget.ui.applyButton)
    turn(lambda: not panel.segment.state.is_busy)
    assert panel.segment.state.value == "done", panel.segment.notes
    node = panel.segment.result.node
    names = [structure.name for structure in panel.model.card.structures]
    segments = [node.GetSegmentation().GetSegmentIdBySegmentName(name) for name in names]
    return node, np.stack([slicer.util.arrayFromSegmentBinaryLabelmap(node, one, scan) for one in segments])


def test_it_can_be_switched_on_only_where_the_card_allows_it(widget, panel, scan, checkpoints, ensemble):
    box = widget.ui.mirroringCheckBox
    choose(panel, checkpoints["good"])
    assert not box.enabled and "allows no mirrored slices" in box.toolTip and box.text == "Mirroring"
    choose(panel, ensemble)
    assert box.enabled and box.text == "Mirroring (4 times as slow)"
    assert "ensemble of 2 networks" in panel.model.card_label.text and panel.model.folds == 2
    assert "4 times as slow" in panel.model.card_label.text


def test_mirrored_slices_are_segmented_and_the_choice_is_remembered(
    widget, panel, scan, ensemble, checkpoints, new_scene
):
    from UNetSegmenterLib.engine.io.volume import Volume
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
    from UNetSegmenterLib.engine.model.prediction import Predictor
    from UNetSegmenterLib.scene.nodes.node_grids import volume_geometry

    choose(panel, ensemble)
    node, plain = apply(widget, panel, scan)
    assert node.GetAttribute("UNetSegmenter.Mirroring") == "false"
    widget.ui.advancedCollapsibleButton.collapsed = False
    settle()
    press(widget.ui.mirroringCheckBox)
    widget.ui.advancedCollapsibleButton.collapsed = True  # as other tests of this panel find it
    settle()
    node, mirrored = apply(widget, panel, scan)
    assert node.GetAttribute("UNetSegmenter.Mirroring") == "true" and (plain != mirrored).any()
    volume = Volume(slicer.util.arrayFromVolume(scan), volume_geometry(scan), "CT")
    labels = Predictor(load_checkpoint(ensemble), "cpu", mirroring=True).predict(volume).segmentation.labels
    assert all((labels == index).sum() == mirrored[index - 1].sum() for index in range(1, 9))
    choose(panel, checkpoints["good"])
    apply(widget, panel, scan)
    assert panel.segment.result.node.GetAttribute("UNetSegmenter.Mirroring") == "false", "that card does not allow it"
    new_scene()
    assert widget.panel.parameters.mirroring and widget.ui.mirroringCheckBox.checked
