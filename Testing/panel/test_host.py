"""The stand-in refuses what a real Slicer's Python refuses; each line here was evaluated in a real Slicer."""

from __future__ import annotations

import ctk
import pytest
import qt
import slicer


def test_properties_are_attributes_and_their_getters_are_not_callable():
    button = qt.QPushButton("Apply")
    assert (button.text, button.enabled, button.toolTip, button.name) == ("Apply", True, "", "")
    for getter in ("text", "width", "size", "font"):
        with pytest.raises(TypeError):
            getattr(button, getter)()
    button.setText("x")
    button.toolTip = "why"
    button.name = "applyButton"
    assert (button.text, button.toolTip, button.objectName) == ("x", "why", "applyButton")
    assert button.isEnabled() and not button.isChecked()


def test_classes_are_known_by_type_and_not_by_isinstance():
    button = qt.QPushButton()
    assert not isinstance(button, qt.QWidget)
    assert type(button) == qt.QPushButton  # noqa: E721
    assert button.inherits("QPushButton")
    assert button.children() == ()


@pytest.mark.parametrize("name", ["QTest", "Signal", "Slot", "QThread", "QRegExp", "QTextCodec", "Property"])
def test_qt_has_no(name):
    with pytest.raises(AttributeError):
        getattr(qt, name)


def test_signals_hand_over_as_many_arguments_as_a_slot_takes():
    button, got = qt.QPushButton(), []
    button.clicked.connect(lambda: got.append("none"))
    button.clicked.connect(lambda checked: got.append(checked))  # noqa: PLW0108
    button.connect("clicked(bool)", lambda *values: got.append(values))
    button.connect("clicked()", lambda *values: got.append(values))
    button.setCheckable(True)
    button.click()
    assert got == ["none", True, (True,), ()]
    button.clicked.disconnect()
    button.click()
    assert len(got) == 4


def test_combo_box_and_progress_bar():
    combo, seen = qt.QComboBox(), []
    combo.addItem("a", 1)
    combo.addItems(["b", "c"])
    combo.currentIndexChanged.connect(seen.append)
    combo.setCurrentIndex(1)
    assert (combo.currentIndex, combo.currentText, combo.count, combo.itemData(0), seen) == (1, "b", 3, 1, [1])
    bar = qt.QProgressBar()
    bar.setRange(0, 10)
    bar.setValue(3)
    assert (bar.value, bar.maximum) == (3, 10)


def test_path_edit_and_collapsible_button():
    edit, seen = ctk.ctkPathLineEdit(), []
    edit.filters = ctk.ctkPathLineEdit.Files
    edit.nameFilters = ["*.pt"]
    edit.currentPathChanged.connect(seen.append)
    edit.currentPath = "/x.pt"
    edit.setCurrentPath("/y.pt")
    assert (edit.nameFilters, edit.filters, seen) == (("*.pt",), 2, ["/x.pt", "/y.pt"])
    section = ctk.ctkCollapsibleButton()
    section.collapsed = True
    assert section.collapsed
    with pytest.raises(AttributeError):
        section.isCollapsed()


def test_node_combo_box_follows_the_scene():
    slicer.mrmlScene.Clear(0)
    box, seen = slicer.qMRMLNodeComboBox(), []
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.setMRMLScene(slicer.mrmlScene)
    box.currentNodeChanged.connect(seen.append)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "V")
    assert box.nodeTypes == ("vtkMRMLScalarVolumeNode",)
    assert (box.currentNode(), box.currentNodeID, box.nodeCount()) == (node, node.GetID(), 1)
    slicer.mrmlScene.RemoveNode(node)
    assert box.currentNode() is None
    assert seen == [node, None]


def test_bytes_come_out_by_data_alone():
    array = qt.QByteArray(b"x")
    assert array.data() == b"x"
    with pytest.raises(TypeError):
        bytes(array)


def test_slicer_has_no_functions_of_util():
    for name in ("loadVolume", "arrayFromVolume", "getNode", "updateVolumeFromArray"):
        assert not hasattr(slicer, name)
        assert hasattr(slicer.util, name)


def test_process_hands_both_arguments_only_to_the_full_signature():
    import sys

    process, got = qt.QProcess(), []
    process.finished.connect(lambda *values: got.append(values))
    process.connect("finished(int,QProcess::ExitStatus)", lambda *values: got.append(values))
    process.start(sys.executable, ["-c", "import sys; sys.exit(3)"])
    assert process.waitForFinished(10000)
    slicer.app.processEvents()
    assert (3, 0) in got
