"""Stories of an empty panel: what it says first, a checkpoint and a scan that are chosen."""

from __future__ import annotations

import time

import qt
import slicer
from eyes import tool_tip


def the_module_is_there(world):
    module = slicer.modules.unetsegmenter
    for attribute, wanted in (("title", "UNetSegmenter"), ("categories", "Segmentation")):
        found = getattr(module, attribute, None) or getattr(module.parent, attribute)
        assert wanted in found or wanted in str(found), found
    import importlib.util

    started = time.perf_counter()
    spec = importlib.util.spec_from_file_location("UNetSegmenterTimed", module.path)
    timed = importlib.util.module_from_spec(spec)
    had = getattr(slicer.modules, "UNetSegmenterWidget", None)
    if had is not None:
        del slicer.modules.UNetSegmenterWidget  # so that this is a first import, not a reload
    spec.loader.exec_module(timed)
    if had is not None:
        slicer.modules.UNetSegmenterWidget = had
    milliseconds = 1000 * (time.perf_counter() - started)
    return f"module import {milliseconds:.0f} ms"


def qt_is_as_the_stand_in_has_it(world):
    button = qt.QPushButton("Apply")
    assert button.text == "Apply" and button.children() == () and not isinstance(button, qt.QWidget)
    try:
        button.text()
    except TypeError:
        pass
    else:
        raise AssertionError("button.text() should not be callable")
    assert type(button) == qt.QPushButton  # noqa: E721
    got = []
    button.clicked.connect(lambda: got.append(0))
    button.connect("clicked(bool)", lambda *values: got.append(values))
    button.click()
    assert got == [0, (False,)], got
    assert not hasattr(qt, "QTest") and not hasattr(slicer, "loadVolume")


def an_empty_panel_says_what_comes_first(world):
    world.panel.model.choose("")
    world.settle()
    assert not world.ui.applyButton.enabled
    assert "Choose a checkpoint" in tool_tip(world.ui.applyButton), tool_tip(world.ui.applyButton)
    assert world.ui.deviceComboBox.count == 4 and world.ui.deviceComboBox.currentText == "auto"
    assert "New segmentation" in str(world.ui.outputSelector.noneDisplay)
    world.picture("1-empty")


def a_wrong_file_is_refused_with_the_reason(world):
    for name, words in (("text", "not a checkpoint"), ("no card", "has no card")):
        world.choose(name)
        assert words in world.panel.model.refusal, world.panel.model.refusal
        assert world.ui.checkpointNotesFrame.isVisible()
        assert tool_tip(world.ui.applyButton) == world.panel.model.refusal
    world.picture("2-refused")


def a_checkpoint_shows_its_card(world):
    world.choose("tiny")
    text = world.panel.model.card_label.text
    for words in ("tiny", "liver", "spleen", "1.5 mm pixels", "SHA-256"):
        assert words in text, text
    assert world.widget.panel.parameters.checkpointPath == str(world.checkpoint("tiny"))


def a_typed_name_of_another_kind_is_refused_and_an_empty_one_is_no_choice(world):
    """CTK's path edit tells neither of the two; the panel listens to the line in it."""
    notes = world.folder / "notes.txt"
    notes.write_text("not a network", encoding="utf-8")
    world.choose("tiny")
    edit = world.ui.checkpointPathLineEdit
    line = next(child for child in edit.children() if child.inherits("QLineEdit"))
    line.setText(str(notes))
    world.turn(lambda: world.panel.model.refusal)
    assert world.panel.model.path == str(notes) and not world.ui.applyButton.enabled
    line.setText("")
    world.settle(0.6)
    assert not world.panel.model.path and "Choose a checkpoint" in tool_tip(world.ui.applyButton)


def a_dropped_file_is_chosen(world):
    frame = world.panel.model.card_frame
    data = qt.QMimeData()
    data.setUrls([qt.QUrl.fromLocalFile(str(world.checkpoint("tiny")))])

    class Drop:  # the event as far as the frame looks at it; Qt's own cannot be made in Python
        def mimeData(self):
            return data

        def acceptProposedAction(self):
            self.accepted = True

    assert frame.acceptDrops
    frame.dragEnterEvent(drop := Drop())
    assert drop.accepted
    frame.dropEvent(drop)
    world.turn(lambda: world.panel.model.card)


def the_scan_on_screen_is_preselected_and_checked(world):
    world.choose("tiny")
    started = time.perf_counter()
    node = world.add_scan()
    assert world.ui.inputSelector.currentNode() is node
    texts = [note.text for note in world.panel.scan.notes]
    assert any("voxels of 1.60 x 1.60 x 3.00 mm" in text for text in texts), texts
    assert any("oblique by 8 degrees" in text for text in texts), texts
    assert world.ui.scanNotesFrame.isVisible() and world.ui.applyButton.enabled
    slicer.util.updateVolumeFromArray(node, slicer.util.arrayFromVolume(node) * 0)
    world.settle(0.3)
    assert "every voxel is 0" in tool_tip(world.ui.applyButton), tool_tip(world.ui.applyButton)
    return f"{time.perf_counter() - started:.1f} s"


STORIES = (
    the_module_is_there,
    qt_is_as_the_stand_in_has_it,
    an_empty_panel_says_what_comes_first,
    a_wrong_file_is_refused_with_the_reason,
    a_checkpoint_shows_its_card,
    a_typed_name_of_another_kind_is_refused_and_an_empty_one_is_no_choice,
    a_dropped_file_is_chosen,
    the_scan_on_screen_is_preselected_and_checked,
)
